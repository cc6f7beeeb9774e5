package rbd_test

import (
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// started is a migration that is to be worked on.
func (m movable) started() rbd.Job {
	m.Helper()
	job, err := m.images.StartMigrate(m.Context(), m.spec, m.target)
	m.must(err)
	return job
}

// newSlow is one that takes a while to copy.
func newSlow(t *testing.T) movable {
	t.Helper()
	s := inPool(t)
	m := movable{space: s, spec: s.slow("v"), target: labtest.FreshPool(t)}
	m.before = s.stat(m.spec)
	m.sums = map[string]string{"": s.digest(m.spec.At(""))}
	return m
}

func over(j rbd.Job) bool {
	return j.State == rbd.JobDone || j.State == rbd.JobFailed || j.State == rbd.JobCancelled
}

// copying tells whether there is a copy that is being filled.
func copying(j rbd.Job) bool { return j.State == rbd.JobRunning && j.Course.Made != "" && j.Total > 0 }

// stayed fails the test unless the image is where it was, and nothing in the other
// pool.
func (m movable) stayed() {
	m.Helper()
	if m.stat(m.spec).ID != m.before.ID || m.digest(m.spec.At("")) != m.sums[""] {
		m.Error("the image is another one, or reads otherwise")
	}
	m.onlyIn(m.target)
	m.purged(m.target)
	m.sound()
}

// purged purges a pool; who moves images may be at that, too.
func (m movable) purged(pool string) {
	m.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		p, err := m.images.Purge(m.Context(), pool, rbd.PurgeOptions{})
		m.must(err)
		if p.Waiting == 0 {
			return
		}
		if time.Now().After(deadline) {
			m.Fatalf("purge of %s: %+v", pool, p)
		}
	}
}

// TestMigrateIsHandedOver: one that a process leaves, because it was stopped or died,
// is finished by another one; in between there is nothing for fsck to find, and
// nothing that looks like a volume.
func TestMigrateIsHandedOver(t *testing.T) {
	m := newSlow(t)
	job := m.started()
	stop := m.work(stranger(t))
	m.until(job.ID, copying)
	stop()
	if j := m.until(job.ID, in(rbd.JobQueued)); j.Course.Made == "" {
		t.Errorf("what it had done is forgotten: %+v", j)
	}
	m.sound()
	list, err := m.images.List(t.Context(), m.target, "")
	if err != nil || len(list) != 1 || !rbd.OfJob(list[0]) {
		t.Errorf("half way there are %v, %v", list, err)
	}
	made := m.stat(rbd.ImageSpec{Pool: m.target, Image: list[0]}).ID
	rbd.LeaveDeed(t, m.images, rbd.ImageSpec{Pool: m.pool, Image: "job." + job.ID}, rbd.Deed{Op: "migrate"}, "127.0.0.1:0/8")
	rbd.LeaveDeed(t, m.images, m.spec, rbd.Deed{Op: "migrate from", Other: job.ID}, "127.0.0.1:0/9")
	defer m.work(m.images)()
	if j := m.until(job.ID, over); j.State != rbd.JobDone {
		t.Fatalf("%+v", j)
	}
	if now := m.stat(m.there()); now.ID != made || m.digest(m.there().At("")) != m.sums[""] {
		t.Errorf("there is %+v: another copy, or it reads otherwise", now)
	}
	m.onlyIn(m.target, "v")
	m.emptied()
}

func TestMigrateIsCancelled(t *testing.T) {
	m := newSlow(t)
	job := m.started()
	m.must(m.images.CancelJob(t.Context(), m.pool, job.ID)) // nobody is at it
	m.until(job.ID, in(rbd.JobCancelled))
	m.stayed()

	job = m.started()
	stop := m.work(stranger(t))
	m.until(job.ID, copying)
	m.must(m.images.CancelJob(t.Context(), m.pool, job.ID))
	m.until(job.ID, in(rbd.JobCancelled))
	stop()
	m.stayed()

	// Left half way, and then cancelled.
	job = m.started()
	stop = m.work(stranger(t))
	m.until(job.ID, copying)
	stop()
	m.until(job.ID, in(rbd.JobQueued))
	m.must(m.images.CancelJob(t.Context(), m.pool, job.ID))
	m.until(job.ID, in(rbd.JobCancelled))
	m.stayed()

	// A delete does the same by itself.
	job = m.started()
	defer m.work(m.images)()
	m.until(job.ID, copying)
	m.delete("v")
	m.until(job.ID, in(rbd.JobCancelled))
	m.onlyIn(m.target)
	m.emptied()
}

