package rbd

import (
	"context"
	"errors"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// flattenTask is the task of a job that flattens.
func (s *scope) flattenTask(ctx context.Context, a *atJob) task {
	return task{
		do:    func() (*Parent, error) { return s.flattenJob(ctx, a.now(), a.tell) },
		undo:  func() error { return s.attachAgain(a.now().Subject) }, // what was copied stays, and the image is whole
		leave: func(error) error { return nil },
		gone:  func(err error) bool { return errors.Is(err, ErrNotFound) || isErrno(err, syscall.ENOENT) },
	}
}

// flattenJob flattens the image of a job and returns the parent that it had. It does
// not take the image's intent: for hours nobody could take a snapshot of it. It
// leaves the image whole wherever it is cut short. ErrNotFound when the name is
// another image's by now.
func (s *scope) flattenJob(ctx context.Context, j Job, progress Progress) (*Parent, error) {
	spec, err := ParseImageSpec(j.Subject)
	if err != nil {
		return nil, err
	}
	if r, err := s.intentOf(spec); err != nil || r != nil && (r.Op == opMoveAway || r.Op == opRevert) {
		if err == nil {
			err = &heldError{*r}
		}
		return nil, err
	}
	ioctx, err := s.poolOf(spec)
	if err != nil {
		return nil, err
	}
	id, err := s.imageID(ioctx, spec.Image)
	if err == nil && jobID(j.Kind, id, j.Subject) != j.ID {
		err = fault.New(ErrNotFound, "another image has its name by now")
	}
	if err != nil {
		return nil, err
	}
	look, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if err != nil {
		return nil, err
	}
	parent, err := look.parent()
	if err = errors.Join(err, look.close()); err != nil || parent == nil {
		return nil, err
	}
	if err := s.noteParent(parent); err != nil {
		return nil, err
	}
	img, err := s.imageByID(ioctx, id)
	if err != nil {
		return nil, err
	}
	return parent, errors.Join(img.flatten(ctx, progress), img.close())
}
