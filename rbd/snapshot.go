package rbd

import (
	"context"
	"syscall"

	"rbdctl/internal/fault"
)

// CreateSnapshot takes a snapshot. ErrExists when the name is taken.
//
// Similar To: rbd snap create <spec>
func (m *Images) CreateSnapshot(ctx context.Context, spec SnapSpec) error {
	return m.onImage(ctx, "snap create", spec, func(img *openImage) error { return img.createSnapshot(spec.Snap) })
}

// RemoveSnapshot removes a snapshot. ErrInUse when it is protected.
//
// Similar To: rbd snap rm <spec>
func (m *Images) RemoveSnapshot(ctx context.Context, spec SnapSpec) error {
	return m.onImage(ctx, "snap rm", spec, func(img *openImage) error {
		return run(img.s, "rbd_snap_remove", img.GetSnapshot(spec.Snap).Remove)
	})
}

// Protect keeps a snapshot from being removed, as its clones of format 1 need.
// One that is protected already is success.
//
// Similar To: rbd snap protect <spec>
func (m *Images) Protect(ctx context.Context, spec SnapSpec) error {
	return m.onImage(ctx, "snap protect", spec, func(img *openImage) error { return img.protect(spec.Snap) })
}

// Unprotect undoes Protect. ErrInUse while clones of format 1 exist; one that is
// not protected is success.
//
// Similar To: rbd snap unprotect <spec>
func (m *Images) Unprotect(ctx context.Context, spec SnapSpec) error {
	return m.onImage(ctx, "snap unprotect", spec, func(img *openImage) error {
		protected, err := img.protected(spec.Snap)
		if err != nil || !protected {
			return err
		}
		return run(img.s, "rbd_snap_unprotect", img.GetSnapshot(spec.Snap).Unprotect)
	})
}

// UnprotectUnused undoes Protect of a snapshot without clones of either format. One that
// has clones stays as it is, which is success, and so is one that is not protected.
//
// Similar To: rbd children <spec>; rbd snap unprotect <spec>
func (m *Images) UnprotectUnused(ctx context.Context, spec SnapSpec) error {
	d := deed{Op: opRelease, Snap: spec.Snap}
	if err := spec.validate(); err != nil {
		return wrap(d.Op, spec.String(), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	_, err := change(ctx, m, d, spec.ImageSpec, func(s *scope, ioctx *ioContext) (struct{}, error) {
		img, err := s.image(ioctx, spec.Image)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, img.unprotectUnused(spec)
	})
	return err
}

func (o *openImage) unprotectUnused(spec SnapSpec) error {
	snap, there, err := o.snapshot(spec.Snap)
	if err == nil && !there {
		err = fault.New(ErrNotFound, "there is no snapshot of this name")
	}
	if err != nil || !snap.Protected {
		return err
	}
	clones, err := o.cloned(spec.ImageSpec, snap)
	if err != nil || clones {
		return err
	}
	err = run(o.s, "rbd_snap_unprotect", o.GetSnapshot(spec.Snap).Unprotect)
	return ignore(err, syscall.EBUSY, syscall.EINVAL) // cloned just now; unprotected just now
}

// cloned tells whether a snapshot of the image has clones.
func (o *openImage) cloned(spec ImageSpec, snap Snapshot) (bool, error) {
	ioctx, err := o.s.poolOf(spec)
	if err != nil {
		return false, err
	}
	id, err := native(o.s, "rbd_get_id", o.GetId)
	if err != nil {
		return false, err
	}
	return o.s.hasClones(ioctx, id, snap)
}

// onImage runs fn on the open image of spec.
func (m *Images) onImage(ctx context.Context, op string, spec SnapSpec, fn func(*openImage) error) error {
	if err := spec.validate(); err != nil {
		return wrap(op, spec.String(), err)
	}
	return m.do(ctx, op, spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec.ImageSpec)
		if err != nil {
			return err
		}
		img, err := s.image(ioctx, spec.Image)
		if err != nil {
			return err
		}
		return fn(img)
	})
}

func (o *openImage) createSnapshot(name string) error {
	return run(o.s, "rbd_snap_create", func() error {
		_, err := o.CreateSnapshot(name)
		return err
	})
}

// protect counts EBUSY as done when the snapshot is protected: librbd gives it
// for a snapshot that already is.
func (o *openImage) protect(name string) error {
	err := run(o.s, "rbd_snap_protect", o.GetSnapshot(name).Protect)
	if isErrno(err, syscall.EBUSY) {
		if protected, look := o.protected(name); look == nil && protected {
			return nil
		}
	}
	return err
}
