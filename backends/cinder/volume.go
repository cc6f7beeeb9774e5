package cinder

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"rbdctl/backends"
	"rbdctl/rbd"
)

// Volumes are the volumes of one Cinder backend.
type Volumes struct {
	Images    *rbd.Images
	Cluster   monitors // the one of Images; only Stats and Connection ask it
	Pool      string
	ImagePool string // Glance's

	Delay  time.Duration // how long a deleted volume can be restored; 0: until it is purged
	Limits Depth         // of chains of clones

	ClusterName string // in connections, for os-brick; empty: ceph
	SecretUUID  string // of libvirt, in connections; empty: the cluster's fsid
}

// monitors is what of a cluster is asked here; *rbd.Cluster is one.
type monitors interface {
	MonCommand(ctx context.Context, cmd []byte) ([]byte, error)
	FSID(ctx context.Context) (string, error)
	Entity() string
}

// Volume is a volume as it is.
type Volume struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"` // of the image
	Pool       string            `json:"pool"`
	Size       uint64            `json:"size_bytes"` // of the image, with a LUKS header if it has one
	ObjectSize uint64            `json:"object_size_bytes"`
	Parent     *Parent           `json:"parent"` // null: not a clone
	Depth      int               `json:"depth"`  // how many parents are below it
	Snapshots  []Snapshot        `json:"snapshots"`
	Metadata   map[string]string `json:"metadata"`
}

// Parent is the snapshot that a volume is a clone of.
type Parent struct {
	Pool     string `json:"pool"`
	Image    string `json:"image"`
	Snapshot string `json:"snapshot"`
}

// Snapshot is a snapshot of a volume's image.
type Snapshot struct {
	ID        string `json:"id"` // Cinder's; empty: not one of Cinder's
	Name      string `json:"name"`
	Size      uint64 `json:"size_bytes"`
	Protected bool   `json:"protected"`
}

// Name is one volume of a list.
type Name struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

const (
	volumePrefix   = "volume-"
	snapshotPrefix = "snapshot-"
	cloneSuffix    = ".clone_snap"
)

// volume is the image of a volume, after a look at its id.
func (v Volumes) volume(id string) (rbd.ImageSpec, error) {
	return backends.Volume(v.Pool, id), backends.CheckID("volume", id)
}

// snapshot is a snapshot of a volume, after a look at both ids.
// See: cinder/db/api.py:91, snapshot_name_template.
func (v Volumes) snapshot(id, snapshot string) (rbd.SnapSpec, error) {
	spec, err := v.volume(id)
	return spec.At(snapshotPrefix + snapshot), errors.Join(err, backends.CheckID("snapshot", snapshot))
}

// cloneSnapshot is the snapshot of source that the volume id is a clone of.
// See: cinder/volume/drivers/rbd.py, create_cloned_volume.
func cloneSnapshot(source rbd.ImageSpec, id string) rbd.SnapSpec {
	return source.At(volumePrefix + id + cloneSuffix)
}

// ParseName reads the id out of the name of a volume's image; false for every
// other name, such as volume-<uuid>.deleted.
func ParseName(image string) (id string, ok bool) { return parseID(volumePrefix, image) }

// ParseSnapshot reads the id out of the name of one of Cinder's snapshots.
func ParseSnapshot(name string) (id string, ok bool) { return parseID(snapshotPrefix, name) }

func parseID(prefix, name string) (string, bool) {
	id, ok := strings.CutPrefix(name, prefix)
	if !ok || backends.CheckID("", id) != nil {
		return "", false
	}
	return id, true
}

// List names the volumes of the pool, sorted by id. Of a volume that is half
// made or half removed only Get tells.
func (v Volumes) List(ctx context.Context) ([]Name, error) {
	images, err := v.Images.List(ctx, v.Pool, "")
	volumes := []Name{}
	for _, image := range images {
		if id, ok := ParseName(image); ok {
			volumes = append(volumes, Name{ID: id, Name: image})
		}
	}
	slices.SortFunc(volumes, func(a, b Name) int { return strings.Compare(a.ID, b.ID) })
	return volumes, err
}

// describe is what package rbd knows of a volume, in Cinder's words.
func (v Volumes) describe(id string, info rbd.Info) Volume {
	out := Volume{
		ID: id, Name: info.Spec.Image, Pool: v.Pool, Size: info.Size, ObjectSize: info.ObjectSize,
		Snapshots: []Snapshot{}, Metadata: map[string]string{},
	}
	if p := info.Parent; p != nil {
		out.Parent = &Parent{Pool: p.Pool, Image: p.Image, Snapshot: p.Snap}
	}
	for _, s := range info.Snapshots {
		sid, _ := ParseSnapshot(s.Name)
		out.Snapshots = append(out.Snapshots, Snapshot{ID: sid, Name: s.Name, Size: s.Size, Protected: s.Protected})
	}
	return out
}
