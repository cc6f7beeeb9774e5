package cinder

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ceph/go-ceph/rados"
	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestNothingIsLeft deletes a family of volumes and a snapshot in several orders,
// with clones of either format. Each delete succeeds at once, and after a purge the
// pool is as empty as it was: no image, no trash, no snapshot on the Glance image,
// no record of ours.
func TestNothingIsLeft(t *testing.T) {
	for _, format := range []string{"1", "2"} {
		b := newAlone(t)
		b.cloneFormat(format)
		image := b.golden()
		clone := b.volumeOn(Source{Kind: FromImage, ID: image})
		if info := b.tool("info", b.image(volumePrefix+clone)); strings.Contains(info, "clone-child") != (format == "2") {
			t.Errorf("not a clone of format %s:\n%s", format, info)
		}
		b.must(b.Delete(t.Context(), clone))
		for _, order := range [][]string{
			{"first", "snap", "of-snap", "clone", "grandchild"},
			{"grandchild", "clone", "of-snap", "snap", "first"},
			{"clone", "snap", "first", "grandchild", "of-snap"},
			{"snap", "first", "clone", "of-snap", "grandchild"},
		} {
			t.Run("format "+format+" "+strings.Join(order, " "), func(t *testing.T) {
				b.TB = t
				b.deleteFamily(image, order)
			})
		}
	}
}

// deleteFamily makes volumes that hang together and deletes them in order: first is
// of the Glance image; snap is a snapshot of first, of-snap its clone; clone is a
// clone of first, grandchild a clone of clone.
func (b backend) deleteFamily(image string, order []string) {
	b.Helper()
	ctx, ids := b.Context(), map[string]string{}
	ids["first"] = b.volumeOn(Source{Kind: FromImage, ID: image})
	ids["snap"] = b.snapshotOf(ids["first"])
	ids["of-snap"] = b.volumeOn(Source{Kind: FromSnapshot, ID: ids["snap"]})
	ids["clone"] = b.volumeOn(Source{Kind: FromVolume, ID: ids["first"]})
	ids["grandchild"] = b.volumeOn(Source{Kind: FromVolume, ID: ids["clone"]})
	want := b.digest(volumePrefix + ids["first"])
	for n, name := range order {
		if name == "snap" {
			b.must(b.DeleteSnapshot(ctx, ids["first"], ids["snap"]))
		} else {
			b.must(b.Delete(ctx, ids[name]))
		}
		if n == 2 { // a purge in the middle takes nothing that is needed
			_, err := b.Images.Purge(ctx, b.Pool, rbd.PurgeOptions{})
			b.must(err)
		}
		for _, left := range order[n+1:] {
			if left != "snap" && b.digest(volumePrefix+ids[left]) != want {
				b.Errorf("after the delete of %s, %s has another content", name, left)
			}
		}
	}
	purged, err := b.Images.Purge(ctx, b.Pool, rbd.PurgeOptions{})
	if err != nil || purged.Waiting != 0 {
		b.Errorf("Purge = %+v, %v", purged, err)
	}
	b.isEmptyBut(image)
}

// cloneFormat makes the backend's clones be of a format.
func (b *backend) cloneFormat(format string) {
	b.Helper()
	text, err := os.ReadFile(labtest.Conf(b))
	b.must(err)
	conf := filepath.Join(b.TempDir(), "ceph.conf")
	b.must(os.WriteFile(conf, append(text, "\n[client]\nrbd_default_clone_format = "+format+"\n"...), 0o600))
	cluster, err := rbd.Dial(b.Context(), rbd.Config{ConfFile: conf, Entity: "client.admin"})
	b.must(err)
	b.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			b.Error(err)
		}
	})
	b.Images, b.Cluster = rbd.NewImages(cluster), cluster
}

// isEmptyBut fails the test when the pool has more than the image, with its one
// snapshot.
func (b backend) isEmptyBut(image string) {
	b.Helper()
	if got := strings.Fields(b.tool("ls", b.Pool)); !slices.Equal(got, []string{image}) {
		b.Errorf("images: %v", got)
	}
	if got := b.tool("trash", "ls", "--all", b.Pool); got != "" {
		b.Errorf("trash:\n%s", got)
	}
	if got := b.tool("children", "--all", b.image(image)); got != "" {
		b.Errorf("clones of the image:\n%s", got)
	}
	if got := b.records(); len(got) > 0 {
		b.Errorf("records: %v", got)
	}
}

