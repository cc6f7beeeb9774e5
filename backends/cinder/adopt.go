package cinder

import (
	"context"
	"errors"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// Rename gives a volume the id to, as Cinder does when it has migrated a volume
// to a new one. There by that id, and gone by the old one, is success.
// See: cinder/volume/drivers/rbd.py, update_migrated_volume.
func (v Volumes) Rename(ctx context.Context, id, to string) error {
	from, err := v.volume(id)
	if err != nil {
		return err
	}
	target, err := v.volume(to)
	if err != nil {
		return err
	}
	if id == to {
		_, err := v.Images.Stat(ctx, from)
		return err
	}
	return v.Images.Rename(ctx, from, target)
}

// ReleaseSnapshot lets go of a snapshot, which stays: it is no more protected, unless it
// has clones, so that whoever has it can remove it by any tool. Done already is success.
// See: cinder/volume/drivers/rbd.py, unmanage_snapshot.
//
// Similar To: rbd snap unprotect <volume>@snapshot-<uuid>
func (v Volumes) ReleaseSnapshot(ctx context.Context, id, snapshot string) error {
	spec, err := v.snapshot(id, snapshot)
	if err != nil {
		return err
	}
	return v.Images.UnprotectUnused(ctx, spec)
}

// Adopt makes the image called name the volume id: Cinder manages it from then on.
// An image that is something else by its name, such as a backup or an instance's
// disk, is ErrInvalid, one that is open ErrInUse. Done already is success.
// See: cinder/volume/drivers/rbd.py, manage_existing.
//
// Similar To: rbd rename <name> volume-<uuid>
func (v Volumes) Adopt(ctx context.Context, id, name string) (Volume, error) {
	to, err := v.volume(id)
	if err == nil {
		err = rbd.CheckName("image", name)
	}
	if err != nil {
		return Volume{}, err
	}
	from := rbd.ImageSpec{Pool: v.Pool, Image: name}
	look := func() error {
		info, err := v.Images.Stat(ctx, from)
		if err == nil && from != to {
			err = v.checkAdoptable(ctx, info)
		}
		return err
	}
	err = look()
	if errors.Is(err, ErrInUse) { // perhaps by a process that died while it did just this
		if err = v.Images.SettleImage(ctx, from); err == nil {
			err = look()
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Volume{}, err
	}
	if from != to { // not found is for Rename to decide: it may be renamed already
		if err := v.Images.Rename(ctx, from, to); err != nil {
			return Volume{}, err
		}
	}
	return v.Get(ctx, id)
}

// AdoptSnapshot makes the snapshot called name of a volume the snapshot sid of
// Cinder's, and protects it. Done already is success.
// See: cinder/volume/drivers/rbd.py, manage_existing_snapshot.
//
// Similar To: rbd snap rename <volume>@<name> <volume>@snapshot-<uuid>; rbd snap protect …
func (v Volumes) AdoptSnapshot(ctx context.Context, id, snapshot, name string) error {
	spec, err := v.snapshot(id, snapshot)
	if err == nil {
		err = rbd.CheckName("snapshot", name)
	}
	if err != nil {
		return err
	}
	if role := snapshotRole(name); role != "" {
		return fault.Newf(ErrInvalid, "%s cannot become a snapshot of Cinder's: %s", spec.ImageSpec.At(name), role)
	}
	if name != spec.Snap {
		if err := v.Images.RenameSnapshot(ctx, spec.ImageSpec.At(name), spec.Snap); err != nil {
			return err
		}
	}
	_, err = v.Images.EnsureSnapshot(ctx, spec, rbd.SnapOptions{Protect: true})
	return err
}
