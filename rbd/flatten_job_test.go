package rbd_test

import (
	"bytes"
	"strings"
	"testing"

	"rbdctl/rbd"
)

// TestFlattenWaitsForARevert that is cut short: it would keep the image open.
func TestFlattenWaitsForARevert(t *testing.T) {
	s := inPool(t)
	s.golden("golden")
	s.cloneOf("golden", "clone.clone_snap", "clone", rbd.CloneV1)
	clone := s.image("clone")
	want := s.digest(clone.At(""))
	_, err := s.images.EnsureSnapshot(t.Context(), clone.At("s"), rbd.SnapOptions{})
	s.must(err)
	_, err = s.images.Write(t.Context(), clone, rbd.Source{Reader: bytes.NewReader(bytes.Repeat([]byte{7}, 1<<20))}, nil)
	s.must(err)
	job, err := s.images.StartFlatten(t.Context(), clone)
	s.must(err)
	rbd.LeaveDeed(t, s.images, clone, rbd.Deed{Op: "snap rollback", Snap: "s", Size: 8 << 20}, "127.0.0.1:0/33")
	defer s.work(s.images)()
	s.until(job.ID, func(j rbd.Job) bool { return j.State == rbd.JobQueued && strings.Contains(j.Error, "snap rollback") })
	s.must(s.images.SettleImage(t.Context(), clone))
	s.until(job.ID, in(rbd.JobDone))
	if s.digest(clone.At("")) != want {
		t.Error("it has other content than its snapshot")
	}
}
