// Package backends holds what the three OpenStack services have in common where
// they use Ceph: the names on the wire, and the words.
//
// A volume is Cinder's, a disk is Nova's, a Glance image is Glance's; each is
// stored in one RBD image. The names are those of the upstream drivers, byte for
// byte, so that a cloud can adopt rbdctl and go back:
//
//	images/<image-uuid>@snap          a Glance image and its protected snapshot
//	volumes/volume-<uuid>             a volume
//	vms/<instance-uuid>_disk          the root disk of an instance
//
// The subpackages glance, cinder and nova hold the rules of one service each.
package backends

import (
	"github.com/google/uuid"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// The pools of the standard integration.
const (
	PoolVolumes = "volumes"
	PoolVMs     = "vms"
	PoolImages  = "images"
	PoolBackups = "backups"
)

// GlanceSnapshot is the snapshot that clones of a Glance image are made from.
// See: glance_store/_drivers/rbd.py:45, DEFAULT_SNAPNAME.
const GlanceSnapshot = "snap"

// GlanceImage is the snapshot to clone for the Glance image id.
// See: glance_store/_drivers/rbd.py:552,611.
func GlanceImage(pool, id string) rbd.SnapSpec {
	return rbd.ImageSpec{Pool: pool, Image: id}.At(GlanceSnapshot)
}

// Volume is where the volume id is stored.
// See: cinder/db/api.py:86, volume_name_template.
func Volume(pool, id string) rbd.ImageSpec {
	return rbd.ImageSpec{Pool: pool, Image: "volume-" + id}
}

// Disk is where an instance's disk is stored; name is "disk" for the root disk,
// and "disk.local", "disk.eph0", "disk.swap", "disk.config" or "disk.rescue".
// See: nova/virt/libvirt/imagebackend.py:918.
func Disk(pool, instance, name string) rbd.ImageSpec {
	return rbd.ImageSpec{Pool: pool, Image: instance + "_" + name}
}

// CheckID tells whether id is a UUID as OpenStack writes it. what is the word
// for the object in the error, which is of kind ErrInvalid.
func CheckID(what, id string) error {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.String() != id {
		return fault.Newf(fault.ErrInvalid, "%s id %q: want a UUID such as 9f1d6a52-8a0c-4d7e-b1a4-0c9e5a7f2b11, in lower case", what, id)
	}
	return nil
}
