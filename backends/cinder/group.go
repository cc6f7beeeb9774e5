package cinder

import (
	"context"
	"slices"

	"rbdctl/backends"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

const (
	groupPrefix         = "group-"
	groupSnapshotPrefix = "group_snapshot-"
)

// Group is a group of volumes whose snapshots are taken at one moment.
type Group struct {
	ID      string `json:"id"`
	Name    string `json:"name"` // of the RBD group
	Pool    string `json:"pool"`
	Volumes []Name `json:"volumes"`
}

// GroupChange says what is to become of a group, by the ids of volumes.
type GroupChange struct {
	Add, Remove []string
}

// group is the RBD group of a group of Cinder's, after a look at its id.
func (v Volumes) group(id string) (rbd.GroupSpec, error) {
	return rbd.GroupSpec{Pool: v.Pool, Group: groupPrefix + id}, backends.CheckID("group", id)
}

// CreateGroup makes an empty group. There already is success, and false.
// See: cinder/volume/manager.py, create_group.
//
// Similar To: rbd group create <pool>/group-<uuid>
func (v Volumes) CreateGroup(ctx context.Context, id string) (created bool, err error) {
	g, err := v.group(id)
	if err != nil {
		return false, err
	}
	return v.Images.EnsureGroup(ctx, g)
}

// GetGroup looks at a group. ErrNotFound when it is not there.
//
// Similar To: rbd group image ls <pool>/group-<uuid>
func (v Volumes) GetGroup(ctx context.Context, id string) (Group, error) {
	g, err := v.group(id)
	if err != nil {
		return Group{}, err
	}
	members, err := v.Images.GroupMembers(ctx, g)
	out := Group{ID: id, Name: g.Group, Pool: v.Pool, Volumes: []Name{}}
	for _, image := range members {
		id, _ := ParseName(image.Image)
		out.Volumes = append(out.Volumes, Name{ID: id, Name: image.Image})
	}
	return out, err
}

// UpdateGroup puts volumes into a group, and takes others out. What is so already
// stays, and a volume that is gone is out. ErrExists for one that is in another
// group.
// See: cinder/volume/manager.py, update_group.
//
// Similar To: rbd group image add <group> <volume>; rbd group image rm <group> <volume>
func (v Volumes) UpdateGroup(ctx context.Context, id string, c GroupChange) error {
	g, err := v.group(id)
	if err != nil {
		return err
	}
	var change rbd.GroupChange
	if change.Add, err = v.volumes(c.Add); err != nil {
		return err
	}
	if change.Remove, err = v.volumes(c.Remove); err != nil {
		return err
	}
	return v.Images.ChangeGroup(ctx, g, change)
}

// volumes are the images of volumes, after a look at their ids.
func (v Volumes) volumes(ids []string) ([]rbd.ImageSpec, error) {
	var specs []rbd.ImageSpec
	for _, id := range ids {
		spec, err := v.volume(id)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// DeleteGroup removes a group. Its volumes and their snapshots stay. Gone is success.
// See: cinder/volume/manager.py, delete_group.
//
// Similar To: rbd group rm <pool>/group-<uuid>
func (v Volumes) DeleteGroup(ctx context.Context, id string) error {
	g, err := v.group(id)
	if err != nil {
		return err
	}
	return v.Images.DeleteGroup(ctx, g)
}

// ensureMembers makes a group be there, and have these volumes and no others. A
// volume that was created into its group has not been put in before, and one whose
// group Cinder changed while the cluster was away is out of it.
func (v Volumes) ensureMembers(ctx context.Context, g rbd.GroupSpec, want []rbd.ImageSpec) error {
	if _, err := v.Images.EnsureGroup(ctx, g); err != nil {
		return err
	}
	have, err := v.Images.GroupMembers(ctx, g)
	if err != nil {
		return err
	}
	but := func(list, others []rbd.ImageSpec) []rbd.ImageSpec {
		return slices.DeleteFunc(slices.Clone(list), func(i rbd.ImageSpec) bool { return slices.Contains(others, i) })
	}
	change := rbd.GroupChange{Add: but(want, have), Remove: but(have, want)}
	if len(change.Add)+len(change.Remove) == 0 {
		return nil
	}
	return v.Images.ChangeGroup(ctx, g, change)
}

// checkSome refuses a request for nothing.
func checkSome(n int) error {
	if n == 0 {
		return fault.New(ErrInvalid, "the list of volumes is empty")
	}
	return nil
}
