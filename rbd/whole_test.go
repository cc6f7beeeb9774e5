package rbd_test

import (
	"errors"
	"testing"

	"rbdctl/rbd"
)

// TestHalfMadeIsNotShown: an image whose making has not ended must not be used.
func TestHalfMadeIsNotShown(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	s.must(s.images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
	if info, err := s.images.Whole(t.Context(), v); err != nil || info.Size != 8<<20 {
		t.Errorf("Whole = %+v, %v, want 8 MiB", info, err)
	}
	rbd.LeaveIntent(t, s.images, v, "", "127.0.0.1:0/1", false)
	if _, err := s.images.Whole(t.Context(), v); !errors.Is(err, rbd.ErrUnavailable) {
		t.Errorf("Whole of what is half made = %v, want unavailable", err)
	}
}

// TestRepeatDoesNotHide: a process that died before it looked whether the name was free
// has changed nothing of the image that has it.
func TestRepeatDoesNotHide(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	s.must(s.images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
	rbd.LeaveAsked(t, s.images, v, rbd.Deed{Op: "create"}, "127.0.0.1:0/8")
	if info, err := s.images.Whole(t.Context(), v); err != nil || info.Size != 8<<20 {
		t.Errorf("Whole beside a create that has not begun = %+v, %v, want 8 MiB", info, err)
	}
	s.must(s.images.CheckSettled(t.Context(), v))
}

// TestUnsettledIsNotHandedOut: whoever comes next carries out what a dead process
// began, and what was written meanwhile would be lost.
func TestUnsettledIsNotHandedOut(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	s.must(s.images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
	s.must(s.images.CheckSettled(t.Context(), v))
	rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "snap rollback", Snap: "s"}, "127.0.0.1:0/9")
	if err := s.images.CheckSettled(t.Context(), v); !errors.Is(err, rbd.ErrUnavailable) {
		t.Errorf("CheckSettled under a revert = %v, want unavailable", err)
	}
	if _, err := s.images.Whole(t.Context(), v); err != nil {
		t.Errorf("Whole under a revert = %v, want it shown", err)
	}
}