// records are the objects in the namespace of rbdctl's own, those without content
// left out.
func (b backend) records() []string {
	b.Helper()
	conn, err := rados.NewConnWithUser("admin")
	b.must(err)
	b.must(conn.ReadConfigFile(labtest.Conf(b)))
	b.must(conn.Connect())
	defer conn.Shutdown()
	ioctx, err := conn.OpenIOContext(b.Pool)
	b.must(err)
	defer ioctx.Destroy()
	ioctx.SetNamespace("rbdctl")
	var names []string
	b.must(ioctx.ListObjects(func(oid string) {
		values, err := ioctx.GetAllOmapValues(oid, "", "", 16)
		if err != nil || len(values) > 0 {
			names = append(names, oid)
		}
	}))
	return names
}

// TestHardDepth: a clone with too many parents is refused, whatever they are, and
// nothing of it stays.
func TestHardDepth(t *testing.T) {
	b := newBackend(t)
	b.Limits = Depth{Soft: 10, Hard: 2}
	first := b.volumeOn(Source{Kind: FromImage, ID: b.golden()}) // 1
	snapshot := b.snapshotOf(first)
	second := b.volumeOn(Source{Kind: FromSnapshot, ID: snapshot, VolumeID: first}) // 2
	if v, err := b.Get(t.Context(), second); err != nil || v.Depth != 2 {
		t.Errorf("depth %d, %v", v.Depth, err)
	}
	third := b.snapshotOf(second)
	for _, s := range []Source{{Kind: FromVolume, ID: second}, {Kind: FromSnapshot, ID: third, VolumeID: second}} {
		request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: s}
		if _, err := b.Create(t.Context(), request); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "flatten") {
			t.Errorf("Create of a %s = %v", s.Kind, err)
		}
		if _, err := b.Get(t.Context(), request.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("after the refusal: %v", err)
		}
	}
	if v, err := b.Get(t.Context(), second); err != nil || len(v.Snapshots) != 1 {
		t.Errorf("the source is now %+v, %v", v, err)
	}
}

// TestLeastPrivilege: the entity of cinder-volume, which may only read images, can
// do all of this; and it can do nothing to the images.
func TestLeastPrivilege(t *testing.T) {
	admin := newAlone(t)
	images := labtest.FreshPool(t)
	admin.ImagePool = images
	image := admin.golden()
	name := "client.test-" + uuid.NewString()
	key := labtest.Ceph(t, "auth", "get-or-create-key", name, "mon", "profile rbd",
		"osd", "profile rbd pool="+admin.Pool+", profile rbd-read-only pool="+images)
	t.Cleanup(func() { labtest.Ceph(t, "auth", "rm", name) })
	cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: name, Key: []byte(strings.TrimSpace(string(key)))})
	admin.must(err)
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	b := admin
	b.Images, b.Cluster = rbd.NewImages(cluster), cluster

	first := b.volumeOn(Source{Kind: FromImage, ID: image})
	snapshot := b.snapshotOf(first)
	clone := b.volumeOn(Source{Kind: FromVolume, ID: first})
	b.must(b.SetQoS(t.Context(), clone, map[string]string{"total_iops_sec": "10"}))
	_, err = b.Extend(t.Context(), clone, 32*mib)
	b.must(err)
	b.must(b.Revert(t.Context(), first, snapshot, nil))
	c, err := b.Connection(t.Context(), first)
	if err != nil || c.AuthUsername != strings.TrimPrefix(name, "client.") {
		t.Errorf("Connection = %+v, %v", c, err)
	}
	if s, err := b.Stats(t.Context()); err != nil || s.State != Up {
		t.Errorf("Stats = %+v, %v", s, err)
	}
	_, err = b.Manageable(t.Context())
	b.must(err)
	b.must(b.DeleteSnapshot(t.Context(), first, snapshot))
	b.must(b.Delete(t.Context(), first))
	b.must(b.Delete(t.Context(), clone))
	if purged, err := b.Images.Purge(t.Context(), b.Pool, rbd.PurgeOptions{}); err != nil || purged.Waiting != 0 {
		t.Errorf("Purge = %+v, %v", purged, err)
	}
	b.Pool = images
	if _, err := b.Create(t.Context(), Create{ID: uuid.NewString(), Size: mib}); !errors.Is(err, rbd.ErrDenied) {
		t.Errorf("Create among the images = %v", err)
	}
}
