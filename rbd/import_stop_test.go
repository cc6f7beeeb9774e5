package rbd_test

import (
	"strings"
	"testing"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// newLongUpload is one that takes a while to import, most of it after the first place
// that is stored.
func newLongUpload(t *testing.T) upload {
	t.Helper()
	data := make([]byte, 300<<20)
	copy(data, holes(2))
	copy(data[270<<20:], holes(24))
	u := newUpload(t, data, "-c")
	u.want.ObjectSize = 4 << 10 // many objects
	return u
}

// behind tells whether an import is past its first stored place.
func behind(j rbd.Job) bool { return copying(j) && j.Course.Offset > 0 }

// copyName is the image of a job before it has its name.
func (u upload) copyName(job rbd.Job) rbd.ImageSpec { return u.image("rbdctl-job-" + job.ID) }

// TestImportJobIsHandedOver: one that a process leaves, because it was stopped or died,
// is gone on with by another one; in between there is nothing for fsck to find, and
// nothing that is called as the image.
func TestImportJobIsHandedOver(t *testing.T) {
	u := newLongUpload(t)
	job := u.started()
	stop := u.importing(stranger(t))
	u.until(job.ID, behind)
	stop()
	left := u.until(job.ID, in(rbd.JobQueued))
	if left.Course.Made == "" || left.Course.Offset != 256<<20 {
		t.Errorf("what it had done is forgotten: %+v", left)
	}
	movable{space: u.space, target: u.pool}.onlyIn(u.pool, "file", u.copyName(job).Image)
	found, err := u.images.Fsck(t.Context(), []string{u.pool}, false)
	if err != nil || len(found) > 0 {
		t.Errorf("fsck: %+v, %v", found, err)
	}
	if settled, err := u.images.Settle(t.Context(), u.pool); err == nil && len(settled.Ended) > 0 {
		t.Errorf("settled: %+v", settled)
	}
	_, err = u.images.Stat(t.Context(), u.want.Image)
	u.is(err, rbd.ErrNotFound)

	// Dead owners, whose leases have run out.
	rbd.LeaveDeed(t, u.images, rbd.ImageSpec{Pool: u.pool, Image: "job." + job.ID}, rbd.Deed{Op: "import job"}, "127.0.0.1:0/8")
	rbd.LeaveMade(t, u.images, u.copyName(job), rbd.Deed{Op: "import to", Other: u.pool}, left.Course.Made, "127.0.0.1:0/9")
	defer u.importing(u.images)()
	if j := u.until(job.ID, over); j.State != rbd.JobDone {
		t.Fatalf("%+v", j)
	}
	if u.stat(u.want.Image).ID != left.Course.Made {
		t.Error("it was begun anew")
	}
	u.done()
}

// TestImportJobBeginsAnew: an image under the job's name that the job does not know is
// not gone on with.
func TestImportJobBeginsAnew(t *testing.T) {
	u := newUpload(t, holes(3))
	job := u.started()
	_, err := u.images.Ensure(t.Context(), rbd.Want{Image: u.copyName(job), Size: u.want.Size})
	u.must(err)
	labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "1M", u.copyName(job).String())
	rbd.LeaveMade(t, u.images, u.copyName(job), rbd.Deed{Op: "import to", Other: u.pool}, "beef", "127.0.0.1:0/9")
	stop := u.importing(u.images)
	if j := u.until(job.ID, over); j.State != rbd.JobDone {
		t.Fatalf("%+v", j)
	}
	stop()
	u.done()
}

