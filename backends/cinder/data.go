package cinder

import (
	"context"
	"io"

	"rbdctl/rbd"
)

// Read writes the content of a volume, or of a snapshot of it unless that is
// empty, to w: as many bytes as Get gives for its size.
// See: cinder/volume/drivers/rbd.py, copy_volume_to_image.
//
// Similar To: rbd export <volume>[@snapshot-<uuid>] -
func (v Volumes) Read(ctx context.Context, id, snapshot string, w io.Writer, progress rbd.Progress) error {
	image, err := v.volume(id)
	spec := image.At("")
	if err == nil && snapshot != "" {
		spec, err = v.snapshot(id, snapshot)
	}
	if err != nil {
		return err
	}
	if err := v.Images.CheckSettled(ctx, image); err != nil {
		return err
	}
	return v.Images.Read(ctx, spec, w, progress)
}

// Write puts content into a volume, from its beginning, and returns how many bytes
// that were. More than the volume holds is ErrInvalid; less leaves the rest as it
// is. The volume keeps its size.
// See: cinder/volume/drivers/rbd.py, copy_image_to_volume.
func (v Volumes) Write(ctx context.Context, id string, src rbd.Source, progress rbd.Progress) (uint64, error) {
	spec, err := v.volume(id)
	if err != nil {
		return 0, err
	}
	return v.Images.Write(ctx, spec, src, progress)
}
