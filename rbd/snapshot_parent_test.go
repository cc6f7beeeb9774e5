package rbd_test

import (
	"strings"
	"testing"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// unnoted makes a clone of a snapshot as another driver does: nothing of ours notes that
// the snapshot is to go with it.
func (s space) unnoted() (at rbd.SnapSpec, clone rbd.ImageSpec) {
	s.Helper()
	at = s.golden("v").ImageSpec.At("c.clone_snap")
	s.must(s.images.CreateSnapshot(s.Context(), at))
	_, err := s.images.Ensure(s.Context(), rbd.Want{
		Image: s.image("c"), Size: 8 << 20, Parent: &at, Options: rbd.CloneOptions{Format: rbd.CloneV2},
	})
	s.must(err)
	return at, s.image("c")
}

// lacks fails the test if the image still has the snapshot, half removed or not, or if not
// all of the data goes with the image.
func (s space) lacks(at rbd.SnapSpec) {
	s.Helper()
	if list := string(labtest.RBD(s.TB, "snap", "ls", "--all", at.ImageSpec.String())); strings.Contains(list, at.Snap) {
		s.Errorf("the image still has %s", list)
	}
	s.delete(at.Image)
	s.purge(rbd.PurgeOptions{})
	s.losesData()
}

// TestParentOfThePurged: a snapshot that goes with its clone, and that nothing but the
// clone's mark tells of, goes also where the purge was held up after the clone was gone, or
// was killed inside the removal of the snapshot.
func TestParentOfThePurged(t *testing.T) {
	t.Run("held up", func(t *testing.T) {
		s := inPool(t)
		at, clone := s.unnoted()
		s.delete(clone.Image)
		rbd.LeaveIntent(t, s.images, at.ImageSpec, "", "", true)
		if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 1 {
			t.Errorf("Purge beside an operation at the parent = %+v", p)
		}
		s.rados("-N", "rbdctl", "rm", "intent."+at.Image)
		if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 0 || p.Waiting != 0 {
			t.Errorf("Purge after it = %+v", p)
		}
		s.lacks(at)
		s.isEmpty()
	})
	t.Run("half removed", func(t *testing.T) {
		s := inPool(t)
		at, clone := s.unnoted()
		id := s.stat(clone).ID
		s.delete(clone.Image)
		s.must(s.images.TrashRemove(t.Context(), s.pool, "", id, true))
		s.halfUnsnap(at)
		if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 0 || p.Waiting != 0 {
			t.Errorf("Purge = %+v", p)
		}
		s.lacks(at)
		s.isEmpty()
	})
}

// TestParentOfTheFlattened is the same for one that was flattened.
func TestParentOfTheFlattened(t *testing.T) {
	s := inPool(t)
	at, clone := s.unnoted()
	rbd.LeaveIntent(t, s.images, at.ImageSpec, "", "", true)
	job, err := s.images.StartFlatten(t.Context(), clone)
	s.must(err)
	stop := s.work(s.images)
	s.until(job.ID, in(rbd.JobDone))
	stop()
	s.rados("-N", "rbdctl", "rm", "intent."+at.Image)
	s.purge(rbd.PurgeOptions{})
	s.delete(clone.Image)
	s.lacks(at)
}