// TestMigrateOfAChangedImage: what is written to meanwhile is copied anew, and not
// moved while it is open.
func TestMigrateOfAChangedImage(t *testing.T) {
	m := newSlow(t)
	job := m.started()
	stop := m.work(stranger(t))
	m.until(job.ID, copying)
	labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "4K", "--io-total", "64K", m.spec.String())
	stop()
	m.sums[""] = m.digest(m.spec.At(""))
	stop = m.work(m.images)
	if j := m.until(job.ID, over); j.State != rbd.JobDone || j.Course.Begun != 2 {
		t.Fatalf("%+v", j)
	}
	stop()
	if m.digest(m.there().At("")) != m.sums[""] {
		t.Error("it lacks what was written while it was copied")
	}
	m.onlyIn(m.target, "v")

	other := newSlow(t)
	job = other.started()
	stop = other.work(other.images)
	other.until(job.ID, copying)
	release := rbd.HoldOpen(t, stranger(t), other.spec)
	if j := other.until(job.ID, over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "open by the client") {
		t.Errorf("open, it is %+v", j)
	}
	release()
	stop()
	other.stayed()
}

// TestMigrateIsRefused: what can't be done is said before anything is begun.
func TestMigrateIsRefused(t *testing.T) {
	s := inPool(t)
	m := movable{space: s, spec: s.blank("v"), target: labtest.FreshPool(t)}
	start := func(spec rbd.ImageSpec, pool string, kind error) {
		t.Helper()
		_, err := m.images.StartMigrate(t.Context(), spec, pool)
		m.is(err, kind)
	}
	start(m.image("none"), m.target, rbd.ErrNotFound)
	start(m.spec, "nopool", rbd.ErrNotFound)
	start(m.spec, m.pool, rbd.ErrInvalid)
	start(m.spec, "a/b", rbd.ErrInvalid)
	release := rbd.HoldOpen(t, stranger(t), m.spec)
	start(m.spec, m.target, rbd.ErrInUse)
	release()
	labtest.RBD(t, "group", "create", m.pool+"/g")
	labtest.RBD(t, "group", "image", "add", m.pool+"/g", m.spec.String())
	start(m.spec, m.target, rbd.ErrInUse)
	labtest.RBD(t, "group", "rm", m.pool+"/g")
	labtest.RBD(t, "create", "--size", "1M", m.there().String())
	start(m.spec, m.target, rbd.ErrExists)
	labtest.RBD(t, "rm", "--no-progress", m.there().String())
	m.started()
	start(m.spec, labtest.FreshPool(t), rbd.ErrInUse)
	if jobs, err := m.images.Jobs(t.Context(), m.pool); err != nil || len(jobs) != 1 {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
	// A name that is taken meanwhile stays as it is, and the image too.
	labtest.RBD(t, "create", "--size", "1M", m.there().String())
	defer m.work(m.images)()
	if j := m.until(m.mine(), over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "stays as it is") {
		t.Errorf("%+v", j)
	}
	m.onlyIn(m.target, "v")
	m.onlyIn(m.pool, "v")
}

// mine is the id of the job.
func (m movable) mine() string {
	m.Helper()
	jobs, err := m.images.Jobs(m.Context(), m.pool)
	if err != nil || len(jobs) == 0 {
		m.Fatalf("jobs %+v, %v", jobs, err)
	}
	return jobs[0].ID
}

// TestMigrateWithoutSpace: a pool that is at its quota ends the job, and the image
// stays as it was.
func TestMigrateWithoutSpace(t *testing.T) {
	m := newSlow(t)
	_, err := m.images.Import(t.Context(), rbd.ImageSpec{Pool: m.target, Image: "other"}, rbd.Source{Reader: noise(8 << 20)}, rbd.ImportOptions{Snapshot: "snap"})
	m.must(err)
	labtest.Ceph(t, "osd", "pool", "set-quota", m.target, "max_bytes", "4194304")
	waitForFull(t, m.target, true)
	job := m.started()
	defer m.work(m.images)()
	if j := m.until(job.ID, over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "quota") {
		t.Errorf("%+v", j)
	}
	if m.stat(m.spec).ID != m.before.ID || m.digest(m.spec.At("")) != m.sums[""] {
		t.Error("the image is another one, or reads otherwise")
	}
	m.onlyIn(m.target, "other")
	m.purged(m.target)
	m.sound()
}
