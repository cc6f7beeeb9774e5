package rbd_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"rbdctl/rbd"
)

// TestTakeOverOfADelete: what a dead process had begun is carried out, whoever
// comes next and whatever it wants.
func TestTakeOverOfADelete(t *testing.T) {
	s := inPool(t)
	dead := "127.0.0.1:0/4"
	for _, marked := range []bool{false, true} {
		// By a create of the same name: another image is made.
		v := s.blank("v")
		id := s.stat(v).ID
		if marked {
			rbd.LeaveMark(t, s.images, v)
		}
		rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "delete"}, dead)
		done, err := s.images.Ensure(t.Context(), rbd.Want{Image: v, Size: 8 << 20})
		s.must(err)
		if !done.Created || done.Info.ID == id || !slices.Equal(s.deleted(), []string{"v"}) {
			t.Errorf("Ensure = %+v, deleted %v; want a new image", done, s.deleted())
		}
		// By an extend: there is nothing to extend any more.
		rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "delete"}, dead)
		_, err = s.images.Extend(t.Context(), v, 16<<20)
		s.is(err, rbd.ErrNotFound)
		s.purge(rbd.PurgeOptions{})
		s.isEmpty()
	}
	// By a delete, after the move.
	v := s.blank("v")
	rbd.LeaveMark(t, s.images, v)
	s.must(s.images.TrashMove(t.Context(), v, 0))
	rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "delete"}, dead)
	s.delete("v")
	// A purge, after the removal and before its mark was dropped.
	list, err := s.images.Deleted(t.Context(), s.pool)
	s.must(err)
	s.must(s.images.TrashRemove(t.Context(), s.pool, "", list[0].ID, true))
	rbd.LeaveDeed(t, s.images, rbd.Entry(s.pool, "", list[0].ID), rbd.Deed{Op: "purge"}, dead)
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestTakeOverOfARepeat: a process asked for an image that was there, blank as it was
// made, and was killed before it saw that. The image stays, whoever comes next.
func TestTakeOverOfARepeat(t *testing.T) {
	s := inPool(t)
	parent := s.golden("parent")
	blank, clone := rbd.Want{Image: s.image("blank"), Size: 8 << 20}, rbd.Want{Image: s.image("clone"), Size: 16 << 20, Parent: &parent}
	for _, want := range []rbd.Want{blank, clone} {
		done, err := s.images.Ensure(t.Context(), want)
		s.must(err)
		for op, next := range map[string]func() error{
			"create": func() error { _, err := s.images.Ensure(t.Context(), want); return err },
			"clone":  func() error { _, err := s.images.Settle(t.Context(), s.pool); return err },
			"import": func() error { _, err := s.images.Extend(t.Context(), want.Image, want.Size); return err },
		} {
			rbd.LeaveAsked(t, s.images, want.Image, rbd.Deed{Op: op}, "127.0.0.1:0/21")
			s.must(next())
			if s.stat(want.Image).ID != done.Info.ID || s.journal() != "" {
				t.Errorf("after an unfinished %s, %s is another image, or the journal has %q", op, want.Image, s.journal())
			}
		}
	}
}

// TestHalfMoved: a client that is killed inside the move to the trash leaves an image
// that is neither there nor in the trash; where it is still listed, perhaps for long.
func TestHalfMoved(t *testing.T) {
	for _, listed := range []bool{false, true} {
		ago := time.Duration(0)
		if listed {
			ago = time.Hour
		}
		s := inPool(t)
		for _, next := range []func(rbd.ImageSpec) error{
			func(v rbd.ImageSpec) error { return s.images.Delete(t.Context(), v, rbd.DeleteOptions{}) },
			func(v rbd.ImageSpec) error {
				_, err := s.images.Ensure(t.Context(), rbd.Want{Image: v, Size: 8 << 20})
				if err == nil {
					err = s.images.Remove(t.Context(), v)
				}
				return err
			},
			func(rbd.ImageSpec) error {
				_, err := s.images.Fsck(t.Context(), []string{s.pool}, true)
				return err
			},
		} {
			v := s.golden("v").ImageSpec
			rbd.LeaveMark(t, s.images, v)
			rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "delete"}, "127.0.0.1:0/9")
			rbd.HalfMove(t, s.images, v, ago, listed)
			s.must(next(v))
			if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 {
				t.Errorf("listed %t: Purge = %+v", listed, p)
			}
			s.isEmpty()
		}
	}
}

