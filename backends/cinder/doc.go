// Package cinder holds Cinder's rules for volumes in Ceph: all that a volume
// driver decides, so that a driver of a few lines can ask for it.
//
//	volumes := cinder.Volumes{Images: rbd.NewImages(cluster), Cluster: cluster, Pool: "volumes", ImagePool: "images"}
//	done, err := volumes.Create(ctx, cinder.Create{
//		ID: id, Size: 10 << 30, Source: cinder.Source{Kind: cinder.FromImage, ID: image},
//	})
//
// The UUID that OpenStack gave a volume or a snapshot is the idempotency key: the
// same request again is success, another one for the same UUID is a conflict that
// names the difference, and to remove what is gone is success. Every function may
// be killed at any instruction and called again, by any process of any host.
//
// Names, metadata and snapshots are the upstream driver's, byte for byte, so a
// pool can be handed from one driver to the other and back:
//
//	volume-<uuid>                         a volume
//	volume-<uuid>@snapshot-<uuid>         a snapshot of it, protected
//	volume-<uuid>@volume-<dst>.clone_snap what the volume dst is a clone of, protected
//	group-<uuid>                          an RBD group of volumes, while Cinder has it
//	conf_rbd_qos_…                        limits, in an image's metadata
//
// Sizes are exact bytes: the image of an encrypted volume is larger than the
// volume by its LUKS header. Nothing here ever makes an image smaller.
//
// The package decides; package rbd does the work, holds its journal and bounds
// its time.
package cinder