// TestImportJobIsCancelled: nothing of it is left, at whatever point, and a delete of
// the image does the same.
func TestImportJobIsCancelled(t *testing.T) {
	u := newLongUpload(t)
	cancelled := func(job rbd.Job) {
		t.Helper()
		u.until(job.ID, in(rbd.JobCancelled))
		u.left("file")
	}
	job := u.started()
	u.must(u.images.CancelJob(t.Context(), u.pool, job.ID)) // nobody is at it
	cancelled(job)

	job = u.started()
	stop := u.importing(stranger(t))
	u.until(job.ID, copying)
	u.must(u.images.CancelJob(t.Context(), u.pool, job.ID))
	u.until(job.ID, in(rbd.JobCancelled))
	stop()
	cancelled(job)

	job = u.started() // left half way, and then cancelled
	stop = u.importing(stranger(t))
	u.until(job.ID, copying)
	stop()
	u.until(job.ID, in(rbd.JobQueued))
	u.must(u.images.CancelJob(t.Context(), u.pool, job.ID))
	cancelled(job)

	job = u.started() // a delete, of what is not there yet
	u.delete("v")
	cancelled(job)
	job = u.started()
	defer u.importing(u.images)()
	u.until(job.ID, copying)
	u.delete("v")
	cancelled(job)
}

// TestImportJobIsCancelledTooLate: one whose image has its name is carried out.
func TestImportJobIsCancelledTooLate(t *testing.T) {
	u := newUpload(t, holes(3))
	job := u.started()
	stop := u.importing(stranger(t))
	u.until(job.ID, over)
	stop()
	// As if its process had died after the last change to the image.
	rbd.SetState(t, u.images, u.pool, job.ID, rbd.JobRunning)
	u.must(u.images.CancelJob(t.Context(), u.pool, job.ID))
	if !rbd.Released(t, u.images, u.copyName(job)) {
		t.Error("whoever carries it out would have to fence this process")
	}
	u.carriedOut(job)
}

// carriedOut works on a job, and fails the test unless its image is there.
func (u upload) carriedOut(job rbd.Job) {
	u.Helper()
	defer u.importing(u.images)()
	if j := u.until(job.ID, over); j.State != rbd.JobDone {
		u.Fatalf("%+v", j)
	}
	u.done()
}

// TestImportJobOfWhatIsGone: a snapshot that goes meanwhile reads as zeroes; they are
// not taken for what it held.
func TestImportJobOfWhatIsGone(t *testing.T) {
	u := newLongUpload(t)
	job := u.started()
	stop := u.importing(u.images)
	u.until(job.ID, behind)
	labtest.RBD(t, "snap", "rm", "--no-progress", u.source.String())
	if j := u.until(job.ID, over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "is not there") {
		t.Errorf("%+v", j)
	}
	stop()
	u.left("file")

	// One that is made anew under the same name is another one.
	other := newUpload(t, holes(3))
	job = other.started()
	labtest.RBD(t, "snap", "rm", "--no-progress", other.source.String())
	labtest.RBD(t, "snap", "create", "--no-progress", other.source.String())
	defer other.importing(other.images)()
	if j := other.until(job.ID, over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "another one") {
		t.Errorf("%+v", j)
	}
}

// TestImportJobOfADamagedFile: what can't be read is an end, and nothing is left.
func TestImportJobOfADamagedFile(t *testing.T) {
	u := newUpload(t, holes(6))
	source := u.stat(u.source.ImageSpec)
	labtest.RBD(t, "resize", "--no-progress", "--allow-shrink", "--size", "1M", u.source.ImageSpec.String())
	labtest.RBD(t, "snap", "create", "--no-progress", u.source.ImageSpec.String()+"@cut")
	u.want.Source = u.source.ImageSpec.At("cut")
	if source.Size <= 2<<20 {
		t.Fatalf("the file has %d bytes", source.Size)
	}
	job := u.started()
	defer u.importing(u.images)()
	if j := u.until(job.ID, over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "damaged, or was cut off") {
		t.Errorf("%+v", j)
	}
	u.left("file")
}

// TestImportJobWithoutSpace: a pool that is at its quota ends the job.
func TestImportJobWithoutSpace(t *testing.T) {
	u := newLongUpload(t)
	job := u.started()
	labtest.Ceph(t, "osd", "pool", "set-quota", u.pool, "max_bytes", "4194304")
	waitForFull(t, u.pool, true)
	defer u.importing(u.images)()
	if j := u.until(job.ID, over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "quota") {
		t.Errorf("%+v", j)
	}
	u.left("file")
}
