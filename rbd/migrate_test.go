package rbd_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// movable is an image with snapshots, holes, metadata, and clones of its own: a clone
// of a golden image that was written to, grown and shrunk.
type movable struct {
	space
	spec    rbd.ImageSpec
	target  string
	before  rbd.Info
	sums    map[string]string // of each state, by the snapshot's name
	holding map[string]string // metadata
}

func newMovable(t *testing.T) movable {
	t.Helper()
	s := inPool(t)
	m := movable{space: s, spec: s.image("v"), target: labtest.FreshPool(t), sums: map[string]string{}}
	s.must(s.images.Clone(t.Context(), s.golden("golden"), m.spec, rbd.CloneOptions{}))
	s.cloneOf("v", "c.clone_snap", "c", rbd.CloneV1)
	s.must(s.images.Resize(t.Context(), m.spec, 40<<20, rbd.ResizeOptions{}))
	s.must(s.images.CreateSnapshot(t.Context(), m.spec.At("first")))
	labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "1M", "--io-pattern", "rand", m.spec.String())
	_, err := s.images.EnsureSnapshot(t.Context(), m.spec.At("second"), rbd.SnapOptions{Protect: true})
	s.must(err)
	s.must(s.images.Resize(t.Context(), m.spec, 3<<20, rbd.ResizeOptions{AllowShrink: true}))
	s.must(s.images.Resize(t.Context(), m.spec, 30<<20+512, rbd.ResizeOptions{AllowShrink: true}))
	s.must(s.images.SetMetadata(t.Context(), m.spec, map[string]string{"conf_rbd_qos_iops_limit": "5000", "colour": "blue"}, nil))
	m.before = s.stat(m.spec)
	for _, snap := range []string{"", "first", "second"} {
		m.sums[snap] = s.digest(m.spec.At(snap))
	}
	m.holding, err = s.images.Metadata(t.Context(), m.spec)
	s.must(err)
	return m
}

// there is the image in its new pool.
func (m movable) there() rbd.ImageSpec { return rbd.ImageSpec{Pool: m.target, Image: m.spec.Image} }

// moved fails the test unless the image is in its new pool, whole, and nowhere else;
// clone tells whether it had one.
func (m movable) moved() {
	m.Helper()
	now := m.stat(m.there())
	var names []string
	for _, snap := range now.Snapshots {
		names = append(names, snap.Name)
		if was, _ := m.before.Snapshot(snap.Name); was.Size != snap.Size || was.Protected != snap.Protected {
			m.Errorf("snapshot %+v, was %+v", snap, was)
		}
	}
	if now.Size != m.before.Size || now.ObjectSize != m.before.ObjectSize || now.Parent != nil ||
		!slices.Equal(now.Features, m.before.Features) || !slices.Equal(names, []string{"first", "second"}) {
		m.Errorf("there is %+v, was %+v", now, m.before)
	}
	for snap, sum := range m.sums {
		if got := m.digest(m.there().At(snap)); got != sum {
			m.Errorf("%q reads otherwise", snap)
		}
	}
	metadata, err := m.images.Metadata(m.Context(), m.there())
	if err != nil || !maps.Equal(metadata, m.holding) {
		m.Errorf("metadata %v, was %v: %v", metadata, m.holding, err)
	}
	_, err = m.images.Stat(m.Context(), m.spec)
	m.is(err, rbd.ErrNotFound)
	m.onlyIn(m.target, m.spec.Image)
}

// onlyIn fails the test if a pool has other images than these.
func (m movable) onlyIn(pool string, names ...string) {
	m.Helper()
	list, err := m.images.List(m.Context(), pool, "")
	m.must(err)
	if !slices.Equal(list, names) {
		m.Errorf("pool %s has %v, want %v", pool, list, names)
	}
}

// emptied deletes what is left, and fails the test unless nothing remains of it.
func (m movable) emptied() {
	m.Helper()
	for _, pool := range []string{m.target, m.pool} {
		list, err := m.images.List(m.Context(), pool, "")
		m.must(err)
		for _, name := range list {
			m.must(m.images.Delete(m.Context(), rbd.ImageSpec{Pool: pool, Image: name}, rbd.DeleteOptions{}))
		}
	}
	for _, pool := range []string{m.pool, m.target} {
		m.purged(pool)
	}
	// The OSDs trim what was at snapshots in their own time.
	var left []string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if left = append(m.objects(m.pool), m.objects(m.target)...); len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		m.Errorf("left: %s", left)
	}
	m.sound()
}

// objects are those of a pool that belong to images, or to operations.
func (m movable) objects(pool string) []string {
	m.Helper()
	var list []string
	for line := range strings.Lines(string(labtest.Tool(m, "rados", "-p", pool, "ls", "--all"))) {
		name := strings.TrimSpace(line)
		if !slices.Contains([]string{"rbd_directory", "rbd_info", "rbd_children", "rbd_trash", "rbdctl\tjobs"}, name) {
			list = append(list, pool+"/"+name)
		}
	}
	return list
}

// sound fails the test if fsck finds anything in one of the pools.
func (m movable) sound() {
	m.Helper()
	found, err := m.images.Fsck(m.Context(), []string{m.pool, m.target}, false)
	if err != nil || len(found) > 0 {
		m.Errorf("fsck: %+v, %v", found, err)
	}
}

func TestMigrate(t *testing.T) {
	m := newMovable(t)
	job, err := m.images.StartMigrate(t.Context(), m.spec, m.target)
	m.must(err)
	again, err := m.images.StartMigrate(t.Context(), m.spec, m.target)
	if err != nil || again != job || job.Kind != "migrate" || job.Subject != m.spec.String() || job.Target != m.target || job.State != rbd.JobQueued {
		t.Errorf("StartMigrate = %+v, then %+v, %v", job, again, err)
	}
	clone := m.digest(m.image("c").At(""))
	stop := m.work(m.images)
	done := m.until(job.ID, func(j rbd.Job) bool { return j.State == rbd.JobDone || j.State == rbd.JobFailed })
	stop()
	if done.State != rbd.JobDone || done.Error != "" || done.Done != done.Total || done.Total != 2*(40<<20+40<<20+30<<20+512) {
		t.Fatalf("done: %+v", done)
	}
	m.moved()
	// Its clone goes on with what is in the trash.
	if m.digest(m.image("c").At("")) != clone {
		t.Error("the clone of the image reads otherwise")
	}
	m.sound()
	m.emptied()
}
