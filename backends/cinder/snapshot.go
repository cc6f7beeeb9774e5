package cinder

import (
	"context"

	"rbdctl/rbd"
)

// CreateSnapshot takes a snapshot of a volume and protects it, as its clones may
// need. There already is success, and false.
// See: cinder/volume/drivers/rbd.py, create_snapshot.
//
// Similar To: rbd snap create <volume>@snapshot-<uuid>; rbd snap protect …
func (v Volumes) CreateSnapshot(ctx context.Context, id, snapshot string) (created bool, err error) {
	spec, err := v.snapshot(id, snapshot)
	if err != nil {
		return false, err
	}
	return v.Images.EnsureSnapshot(ctx, spec, rbd.SnapOptions{Protect: true})
}

// DeleteSnapshot removes a snapshot of a volume. Gone is success, and so is one
// with clones: its name is free at once, its clones go on working, and its data
// goes when the last of them is gone.
// See: cinder/volume/drivers/rbd.py, delete_snapshot.
func (v Volumes) DeleteSnapshot(ctx context.Context, id, snapshot string) error {
	spec, err := v.snapshot(id, snapshot)
	if err != nil {
		return err
	}
	return v.Images.DeleteSnapshot(ctx, spec)
}

// Revert gives a volume the content of a snapshot of it. It keeps its size. ErrInUse
// while a client has it open, and then nothing is touched.
// See: cinder/volume/drivers/rbd.py, revert_to_snapshot.
//
// Similar To: rbd snap rollback <volume>@snapshot-<uuid>
func (v Volumes) Revert(ctx context.Context, id, snapshot string, progress rbd.Progress) error {
	spec, err := v.snapshot(id, snapshot)
	if err != nil {
		return err
	}
	return v.Images.Revert(ctx, spec, progress)
}
