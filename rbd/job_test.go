package rbd_test

import (
	"context"
	"testing"
	"time"

	"rbdctl/rbd"
)

// work works on the jobs of the pool until stop is called.
func (s space) work(m *rbd.Images) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error)
	go func() { ended <- m.WorkJobs(ctx, s.pool, rbd.WorkOptions{Parallel: 2}) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	}
}

// until waits for a job to be in a state.
func (s space) until(id string, ok func(rbd.Job) bool) rbd.Job {
	s.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		j, err := s.images.Job(s.Context(), s.pool, id)
		s.must(err)
		if ok(j) {
			return j
		}
		if time.Now().After(deadline) {
			s.Fatalf("job = %+v", j)
		}
	}
}

func in(state string) func(rbd.Job) bool { return func(j rbd.Job) bool { return j.State == state } }

// slow makes a clone that takes seconds to flatten: it has thousands of objects.
func (s space) slow(name string) rbd.ImageSpec {
	s.Helper()
	return s.slowOf(name, 16<<20)
}

// slowOf makes one of size bytes.
func (s space) slowOf(name string, size int) rbd.ImageSpec {
	s.Helper()
	golden := s.image("golden-" + name)
	_, err := s.images.Import(s.Context(), golden, rbd.Source{Reader: noise(size)}, rbd.ImportOptions{
		Snapshot: "snap", CreateOptions: rbd.CreateOptions{ObjectSize: 4 << 10},
	})
	s.must(err)
	s.must(s.images.Clone(s.Context(), golden.At("snap"), s.image(name), rbd.CloneOptions{}))
	return s.image(name)
}

func TestFlattenJob(t *testing.T) {
	s := inPool(t)
	v := s.golden("v")
	sum := s.digest(v)
	s.cloneOf("v", "c.clone_snap", "c", rbd.CloneV1)
	clone := s.image("c")
	job, err := s.images.StartFlatten(t.Context(), clone)
	s.must(err)
	again, err := s.images.StartFlatten(t.Context(), clone)
	if err != nil || again != job || job.State != rbd.JobQueued || job.Kind != "flatten" || job.Subject != clone.String() {
		t.Errorf("StartFlatten = %+v, then %+v, %v", job, again, err)
	}
	_, err = s.images.StartFlatten(t.Context(), s.image("nope"))
	s.is(err, rbd.ErrNotFound)
	stop := s.work(s.images)
	done := s.until(job.ID, in(rbd.JobDone))
	if done.Total == 0 || done.Done != done.Total || done.Error != "" {
		t.Errorf("done: %+v", done)
	}
	if s.stat(clone).Parent != nil || s.digest(clone.At("")) != sum {
		t.Error("the clone has its parent still, or reads otherwise")
	}
	stop()
	s.purge(rbd.PurgeOptions{}) // it may have been stopped before it came to that
	if names := s.snaps(v.ImageSpec); len(names) != 1 {
		t.Errorf("snapshots = %v: the one for the clone has no purpose any more", names)
	}
	jobs, err := s.images.Jobs(t.Context(), s.pool)
	if err != nil || len(jobs) != 1 || jobs[0] != done {
		t.Errorf("Jobs = %+v, %v", jobs, err)
	}
	s.must(s.images.CancelJob(t.Context(), s.pool, job.ID)) // too late, and no failure
	if j := s.until(job.ID, func(rbd.Job) bool { return true }); j != done {
		t.Errorf("cancelled after its end: %+v", j)
	}
	_, err = s.images.Job(t.Context(), s.pool, "nope")
	s.is(err, rbd.ErrNotFound)
	s.is(s.images.CancelJob(t.Context(), s.pool, "nope"), rbd.ErrNotFound)
	// It can be asked for again, and has nothing to do.
	_, err = s.images.StartFlatten(t.Context(), clone)
	s.must(err)
	defer s.work(s.images)()
	s.until(job.ID, in(rbd.JobDone))
}

// TestJobIsHandedOver: a process that stops leaves its job, and another one finishes
// it; so it does with that of a process that died.
func TestJobIsHandedOver(t *testing.T) {
	s := inPool(t)
	v := s.slow("v")
	sum := s.digest(v.At(""))
	job, err := s.images.StartFlatten(t.Context(), v)
	s.must(err)
	stop := s.work(stranger(t))
	s.until(job.ID, func(j rbd.Job) bool { return j.State == rbd.JobRunning && j.Done > 0 })
	// It holds nobody up meanwhile.
	_, err = s.images.EnsureSnapshot(t.Context(), v.At("s"), rbd.SnapOptions{})
	s.must(err)
	stop()
	if j := s.until(job.ID, in(rbd.JobQueued)); s.stat(v).Parent == nil {
		t.Fatalf("the flatten was done before it could be stopped: %+v", j)
	}
	rbd.LeaveDeed(t, s.images, rbd.ImageSpec{Pool: s.pool, Image: "job." + job.ID}, rbd.Deed{Op: "flatten"}, "127.0.0.1:0/8")
	defer s.work(s.images)()
	s.until(job.ID, in(rbd.JobDone))
	if s.stat(v).Parent != nil || s.digest(v.At("")) != sum {
		t.Error("the clone has its parent still, or reads otherwise")
	}
}

// TestJobOfAnImageThatIsGone: another image that has its name by now keeps its parent.
func TestJobOfAnImageThatIsGone(t *testing.T) {
	s := inPool(t)
	golden := s.golden("golden")
	v := s.image("v")
	s.must(s.images.Clone(t.Context(), golden, v, rbd.CloneOptions{}))
	job, err := s.images.StartFlatten(t.Context(), v)
	s.must(err)
	s.must(s.images.Remove(t.Context(), v))
	s.must(s.images.Clone(t.Context(), golden, v, rbd.CloneOptions{}))
	defer s.work(s.images)()
	if j := s.until(job.ID, func(j rbd.Job) bool { return j.Updated != job.Updated && j.State != rbd.JobRunning }); j.State != rbd.JobCancelled {
		t.Errorf("job = %+v, want it cancelled", j)
	}
	if s.stat(v).Parent == nil {
		t.Error("another image was flattened")
	}
}

func TestCancelJob(t *testing.T) {
	s := inPool(t)
	v := s.slow("v")
	job, err := s.images.StartFlatten(t.Context(), v)
	s.must(err)
	s.must(s.images.CancelJob(t.Context(), s.pool, job.ID)) // nobody is at it
	s.until(job.ID, in(rbd.JobCancelled))
	_, err = s.images.StartFlatten(t.Context(), v)
	s.must(err)
	defer s.work(s.images)()
	s.until(job.ID, func(j rbd.Job) bool { return j.State == rbd.JobRunning && j.Done > 0 })
	s.must(s.images.CancelJob(t.Context(), s.pool, job.ID))
	s.until(job.ID, in(rbd.JobCancelled))
	if s.stat(v).Parent == nil {
		t.Error("the clone lost its parent")
	}
	// A delete does the same by itself.
	_, err = s.images.StartFlatten(t.Context(), v)
	s.must(err)
	s.until(job.ID, func(j rbd.Job) bool { return j.State == rbd.JobRunning && j.Done > 0 })
	s.delete("v")
	s.until(job.ID, in(rbd.JobCancelled))
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 {
		t.Errorf("Purge = %+v", p)
	}
}
