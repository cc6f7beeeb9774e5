package rbd

import (
	"context"
	"errors"
	"sync"
	"testing"

	librbd "github.com/ceph/go-ceph/rbd"
)

// DeleteWhile deletes an image as Delete does, but for the first look at who has it open,
// and calls meanwhile when it lies in the trash and who has opened it since was not looked
// for yet.
func DeleteWhile(t *testing.T, m *Images, spec ImageSpec, meanwhile func()) error {
	t.Helper()
	_, err := change(t.Context(), m, deed{Op: opDelete}, spec, func(s *scope, ioctx *ioContext) (struct{}, error) {
		img, made, err := s.marked(ioctx, spec)
		if err == nil {
			err = s.moveUnopened(ioctx, img, made)
		}
		if err != nil {
			return struct{}{}, err
		}
		meanwhile()
		return struct{}{}, s.bringBackIfOpened(ioctx, img, spec, made)
	})
	return err
}

// marked opens an image and puts the mark of its deletion in.
func (s *scope) marked(ioctx *ioContext, spec ImageSpec) (*openImage, mark, error) {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return nil, mark{}, err
	}
	_, made, err := s.putMark(img, spec, 0)
	return img, made, err
}

// Half is what there is of an image that is half in the trash.
type Half struct{ state byte }

// The halves.
var (
	HalfMoved    = Half{trashMoving}    // a delete was cut short after its first step
	MovedByName  = Half{trashNormal}    // librbd moved it, and a write was not answered
	HalfRestored = Half{trashRestoring} // it has got its name back, and is not listed yet
)

// LeaveHalf leaves an image half in the trash.
func LeaveHalf(t *testing.T, m *Images, spec ImageSpec, half Half) {
	t.Helper()
	leaveMarked(t, m, spec, func(s *scope, ioctx *ioContext, _ *openImage, made mark) error {
		err := s.classNew(ioctx, "rbd_trash", "trash_add", trashAdd(made, trashByUser, half.state))
		if err != nil || half != HalfRestored {
			return err
		}
		var listing encoder
		listing.string(made.Name)
		listing.string(made.ID)
		return s.class(ioctx, "rbd_directory", "dir_remove_image", listing.Bytes())
	})
}

// LeaveMoved leaves an image in the trash as a delete does that was cut short before it
// looked for who has it open.
func LeaveMoved(t *testing.T, m *Images, spec ImageSpec) {
	t.Helper()
	leaveMarked(t, m, spec, func(s *scope, ioctx *ioContext, img *openImage, made mark) error {
		return s.moveUnopened(ioctx, img, made)
	})
}

func leaveMarked(t *testing.T, m *Images, spec ImageSpec, leave func(*scope, *ioContext, *openImage, mark) error) {
	t.Helper()
	err := m.do(t.Context(), "half", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		img, made, err := s.marked(ioctx, spec)
		if err != nil {
			return err
		}
		return leave(s, ioctx, img, made)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// PurgeTo has a purge at the image id of a pool, which it has open when begun is set: then
// it has noted that the image is not whole any more. It goes on until end is called.
func PurgeTo(t *testing.T, m *Images, spec ImageSpec, begun bool) (end func()) {
	t.Helper()
	there, over, ended := make(chan error), make(chan struct{}), make(chan error)
	go func() {
		ended <- m.do(context.WithoutCancel(t.Context()), "purge", spec.String(), func(s *scope) error {
			i, err := s.halfPurge(spec, begun)
			if there <- err; err != nil {
				return err
			}
			<-over
			return errors.Join(s.closeImages(), i.finish())
		})
	}()
	if err := <-there; err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		close(over)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return end
}

func (s *scope) halfPurge(spec ImageSpec, begun bool) (*intent, error) {
	list, err := s.marks(spec.Pool)
	if err != nil || len(list) != 1 {
		return nil, errors.Join(err, errors.New("not one mark"))
	}
	i, err := s.beginDeed(deed{Op: opPurge}, list[0].entry(spec.Pool))
	if err != nil || !begun {
		return i, err
	}
	marks, err := s.register(spec.Pool, trashRegister)
	if err != nil {
		return i, err
	}
	list[0].Begun = true
	if err := marks.put(list[0].key(), list[0]); err != nil {
		return i, err
	}
	ioctx, err := s.poolOf(spec)
	if err != nil {
		return i, err
	}
	_, err = s.imageByID(ioctx, list[0].ID)
	return i, err
}
