package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// inPool is a space in a pool of the test's own, which nobody else has touched.
func inPool(t *testing.T) space {
	t.Helper()
	return space{TB: t, images: rbd.NewImages(labtest.Cluster(t)), pool: labtest.FreshPool(t)}
}

// blank makes an image of 8 MiB.
func (s space) blank(name string) rbd.ImageSpec {
	s.Helper()
	_, err := s.images.Ensure(s.Context(), rbd.Want{Image: s.image(name), Size: 8 << 20})
	s.must(err)
	return s.image(name)
}

// is fails the test unless err is of kind.
func (s space) is(err, kind error) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Errorf("got %v, want %v", err, kind)
	}
}

func (s space) stat(spec rbd.ImageSpec) rbd.Info {
	s.Helper()
	info, err := s.images.Stat(s.Context(), spec)
	s.must(err)
	return info
}

// snaps are the names of an image's snapshots.
func (s space) snaps(spec rbd.ImageSpec) []string {
	s.Helper()
	var names []string
	for _, snap := range s.stat(spec).Snapshots {
		names = append(names, snap.Name)
	}
	return names
}

// journal lists what is left in the journal of the pool.
func (s space) journal() string {
	s.Helper()
	return strings.TrimSpace(string(labtest.Tool(s.TB, "rados", "-p", s.pool, "-N", "rbdctl", "ls")))
}

// isEmpty fails the test unless the pool holds no image, no trash, no journal and
// no object of an image.
func (s space) isEmpty() {
	s.Helper()
	trash, err := s.images.TrashList(s.Context(), s.pool, s.ns)
	s.must(err)
	if names, journal := s.names(), s.journal(); len(names)+len(trash)+len(journal) > 0 {
		s.Errorf("left images %v, trash %+v, journal %q", names, trash, journal)
	}
	objects := strings.Fields(string(labtest.Tool(s.TB, "rados", "-p", s.pool, "ls")))
	system := []string{"rbd_directory", "rbd_info", "rbd_trash", "rbd_children", "rbd_trash_purge_schedule", "rbd_mirroring", "rbd_group_directory"}
	for _, o := range objects {
		if !slices.Contains(system, o) {
			s.Errorf("left the object %s", o)
		}
	}
}

func TestEnsureSnapshot(t *testing.T) {
	s := newSpace(t)
	v := s.blank("v")
	for _, tt := range []struct {
		name             string
		protect, created bool
		protected        bool
	}{
		{"new", false, true, false},
		{"again", false, false, false},
		{"protect it", true, false, true},
		{"protected is as good", false, false, true},
		{"again", true, false, true},
	} {
		created, err := s.images.EnsureSnapshot(t.Context(), v.At("s"), rbd.SnapOptions{Protect: tt.protect})
		s.must(err)
		snap, _ := s.stat(v).Snapshot("s")
		if created != tt.created || snap.Protected != tt.protected {
			t.Errorf("%s: created %t, protected %t; want %t, %t", tt.name, created, snap.Protected, tt.created, tt.protected)
		}
	}
	_, err := s.images.EnsureSnapshot(t.Context(), s.image("nope").At("s"), rbd.SnapOptions{})
	s.is(err, rbd.ErrNotFound)
	_, err = s.images.EnsureSnapshot(t.Context(), v.At("rbdctl-deleted-1"), rbd.SnapOptions{})
	s.is(err, rbd.ErrInvalid)
	if rbd.HasIntent(t, s.images, v) || rbd.HasIntent(t, s.images, s.image("nope")) {
		t.Error("an intent is left")
	}
}

