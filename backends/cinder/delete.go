package cinder

import (
	"context"

	"rbdctl/rbd"
)

// Delete removes a volume. Gone is success. It takes the time of a rename, whatever
// the size, and never fails because of clones or snapshots: they go on working,
// and the data goes when a purge finds that nothing needs it and the Delay is
// over. ErrInUse while a client has the volume open, and then nothing is
// touched, its snapshots neither.
//
// Cinder does not ask for this while it knows of snapshots; those that it has let go
// of (unmanaged) are no reason to refuse, as they are none to the upstream driver, which
// moves such a volume to the trash.
// See: cinder/volume/drivers/rbd.py, delete_volume.
func (v Volumes) Delete(ctx context.Context, id string) error {
	spec, err := v.volume(id)
	if err != nil {
		return err
	}
	return v.Images.Delete(ctx, spec, rbd.DeleteOptions{Delay: v.Delay})
}
