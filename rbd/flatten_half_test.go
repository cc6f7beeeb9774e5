package rbd_test

import (
	"fmt"
	"testing"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestHalfFlattened: what a clone was made of stays while a flatten that was cut short at its
// end, so that the clone is not in its parent's list any more, is to be gone on with.
func TestHalfFlattened(t *testing.T) {
	for _, tt := range []struct {
		format rbd.CloneFormat
		pools  int
		away   remover
	}{{rbd.CloneV1, 1, byUs}, {rbd.CloneV2, 1, byUs}, {rbd.CloneV2, 2, byUs}, {rbd.CloneV2, 1, byRBD}} {
		t.Run(fmt.Sprintf("format %d, pools %d, removed %d", tt.format, tt.pools, tt.away), func(t *testing.T) {
			s, of := halfFlattened(t, tt.format, tt.pools == 1, tt.away)
			stop := s.work(s.images)
			s.until(s.jobID(), in(rbd.JobDone))
			stop()
			of.gone()
		})
	}
}

// TestHalfFlattenedAndCancelled: the clone is put back into the list, and its parent stays.
func TestHalfFlattenedAndCancelled(t *testing.T) {
	for _, format := range []rbd.CloneFormat{rbd.CloneV1, rbd.CloneV2} {
		s, of := halfFlattened(t, format, true, byUs)
		s.must(s.images.CancelJob(t.Context(), s.pool, s.jobID()))
		of.needed()
		s.must(s.images.Delete(t.Context(), s.image("clone"), rbd.DeleteOptions{}))
		s.purge(rbd.PurgeOptions{})
		s.losesData()
	}
}

// remover is who removed the snapshot that a clone was made of.
type remover int

const (
	byUs  remover = iota
	byRBD         // the tool, which moves it to the trash of the snapshots when it has clones of format 2
)

// half is what a half flattened clone was made of, and how that reads.
type half struct {
	space
	clone space
	sum   string
}

// halfFlattened makes a clone whose flatten was cut short at its end, and deletes what it was
// made of.
func halfFlattened(t *testing.T, format rbd.CloneFormat, onePool bool, away remover) (space, half) {
	t.Helper()
	s := inPool(t)
	of := half{space: s, clone: s}
	if !onePool {
		of.space = inPool(t)
	}
	at := of.golden("golden")
	of.sum = of.digest(at)
	_, err := s.images.Ensure(t.Context(), rbd.Want{Image: s.image("clone"), Size: 8 << 20, Parent: &at, Options: rbd.CloneOptions{Format: format}})
	s.must(err)
	_, err = s.images.StartFlatten(t.Context(), s.image("clone"))
	s.must(err)
	if away == byRBD {
		s.must(s.images.Unprotect(t.Context(), at))
		labtest.RBD(t, "snap", "rm", "--no-progress", at.String())
	}
	rbd.ForgetClone(t, s.images, s.image("clone"), format)
	if away == byUs {
		s.must(s.images.DeleteSnapshot(t.Context(), at))
	}
	of.delete("golden")
	of.needed()
	return s, of
}

// needed demands that a purge lets the parent be, and that the clone can be read.
func (h half) needed() {
	h.Helper()
	if p := h.purge(rbd.PurgeOptions{}); len(p.Removed) > 0 || p.Waiting != 1 {
		h.Errorf("Purge while it is needed = %+v", p)
	}
	h.reads()
}

// gone demands that a purge removes the parent, and that the clone can be read.
func (h half) gone() {
	h.Helper()
	if p := h.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 0 {
		h.Errorf("Purge when it is not needed any more = %+v", p)
	}
	h.reads()
}

func (h half) reads() {
	h.Helper()
	if got := h.clone.digest(h.clone.image("clone").At("")); got != h.sum {
		h.Errorf("the clone reads as %s, want %s", got, h.sum)
	}
}

// jobID is that of the pool's only job.
func (s space) jobID() string {
	s.Helper()
	jobs, err := s.images.Jobs(s.Context(), s.pool)
	s.must(err)
	if len(jobs) != 1 {
		s.Fatalf("jobs = %+v", jobs)
	}
	return jobs[0].ID
}