func TestDeleteSnapshot(t *testing.T) {
	for _, format := range []rbd.CloneFormat{rbd.CloneV1, rbd.CloneV2} {
		t.Run(fmt.Sprintf("v%d", format), func(t *testing.T) {
			s := newSpace(t)
			golden := s.golden("golden")
			sum := s.digest(golden)
			clone := s.image("clone")
			s.must(s.images.Clone(t.Context(), golden, clone, rbd.CloneOptions{Format: format}))
			for range 2 {
				s.must(s.images.DeleteSnapshot(t.Context(), golden))
			}
			if names := s.snaps(golden.ImageSpec); len(names) != 1 || !strings.HasPrefix(names[0], "rbdctl-deleted-") {
				t.Errorf("snapshots = %v, want the one with a clone set aside", names)
			}
			if s.digest(clone.At("")) != sum {
				t.Error("the clone reads otherwise")
			}
			// The name is free.
			created, err := s.images.EnsureSnapshot(t.Context(), golden, rbd.SnapOptions{Protect: true})
			if err != nil || !created {
				t.Errorf("EnsureSnapshot = %t, %v", created, err)
			}
			for range 2 {
				s.must(s.images.DeleteSnapshot(t.Context(), golden))
			}
			s.must(s.images.Delete(t.Context(), clone, rbd.DeleteOptions{}))
			_, err = s.images.Purge(t.Context(), s.pool, rbd.PurgeOptions{})
			s.must(err)
			if names := s.snaps(golden.ImageSpec); len(names) != 0 {
				t.Errorf("snapshots after the purge = %v", names)
			}
			s.must(s.images.DeleteSnapshot(t.Context(), s.image("nope").At("s"))) // gone with its image
		})
	}
}

// TestDeleteSnapshotWhoseCloneIsGone: librbd cannot list the clones of a snapshot
// while one of them is removed.
func TestDeleteSnapshotWhoseCloneIsGone(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	rbd.NoteClone(t, s.images, golden)
	_, err := s.images.Children(t.Context(), golden.ImageSpec)
	s.is(err, rbd.ErrNotFound)
	s.must(s.images.DeleteSnapshot(t.Context(), golden))
	if names := s.snaps(golden.ImageSpec); len(names) != 1 || !strings.HasPrefix(names[0], "rbdctl-deleted-") {
		t.Errorf("snapshots = %v, want the one with a clone set aside", names)
	}
}

func TestExtend(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	sum := s.digest(golden)
	v := golden.ImageSpec
	for _, size := range []uint64{16 << 20, 16 << 20, 20<<20 + 512} {
		info, err := s.images.Extend(t.Context(), v, size)
		if err != nil || info.Size != size || s.stat(v).Size != size {
			t.Errorf("Extend to %d = %+v, %v", size, info, err)
		}
	}
	for _, size := range []uint64{0, 1, 8 << 20, 20 << 20, 1 << 63} {
		_, err := s.images.Extend(t.Context(), v, size)
		s.is(err, rbd.ErrInvalid)
	}
	if s.stat(v).Size != 20<<20+512 || s.digest(golden) != sum {
		t.Error("a refused size changed the image")
	}
	_, err := s.images.Extend(t.Context(), s.image("nope"), 1<<20)
	s.is(err, rbd.ErrNotFound)

	release := rbd.HoldOpen(t, stranger(t), v) // as a guest does
	info, err := s.images.Extend(t.Context(), v, 32<<20)
	if err != nil || info.Size != 32<<20 {
		t.Errorf("Extend of an image that is open = %+v, %v", info, err)
	}
	release()
}

func TestRename(t *testing.T) {
	s := newSpace(t)
	a, b, c := s.blank("a"), s.image("b"), s.blank("c")
	id := s.stat(a).ID
	for range 2 {
		s.must(s.images.Rename(t.Context(), a, b))
	}
	if names := s.names(); !slices.Equal(names, []string{"b", "c"}) || s.stat(b).ID != id {
		t.Errorf("images = %v", names)
	}
	s.is(s.images.Rename(t.Context(), b, c), rbd.ErrExists)
	s.is(s.images.Rename(t.Context(), a, s.image("d")), rbd.ErrNotFound)
	s.is(s.images.Rename(t.Context(), b, b), rbd.ErrInvalid)
	s.is(s.images.Rename(t.Context(), b, rbd.ImageSpec{Pool: "other", Image: "b"}), rbd.ErrInvalid)
	if rbd.HasIntent(t, s.images, a) || rbd.HasIntent(t, s.images, b) || rbd.HasIntent(t, s.images, c) {
		t.Error("an intent is left")
	}
}

