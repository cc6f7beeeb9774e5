package rbd_test

import (
	"testing"

	"rbdctl/rbd"
)

// TestHalfFlattened: what a clone was made of stays while a flatten that was cut short is
// to be gone on with, also when it does not list the clone any more.
func TestHalfFlattened(t *testing.T) {
	s := inPool(t)
	for _, format := range []rbd.CloneFormat{rbd.CloneV1, rbd.CloneV2} {
		golden := s.golden("golden")
		want := s.digest(golden)
		s.cloneOf("golden", "clone.clone_snap", "clone", format)
		job, err := s.images.StartFlatten(t.Context(), s.image("clone"))
		s.must(err)
		rbd.ForgetClone(t, s.images, golden.At("clone.clone_snap"), s.image("clone"), format)
		s.must(s.images.DeleteSnapshot(t.Context(), golden.ImageSpec.At("clone.clone_snap")))
		s.delete("golden")
		if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) > 0 || p.Waiting != 1 {
			t.Errorf("Purge beside the flatten = %+v", p)
		}
		if got := s.digest(s.image("clone").At("")); got != want {
			t.Errorf("the clone reads as %s, want %s", got, want)
		}
		stop := s.work(s.images)
		s.until(job.ID, in(rbd.JobDone))
		stop()
		if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 0 {
			t.Errorf("Purge after it = %+v", p)
		}
		if got := s.digest(s.image("clone").At("")); got != want {
			t.Errorf("the flattened clone reads as %s, want %s", got, want)
		}
		s.delete("clone")
		s.purge(rbd.PurgeOptions{})
	}
	s.losesData()
}