// TestHalfRemoved: a delete that found the remains of an image has librbd remove them, which
// moves them to the trash; one that is killed there leaves nothing under the name.
func TestHalfRemoved(t *testing.T) {
	s := inPool(t)
	for _, next := range []func(rbd.ImageSpec) error{
		func(v rbd.ImageSpec) error { return s.images.Delete(t.Context(), v, rbd.DeleteOptions{}) },
		func(rbd.ImageSpec) error { _, err := s.images.Settle(t.Context(), s.pool); return err },
	} {
		v := s.blank("v")
		rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "delete"}, "127.0.0.1:0/9")
		rbd.HalfRemove(t, s.images, v)
		s.must(next(v))
		s.isEmpty()
	}
}

// TestTakeOver: an image under the dead intent of an operation that does not make
// images is never swept away, whatever comes next.
func TestTakeOver(t *testing.T) {
	s := newSpace(t)
	for _, d := range []rbd.Deed{
		{Op: "resize", Size: 16 << 20}, {Op: "snap create", Snap: "s"}, {Op: "metadata"}, {Op: "write"}, {Op: "flatten"}, {Op: "check"},
	} {
		v := s.blank("v")
		id := s.stat(v).ID
		rbd.LeaveDeed(t, s.images, v, d, "127.0.0.1:0/6")
		done, err := s.images.Ensure(t.Context(), rbd.Want{Image: v, Size: 8 << 20})
		if err != nil || done.Created || done.Info.ID != id {
			t.Errorf("%s: Ensure = %+v, %v, want the image that was there", d.Op, done, err)
		}
		rbd.LeaveDeed(t, s.images, v, d, "127.0.0.1:0/6")
		info, err := s.images.Extend(t.Context(), v, 16<<20)
		if err != nil || info.ID != id {
			t.Errorf("%s: Extend = %+v, %v", d.Op, info, err)
		}
		rbd.LeaveDeed(t, s.images, v, d, "127.0.0.1:0/6")
		s.must(s.images.Delete(t.Context(), v, rbd.DeleteOptions{}))
		if rbd.HasIntent(t, s.images, v) {
			t.Errorf("%s: an intent is left", d.Op)
		}
	}
	// What was being made is undone, by whatever comes next.
	v := s.blank("v")
	rbd.LeaveIntent(t, s.images, v, "", "127.0.0.1:0/6", false)
	_, err := s.images.Extend(t.Context(), v, 16<<20)
	s.is(err, rbd.ErrNotFound)
	s.blank("v")
	rbd.LeaveIntent(t, s.images, v, "", "127.0.0.1:0/6", false)
	s.delete("v")
	// A snapshot that was being deleted is gone.
	golden := s.golden("v")
	rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "snap rm", Snap: "snap"}, "127.0.0.1:0/6")
	_, err = s.images.Extend(t.Context(), v, 16<<20)
	s.must(err)
	if _, there := s.stat(golden.ImageSpec).Snapshot("snap"); there {
		t.Error("the snapshot is still there")
	}
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
}

// TestDeleteWaitsForALivingOwner as long as its context lasts.
func TestDeleteWaitsForALivingOwner(t *testing.T) {
	s := newSpace(t)
	v := s.blank("v")
	rbd.LeaveIntent(t, s.images, v, "", "", true) // by this very process, lock held
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.images.Delete(ctx, v, rbd.DeleteOptions{}); !errors.Is(err, rbd.ErrInUse) {
		t.Errorf("Delete = %v, want in use", err)
	}
	s.stat(v)
	ctx, cancel = context.WithTimeout(t.Context(), 4*rbd.Lease)
	defer cancel()
	s.must(s.images.Delete(ctx, v, rbd.DeleteOptions{}))
}
