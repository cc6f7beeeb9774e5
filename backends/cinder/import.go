package cinder

import (
	"context"
	"errors"

	"rbdctl/backends"
	"rbdctl/backends/glance"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// Import is a request for a volume with the disk in a Glance image of the cluster.
type Import struct {
	ID         string
	ImageID    string
	Format     string // what Glance says that the image is: glance.QCOW2 or glance.Raw
	Size       uint64 // bytes, exactly
	ObjectSize uint64 // bytes; 0: ceph.conf's default
}

// Import makes a volume of an image that can't be cloned, in the background: the job
// tells how far it is, and the volume is there when it is done. From then on the request
// to create the volume of that image is success, and gives it its limits. Asked for
// again, it is the same job; a volume that is there, of that image and that size, is a
// job that is done, and any other is ErrExists.
//
// The image need not be protected. One that is not what Glance says, is not complete in
// itself, or has a disk that is larger than the volume, is ErrInvalid. See
// rbd.Images.StartImport.
// See: cinder/volume/drivers/rbd.py, copy_image_to_volume.
//
// Similar To: rbd export images/<id>@snap file; qemu-img convert -O raw file rbd:volumes/volume-<uuid>
func (v Volumes) Import(ctx context.Context, c Import) (rbd.Job, error) {
	spec, err := v.volume(c.ID)
	if err == nil {
		err = backends.CheckID("image", c.ImageID)
	}
	if err == nil && c.Format != glance.QCOW2 && c.Format != glance.Raw {
		err = fault.Newf(ErrInvalid, "format %q: want %s or %s", c.Format, glance.QCOW2, glance.Raw)
	}
	if err != nil {
		return rbd.Job{}, err
	}
	made := Source{Kind: FromImage, ID: c.ImageID}
	job, err := v.Images.StartImport(ctx, rbd.DiskImport{
		Image: spec, Size: c.Size, ObjectSize: c.ObjectSize,
		Source: backends.GlanceImage(v.ImagePool, c.ImageID), Format: c.Format,
		Key: originKey, Value: origin(c.ID, made),
	}, glance.OpenDisk)
	if errors.Is(err, ErrExists) {
		return v.imported(ctx, c, err)
	}
	return job, err
}

// imported is the job of a volume that was made as c wants it; conflict is what else
// there is to say.
func (v Volumes) imported(ctx context.Context, c Import, conflict error) (rbd.Job, error) {
	info, err := v.lookAt(ctx, c.ID)
	if errors.Is(err, ErrNotFound) {
		return rbd.Job{}, conflict
	}
	if err != nil {
		return rbd.Job{}, err
	}
	made := Source{Kind: FromImage, ID: c.ImageID}
	same, err := v.madeOf(ctx, c.ID, info, made)
	if err != nil {
		return rbd.Job{}, err
	}
	if !same || info.Size != c.Size {
		return rbd.Job{}, conflict
	}
	return rbd.ImportedOf(backends.GlanceImage(v.ImagePool, c.ImageID), info), nil
}
