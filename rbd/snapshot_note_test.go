package rbd_test

import (
	"testing"
	"time"

	"rbdctl/rbd"
)

// TestWaitForAClone: a snapshot that was taken for a clone is debris after some minutes
// without it; one that was taken with those of other images waits for a day.
func TestWaitForAClone(t *testing.T) {
	s := inPool(t)
	g := s.grouped("g", "a", "b")
	single, one, two := s.image("a").At("x.clone_snap"), s.image("a").At("y.clone_snap"), s.image("b").At("z.clone_snap")
	_, err := s.images.EnsureSnapshot(t.Context(), single, rbd.SnapOptions{Protect: true})
	s.must(err)
	_, err = s.images.SnapshotGroup(t.Context(), g, rbd.GroupSnapshot{Name: "gs", Protect: true, Members: []rbd.SnapSpec{one, two}})
	s.must(err)
	for _, tt := range []struct {
		spec  rbd.SnapSpec
		age   time.Duration
		waits bool
	}{
		{single, 9 * time.Minute, true},
		{single, 11 * time.Minute, false},
		{one, 11 * time.Minute, true},
		{two, 23 * time.Hour, true},
		{two, 25 * time.Hour, false},
	} {
		if got := rbd.Waits(t, s.images, tt.spec, tt.age); got != tt.waits {
			t.Errorf("%s, %s old, waits: %t", tt.spec, tt.age, got)
		}
	}
	// Fsck goes by that, too.
	for _, tt := range []struct {
		wait  time.Duration
		finds int
	}{{time.Hour, 0}, {time.Nanosecond, 1}} {
		rbd.SetWait(t, s.images, one, tt.wait)
		if found, err := s.images.Fsck(t.Context(), []string{s.pool}, false); err != nil || len(found) != tt.finds {
			t.Errorf("beside a snapshot that waits for %s, Fsck = %+v, %v", tt.wait, found, err)
		}
	}
}