// TestRenameCutShort: a client that is killed inside a rename can leave both names.
func TestRenameCutShort(t *testing.T) {
	for _, tt := range []struct {
		name    string
		listed  string // the name that the pool lists
		next    func(s space, a, b rbd.ImageSpec) error
		at      string // where the intent is that the next operation meets
		a, want string
	}{
		{name: "old name listed, again", listed: "a", at: "a", next: func(s space, a, b rbd.ImageSpec) error { return s.images.Rename(s.Context(), a, b) }},
		{name: "new name listed, again", listed: "b", at: "a", next: func(s space, a, b rbd.ImageSpec) error { return s.images.Rename(s.Context(), a, b) }},
		{name: "extend of the new name", listed: "a", at: "b", next: func(s space, _, b rbd.ImageSpec) error {
			_, err := s.images.Extend(s.Context(), b, 16<<20)
			return err
		}},
		{name: "create of the old name", listed: "b", at: "a", next: func(s space, a, _ rbd.ImageSpec) error {
			_, err := s.images.Ensure(s.Context(), rbd.Want{Image: a, Size: 4 << 20})
			if err == nil {
				err = s.images.Remove(s.Context(), a)
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSpace(t)
			a, b := s.blank("a"), s.image("b")
			id := s.stat(a).ID
			copyID(s, "a", "b")
			if tt.listed == "b" {
				s.must(s.images.Rename(t.Context(), s.dropID("b", a), b))
				copyID(s, "b", "a")
			}
			rbd.LeaveDeed(t, s.images, a, rbd.Deed{Op: "rename", Other: "b"}, "127.0.0.1:0/2")
			rbd.LeaveDeed(t, s.images, b, rbd.Deed{Op: "rename to", Other: "a"}, "127.0.0.1:0/2")
			s.must(tt.next(s, a, b))
			if names := s.names(); !slices.Equal(names, []string{"b"}) || s.stat(b).ID != id {
				t.Errorf("images = %v", names)
			}
			_, err := s.images.Stat(t.Context(), a)
			s.is(err, rbd.ErrNotFound)
			s.must(s.images.Rename(t.Context(), a, b)) // clears the rest away
			if rbd.HasIntent(t, s.images, a) || rbd.HasIntent(t, s.images, b) {
				t.Error("an intent is left")
			}
		})
	}
}

// TestRenameOfAnother: a rename was killed, its image was deleted, and another one has
// the new name. That is no success.
func TestRenameOfAnother(t *testing.T) {
	s := newSpace(t)
	a, b := s.image("a"), s.blank("b")
	rbd.LeaveMade(t, s.images, a, rbd.Deed{Op: "rename", Other: "b"}, "beef", "127.0.0.1:0/2")
	s.is(s.images.Rename(t.Context(), a, b), rbd.ErrNotFound)
	rbd.LeaveMade(t, s.images, a, rbd.Deed{Op: "rename", Other: "b"}, s.stat(b).ID, "127.0.0.1:0/2")
	s.must(s.images.Rename(t.Context(), a, b))
	if rbd.HasIntent(t, s.images, a) || rbd.HasIntent(t, s.images, b) {
		t.Error("an intent is left")
	}
}

// copyID gives an image a second name, as a rename does for a moment.
func copyID(s space, from, to string) {
	s.Helper()
	file := s.TempDir() + "/id"
	labtest.Tool(s.TB, "rados", "-p", s.pool, "-N", s.ns, "get", "rbd_id."+from, file)
	labtest.Tool(s.TB, "rados", "-p", s.pool, "-N", s.ns, "put", "rbd_id."+to, file)
}

// dropID takes a second name away.
func (s space) dropID(name string, spec rbd.ImageSpec) rbd.ImageSpec {
	s.Helper()
	labtest.Tool(s.TB, "rados", "-p", s.pool, "-N", s.ns, "rm", "rbd_id."+name)
	return spec
}

func TestRevert(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	v := golden.ImageSpec
	before := s.digest(golden)
	_, err := s.images.Extend(t.Context(), v, 16<<20)
	s.must(err)
	_, err = s.images.Write(t.Context(), v, rbd.Source{Reader: bytes.NewReader(bytes.Repeat([]byte{7}, 16<<20))}, nil)
	s.must(err)
	release := rbd.HoldOpen(t, stranger(t), v)
	changed := s.digest(v.At(""))
	s.is(s.images.Revert(t.Context(), golden, nil), rbd.ErrInUse)
	if s.digest(v.At("")) != changed {
		t.Error("a refused revert changed the image")
	}
	release()
	s.must(s.images.Revert(t.Context(), golden, nil))
	var content bytes.Buffer
	s.must(s.images.Read(t.Context(), v.At(""), &content, nil))
	if content.Len() != 16<<20 || sha(content.Bytes()[:8<<20]) != before || sha(content.Bytes()[8<<20:]) != sha(make([]byte, 8<<20)) {
		t.Errorf("%d bytes, or other than the snapshot's and zeroes", content.Len())
	}
	s.is(s.images.Revert(t.Context(), v.At("nope"), nil), rbd.ErrNotFound)

	// One that was cut short is carried to its end by whoever comes next.
	_, err = s.images.Write(t.Context(), v, rbd.Source{Reader: bytes.NewReader(bytes.Repeat([]byte{9}, 1<<20))}, nil)
	s.must(err)
	rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "snap rollback", Snap: "snap", Size: 16 << 20}, "127.0.0.1:0/3")
	_, err = s.images.EnsureSnapshot(t.Context(), v.At("after"), rbd.SnapOptions{})
	s.must(err)
	if s.digest(v.At("after")) != sha(content.Bytes()) {
		t.Error("the snapshot was taken of an image half reverted")
	}
}

