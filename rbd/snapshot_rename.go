package rbd

import (
	"context"

	"rbdctl/internal/fault"
)

// RenameSnapshot gives a snapshot another name, also while its image is open. There
// by that name, and gone by the old one, is success: it was done before. ErrExists
// when both are there, ErrNotFound when neither is.
//
// Similar To: rbd snap rename <spec> <image>@<to>
func (m *Images) RenameSnapshot(ctx context.Context, spec SnapSpec, to string) error {
	target := spec.ImageSpec.At(to)
	err := checkSnapshot(spec)
	if err == nil {
		err = checkSnapshot(target)
	}
	if err == nil && spec == target {
		err = fault.New(ErrInvalid, "the names are the same")
	}
	if err != nil {
		return wrap(opResnap, spec.String()+" to "+to, err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	_, err = change(ctx, m, deed{Op: opResnap, Snap: spec.Snap, Other: to}, spec.ImageSpec, func(s *scope, ioctx *ioContext) (struct{}, error) {
		return struct{}{}, s.renameSnapshot(ioctx, spec, to)
	})
	return err
}

// renameSnapshot is one write of the image's header: it is done or not.
func (s *scope) renameSnapshot(ioctx *ioContext, spec SnapSpec, to string) error {
	img, err := s.image(ioctx, spec.Image)
	if err != nil {
		return err
	}
	_, old, err := img.snapshot(spec.Snap)
	if err != nil {
		return err
	}
	_, now, err := img.snapshot(to)
	switch {
	case err != nil:
		return err
	case old && now:
		return fault.Newf(ErrExists, "a snapshot %s is there: it stays as it is", to)
	case now:
		return nil
	case !old:
		return fault.New(ErrNotFound, "the image has no snapshot of either name")
	}
	if err := run(s, "rbd_snap_rename", func() error { return img.GetSnapshot(spec.Snap).Rename(to) }); err != nil {
		return err
	}
	if _, now, err = img.snapshot(to); err == nil && !now {
		err = fault.New(ErrUnavailable, "the snapshot is not there by its new name: try again")
	}
	return err
}
