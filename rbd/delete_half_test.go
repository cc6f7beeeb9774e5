package rbd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestDeleteBesideAPurge: a delete that looks late for who has the image open finds the purge
// that has come to it. The image is not whole any more, and must not come back.
func TestDeleteBesideAPurge(t *testing.T) {
	s := inPool(t)
	v := s.blank("v")
	purge := func() {}
	s.must(rbd.DeleteWhile(t, s.images, v, func() { purge = rbd.PurgeTo(t, stranger(t), v, true) }))
	if _, err := s.images.Stat(t.Context(), v); !errors.Is(err, rbd.ErrNotFound) {
		t.Errorf("it came back: %v", err)
	}
	purge()
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestOpenedWhileItIsDeleted: an image that a client opened at the last moment comes back,
// also when a purge looks at it just then.
func TestOpenedWhileItIsDeleted(t *testing.T) {
	s := inPool(t)
	v := s.golden("v")
	sum := s.digest(v)
	release := rbd.HoldOpen(t, stranger(t), v.ImageSpec)
	s.is(rbd.DeleteWhile(t, s.images, v.ImageSpec, func() {
		end := rbd.PurgeTo(t, stranger(t), v.ImageSpec, false)
		time.AfterFunc(300*time.Millisecond, end)
	}), rbd.ErrInUse)
	if s.digest(v) != sum || len(s.deleted()) > 0 {
		t.Errorf("a refused delete changed it; deleted are %v", s.deleted())
	}
	if trash, err := s.images.TrashList(t.Context(), s.pool, ""); err != nil || len(trash) > 0 {
		t.Errorf("trash = %v, %v", trash, err)
	}
	release()
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestOpenedTakeOn: whoever goes on with a delete that was cut short looks for a client that
// opened the image at the last moment, also when it was being brought back already.
func TestOpenedTakeOn(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *rbd.Images, rbd.ImageSpec){
		"moved": rbd.LeaveMoved,
		"half restored": func(t *testing.T, m *rbd.Images, v rbd.ImageSpec) {
			t.Helper()
			rbd.LeaveHalf(t, m, v, rbd.HalfRestored)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := inPool(t)
			v := s.golden("v")
			sum := s.digest(v)
			release := rbd.HoldOpen(t, stranger(t), v.ImageSpec)
			leave(t, s.images, v.ImageSpec)
			rbd.LeaveDeed(t, s.images, v.ImageSpec, rbd.Deed{Op: "delete"}, "127.0.0.1:0/6")
			s.is(s.images.Delete(t.Context(), v.ImageSpec, rbd.DeleteOptions{}), rbd.ErrInUse)
			if got := string(labtest.RBD(t, "ls", s.pool)); got != "v\n" || s.digest(v) != sum || len(s.deleted()) > 0 {
				t.Errorf("the pool lists %q; deleted are %v", got, s.deleted())
			}
			if all := string(labtest.RBD(t, "trash", "ls", "--all", s.pool)); all != "" {
				t.Errorf("trash: %s", all)
			}
			release()
			s.delete("v")
			s.purge(rbd.PurgeOptions{})
			s.isEmpty()
		})
	}
}

// TestRefusedTakeOn: a delete that was cut short, and is refused when it is gone on with,
// leaves no mark: what somebody moves to the trash himself then is his.
func TestRefusedTakeOn(t *testing.T) {
	s := inPool(t)
	v := s.golden("v")
	sum := s.digest(v)
	rbd.LeaveHalf(t, s.images, v.ImageSpec, rbd.HalfMoved)
	release := rbd.HoldOpen(t, stranger(t), v.ImageSpec)
	s.is(s.images.Delete(t.Context(), v.ImageSpec, rbd.DeleteOptions{}), rbd.ErrInUse)
	release()
	if got := s.deleted(); len(got) > 0 {
		t.Errorf("deleted are %v", got)
	}
	labtest.RBD(t, "trash", "mv", s.pool+"/v")
	if p := s.purge(rbd.PurgeOptions{Now: true}); len(p.Removed) > 0 {
		t.Errorf("a purge removed what somebody else moved to the trash: %v", p)
	}
	trash, err := s.images.TrashList(t.Context(), s.pool, "")
	if err != nil || len(trash) != 1 {
		t.Fatalf("trash = %v, %v", trash, err)
	}
	labtest.RBD(t, "trash", "restore", s.pool+"/"+trash[0].ID)
	if s.digest(v) != sum {
		t.Error("it is changed")
	}
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestInTrashByName: an image that lies in the trash and has its name stays, and its delete
// keeps it for as long as any.
func TestInTrashByName(t *testing.T) {
	s := inPool(t)
	v := s.golden("v")
	sum := s.digest(v)
	rbd.LeaveHalf(t, s.images, v.ImageSpec, rbd.MovedByName)
	if p := s.purge(rbd.PurgeOptions{Now: true}); len(p.Removed) > 0 || s.digest(v) != sum {
		t.Errorf("a purge removed an image that is there: %v", p)
	}
	labtest.Tool(t, "rados", "-p", s.pool, "rm", "rbd_id.v")
	s.must(s.images.Delete(t.Context(), v.ImageSpec, rbd.DeleteOptions{Delay: time.Hour}))
	list, err := s.images.Deleted(t.Context(), s.pool)
	s.must(err)
	if len(list) != 1 || time.Until(list[0].Until) < 50*time.Minute {
		t.Fatalf("deleted are %+v", list)
	}
	s.must(s.images.Undelete(t.Context(), s.pool, list[0].ID, ""))
	if s.digest(v) != sum {
		t.Error("it is changed")
	}
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestHeldByItself: what the same operation of somebody else holds up may be done yet, and is
// not called in use, which says that all stays as it is.
func TestHeldByItself(t *testing.T) {
	s := newSpace(t)
	v := s.blank("v").At("s")
	_, err := s.images.EnsureSnapshot(t.Context(), v, rbd.SnapOptions{})
	s.must(err)
	for op, do := range map[string]func(context.Context) error{
		"snap rm":       func(ctx context.Context) error { return s.images.DeleteSnapshot(ctx, v) },
		"snap rollback": func(ctx context.Context) error { return s.images.Revert(ctx, v, nil) },
	} {
		for _, of := range []struct {
			snap string
			want error
		}{{"s", rbd.ErrUnavailable}, {"another", rbd.ErrInUse}} {
			rbd.LeaveLiving(t, s.images, v.ImageSpec, rbd.Deed{Op: op, Snap: of.snap})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := do(ctx); !errors.Is(err, of.want) {
				t.Errorf("%s of %s, during that of %s: %v, want %v", op, v.Snap, of.snap, err, of.want)
			}
			cancel()
			rbd.DropIntent(t, s.images, v.ImageSpec)
		}
	}
}
