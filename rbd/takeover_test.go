package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
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

// halfReverted makes an image that a revert has given the snapshot's size when its process
// died, and no content yet. It returns the digest of the 16 MiB that it is to have.
func (s space) halfReverted(name string) (at rbd.SnapSpec, want string) {
	s.Helper()
	at = s.golden(name)
	var content bytes.Buffer
	s.must(s.images.Read(s.Context(), at, &content, nil))
	_, err := s.images.Write(s.Context(), at.ImageSpec, rbd.Source{Reader: bytes.NewReader(bytes.Repeat([]byte{7}, 8<<20))}, nil)
	s.must(err)
	rbd.LeaveDeed(s.TB, s.images, at.ImageSpec, rbd.Deed{Op: "snap rollback", Snap: "snap", Size: 16 << 20}, "127.0.0.1:0/31")
	return at, sha(append(content.Bytes(), make([]byte, 8<<20)...))
}

// reverted fails the test unless the image has the content want, and no intent.
func (s space) reverted(spec rbd.ImageSpec, want string) {
	s.Helper()
	if size := s.stat(spec).Size; size != 16<<20 || s.digest(spec.At("")) != want {
		s.Errorf("%s has %d bytes, or other than the snapshot's and zeroes", spec, size)
	}
	if rbd.HasIntent(s.TB, s.images, spec) {
		s.Errorf("%s has an intent left", spec)
	}
}

// TestTakeOverOfARevert: an image that is half of each content is not taken for whole
// because somebody has opened it. Nothing goes before the rest of the revert.
func TestTakeOverOfARevert(t *testing.T) {
	s := inPool(t)
	other := stranger(t)
	for name, next := range map[string]func(rbd.SnapSpec) error{
		"settle": func(rbd.SnapSpec) error { _, err := s.images.Settle(t.Context(), s.pool); return err },
		"look":   func(at rbd.SnapSpec) error { return s.images.SettleImage(t.Context(), at.ImageSpec) },
		"revert": func(at rbd.SnapSpec) error { return s.images.Revert(t.Context(), at, nil) },
		"unsnap": func(at rbd.SnapSpec) error { return s.images.DeleteSnapshot(t.Context(), at) },
		"snapshot": func(at rbd.SnapSpec) error {
			_, err := s.images.EnsureSnapshot(t.Context(), at.ImageSpec.At("more"), rbd.SnapOptions{})
			return err
		},
		"delete": func(at rbd.SnapSpec) error { // which may be taken back
			err := s.images.Delete(t.Context(), at.ImageSpec, rbd.DeleteOptions{})
			if err == nil {
				deleted, listing := s.images.Deleted(t.Context(), s.pool)
				s.must(listing)
				err = s.images.Undelete(t.Context(), s.pool, deleted[0].ID, "")
			}
			return err
		},
	} {
		at, want := s.halfReverted(name)
		release := rbd.HoldOpen(t, other, at.ImageSpec)
		for range 2 {
			err := next(at)
			if !errors.Is(err, rbd.ErrInUse) || !strings.Contains(err.Error(), "cut short") || !rbd.Begun(t, s.images, at.ImageSpec) {
				t.Errorf("%s of what is open and half reverted = %v, want in use, and the revert kept", name, err)
			}
		}
		release()
		s.must(next(at))
		s.reverted(at.ImageSpec, want)
	}
}

// TestTakeOverOfNoRevert: one that had not begun, or that can never be carried out, is in
// nobody's way.
func TestTakeOverOfNoRevert(t *testing.T) {
	s := newSpace(t)
	v := s.golden("v")
	sum := s.digest(v.ImageSpec.At(""))
	release := rbd.HoldOpen(t, stranger(t), v.ImageSpec)
	rbd.LeaveAsked(t, s.images, v.ImageSpec, rbd.Deed{Op: "snap rollback", Snap: "snap", Size: 16 << 20}, "127.0.0.1:0/32")
	s.must(s.images.SettleImage(t.Context(), v.ImageSpec))
	release()
	rbd.LeaveDeed(t, s.images, v.ImageSpec, rbd.Deed{Op: "snap rollback", Snap: "gone", Size: 16 << 20}, "127.0.0.1:0/32")
	s.must(s.images.SettleImage(t.Context(), v.ImageSpec))
	if s.digest(v.ImageSpec.At("")) != sum || rbd.HasIntent(t, s.images, v.ImageSpec) {
		t.Error("it is changed, or has an intent left")
	}
}

// TestRevertSaysThatItHasBegun before it changes anything.
func TestRevertSaysThatItHasBegun(t *testing.T) {
	s := newSpace(t)
	v := s.slowOf("v", 4<<20)
	_, err := s.images.EnsureSnapshot(t.Context(), v.At("s"), rbd.SnapOptions{})
	s.must(err)
	_, err = s.images.Write(t.Context(), v, rbd.Source{Reader: noise(4 << 20)}, nil)
	s.must(err)
	ended := make(chan error, 1)
	go func() { ended <- s.images.Revert(t.Context(), v.At("s"), nil) }()
	for !rbd.Begun(t, s.images, v) {
		if len(ended) > 0 {
			t.Fatalf("it ended with %v, and was never seen to begin", <-ended)
		}
	}
	s.must(<-ended)
	if rbd.HasIntent(t, s.images, v) {
		t.Error("an intent is left")
	}
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

// TestDeleteDuringADelete by another says that it may be done yet, and not that the image
// stays as it is.
func TestDeleteDuringADelete(t *testing.T) {
	s := newSpace(t)
	v := s.blank("v")
	rbd.LeaveLiving(t, s.images, v, rbd.Deed{Op: "delete"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := s.images.Delete(ctx, v, rbd.DeleteOptions{})
	if s.is(err, rbd.ErrUnavailable); errors.Is(err, rbd.ErrInUse) {
		t.Errorf("Delete = %v, which says that nothing is changed", err)
	}
	rbd.DropIntent(t, s.images, v)
	s.delete("v")
}
