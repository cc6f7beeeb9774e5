// Package nova holds Nova's rules for the disks of instances in Ceph.
//
//	disks := nova.Disks{Images: rbd.NewImages(cluster), Pool: "vms", ImagePool: "images"}
//	done, err := disks.Create(ctx, nova.Create{Instance: uuid, Image: image, Size: 5 << 30})
//
// The instance's UUID is the idempotency key, as a volume's is in package
// cinder.
package nova

import (
	"context"

	"rbdctl/backends"
	"rbdctl/backends/glance"
	"rbdctl/rbd"
)

// RootDisk is the name of the disk that an instance boots from.
const RootDisk = "disk"

// Disks are the disks of instances with images_type = rbd.
type Disks struct {
	Images    *rbd.Images
	Pool      string
	ImagePool string // Glance's
}

// Create is a request for an instance's root disk.
type Create struct {
	Instance string
	Size     uint64 // bytes
	Image    string // id of the Glance image to clone; empty: a blank disk
}

// Create makes the disk, as a copy-on-write clone of the Glance image grown to
// the size. A Glance image whose content is not RAW is ErrInvalid. See
// rbd.Images.Ensure for what holds when it fails or is killed.
// See: nova/virt/libvirt/imagebackend.py, Rbd.clone and create_image.
func (d Disks) Create(ctx context.Context, c Create) (rbd.Ensured, error) {
	if err := backends.CheckID("instance", c.Instance); err != nil {
		return rbd.Ensured{}, err
	}
	want := rbd.Want{Image: backends.Disk(d.Pool, c.Instance, RootDisk), Size: c.Size}
	if c.Image != "" {
		if err := glance.CloneOf(&want, d.ImagePool, c.Image); err != nil {
			return rbd.Ensured{}, err
		}
	}
	return d.Images.Ensure(ctx, want)
}