func TestWriteAndRead(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	v := s.image("v")
	s.must(s.images.Clone(t.Context(), golden, v, rbd.CloneOptions{}))
	was := noiseBytes(8 << 20)
	content := slices.Concat(make([]byte, 4<<20), bytes.Repeat([]byte{5}, 1<<20), make([]byte, 512))
	var last uint64
	n, err := s.images.Write(t.Context(), v, rbd.Source{Reader: bytes.NewReader(content)}, func(done, _ uint64) { last = done })
	if err != nil || n != uint64(len(content)) || last != n {
		t.Errorf("Write = %d, %v, progress to %d", n, err, last)
	}
	var back bytes.Buffer
	s.must(s.images.Read(t.Context(), v.At(""), &back, nil))
	if !bytes.Equal(back.Bytes(), slices.Concat(content, was[len(content):])) {
		t.Error("other content than what was written over what was there")
	}
	for _, src := range []rbd.Source{
		{Reader: noise(8<<20 + 512)}, {Reader: noise(16 << 20), Size: 16 << 20},
	} {
		_, err := s.images.Write(t.Context(), v, src, nil)
		s.is(err, rbd.ErrInvalid)
	}
	if s.stat(v).Size != 8<<20 {
		t.Error("the size is other")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.images.Write(ctx, v, rbd.Source{Reader: noise(8 << 20)}, func(uint64, uint64) { cancel() })
	s.is(err, rbd.ErrUnavailable)
	s.is(s.images.Read(t.Context(), v.At("nope"), &back, nil), rbd.ErrNotFound)
	_, err = s.images.Write(t.Context(), s.image("nope"), rbd.Source{Reader: noise(512)}, nil)
	s.is(err, rbd.ErrNotFound)
	failure := errors.New("full")
	s.is(s.images.Read(t.Context(), v.At(""), failing{failure}, nil), failure)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestWriteOfZeroes: librbd leaves out what is smaller than the granularity of
// discards when it discards, and any image may say what that is.
func TestWriteOfZeroes(t *testing.T) {
	s := inPool(t)
	golden := s.golden("golden")
	v, clone := s.image("v"), s.image("clone")
	_, err := s.images.Import(t.Context(), v, rbd.Source{Reader: noise(12 << 20)}, rbd.ImportOptions{Snapshot: "snap"})
	s.must(err)
	s.must(s.images.Unprotect(t.Context(), v.At("snap")))
	s.must(s.images.RemoveSnapshot(t.Context(), v.At("snap")))
	s.must(s.images.Clone(t.Context(), golden, clone, rbd.CloneOptions{}))
	for _, spec := range []rbd.ImageSpec{v, clone} {
		labtest.RBD(t, "image-meta", "set", spec.String(), "conf_rbd_discard_granularity_bytes", "4194304")
		// An object of zeroes, half of one, and a sector of one.
		content := slices.Concat(make([]byte, 4<<20), noiseBytes(2<<20), make([]byte, 2<<20))
		if spec == v {
			content = append(content, make([]byte, 512)...)
		}
		file, err := os.Create(filepath.Join(t.TempDir(), "content"))
		s.must(err)
		_, err = file.WriteAt(content[4<<20:], 4<<20) // before it, a hole
		s.must(err)
		_, err = s.images.Write(t.Context(), spec, rbd.Source{Reader: file}, nil)
		s.must(errors.Join(err, file.Close()))
		var back bytes.Buffer
		s.must(s.images.Read(t.Context(), spec.At(""), &back, nil))
		if !bytes.Equal(back.Bytes()[:len(content)], content) {
			t.Errorf("%s: old data shows through the zeroes", spec)
		}
	}
	if objects := string(labtest.Tool(t, "rados", "-p", s.pool, "ls")); strings.Contains(objects, "rbd_data."+s.stat(v).ID+".0000000000000000\n") {
		t.Error("an object of zeroes takes space")
	}
}

func TestMetadata(t *testing.T) {
	s := newSpace(t)
	v := s.blank("v")
	set := map[string]string{"conf_rbd_qos_iops_limit": "100", "note": "a"}
	for range 2 {
		s.must(s.images.SetMetadata(t.Context(), v, set, []string{"nothing", "note"}))
	}
	have, err := s.images.Metadata(t.Context(), v)
	s.must(err)
	if diff := cmp.Diff(set, have); diff != "" {
		t.Error(diff)
	}
	s.must(s.images.SetMetadata(t.Context(), v, map[string]string{"more": "1"}, []string{"note"}))
	have, err = s.images.Metadata(t.Context(), v)
	s.must(err)
	if diff := cmp.Diff(map[string]string{"conf_rbd_qos_iops_limit": "100", "more": "1"}, have); diff != "" {
		t.Error(diff)
	}
	s.is(s.images.SetMetadata(t.Context(), v, map[string]string{"": "1"}, nil), rbd.ErrInvalid)
	s.is(s.images.SetMetadata(t.Context(), s.image("nope"), set, nil), rbd.ErrNotFound)
}

func TestDepth(t *testing.T) {
	s := newSpace(t)
	at := s.golden("v0")
	for want := range 4 {
		if depth, err := s.images.Depth(t.Context(), at.ImageSpec); err != nil || depth != want {
			t.Errorf("Depth of %s = %d, %v, want %d", at, depth, err, want)
		}
		next := s.image(fmt.Sprintf("v%d", want+1))
		s.must(s.images.Clone(t.Context(), at, next, rbd.CloneOptions{Format: rbd.CloneV2}))
		_, err := s.images.EnsureSnapshot(t.Context(), next.At("snap"), rbd.SnapOptions{Protect: true})
		s.must(err)
		at = next.At("snap")
	}
	s.must(s.images.Delete(t.Context(), s.image("v1"), rbd.DeleteOptions{})) // in the trash it counts, too
	if depth, err := s.images.Depth(t.Context(), s.image("v3")); err != nil || depth != 3 {
		t.Errorf("Depth = %d, %v, want 3", depth, err)
	}
	_, err := s.images.Depth(t.Context(), s.image("nope"))
	s.is(err, rbd.ErrNotFound)
}
