package cinder

import (
	"context"
	"errors"

	"rbdctl/backends"
	"rbdctl/rbd"
)

// MemberSnapshot is the snapshot of one volume of a group.
type MemberSnapshot struct {
	ID       string `json:"id"`
	VolumeID string `json:"volume_id"`
}

// CreateGroupSnapshot takes the snapshots of a group's volumes at one moment; see
// [rbd.Images.SnapshotGroup] for what holds. They are snapshots of the volumes as
// CreateSnapshot takes them, and there is nothing else: no trace of the group's
// snapshot is left. The volumes of members are those that the group then has. All
// there already is success, and false.
// See: cinder/volume/manager.py, create_group_snapshot.
func (v Volumes) CreateGroupSnapshot(ctx context.Context, id, snapshot string, members []MemberSnapshot) (created bool, err error) {
	g, specs, err := v.memberSnapshots(id, snapshot, members)
	if err != nil {
		return false, err
	}
	return v.snapshotGroup(ctx, g, rbd.GroupSnapshot{Name: groupSnapshotPrefix + snapshot, Members: specs, Protect: true})
}

// DeleteGroupSnapshot removes the snapshots of a group's volumes, complete or not. It
// fails no more than DeleteSnapshot does, and goes on with the others when one does.
// See: cinder/volume/manager.py, delete_group_snapshot.
func (v Volumes) DeleteGroupSnapshot(ctx context.Context, id, snapshot string, members []MemberSnapshot) error {
	g, specs, err := v.memberSnapshots(id, snapshot, members)
	if err != nil {
		return err
	}
	errs := []error{v.Images.SettleGroup(ctx, g)}
	for _, spec := range specs {
		errs = append(errs, v.Images.DeleteSnapshot(ctx, spec))
	}
	return errors.Join(errs...)
}

func (v Volumes) memberSnapshots(id, snapshot string, members []MemberSnapshot) (rbd.GroupSpec, []rbd.SnapSpec, error) {
	g, err := v.group(id)
	err = errors.Join(err, backends.CheckID("group snapshot", snapshot), checkSome(len(members)))
	var specs []rbd.SnapSpec
	for _, m := range members {
		spec, bad := v.snapshot(m.VolumeID, m.ID)
		err = errors.Join(err, bad)
		specs = append(specs, spec)
	}
	return g, specs, err
}

// Copy is a volume, and one that is to be cloned from it.
type Copy struct {
	ID       string `json:"id"`        // of the clone
	SourceID string `json:"source_id"` // of the volume
}

// PrepareGroupClone takes, at one moment, the snapshots that clones of a group's
// volumes are made of: Create, from each volume as prepared, then finds its own. One that
// is not used goes with a purge, after a day.
// See: cinder/volume/manager.py, create_group_from_src.
func (v Volumes) PrepareGroupClone(ctx context.Context, id, clone string, copies []Copy) error {
	g, err := v.group(id)
	err = errors.Join(err, backends.CheckID("group", clone), checkSome(len(copies)))
	var specs []rbd.SnapSpec
	for _, c := range copies {
		source, bad := v.volume(c.SourceID)
		err = errors.Join(err, bad, backends.CheckID("volume", c.ID))
		specs = append(specs, cloneSnapshot(source, c.ID))
	}
	if err != nil {
		return err
	}
	_, err = v.snapshotGroup(ctx, g, rbd.GroupSnapshot{Name: groupPrefix + clone, Members: specs, Protect: true})
	return err
}

func (v Volumes) snapshotGroup(ctx context.Context, g rbd.GroupSpec, o rbd.GroupSnapshot) (created bool, err error) {
	var images []rbd.ImageSpec
	for _, spec := range o.Members {
		images = append(images, spec.ImageSpec)
	}
	if err := v.ensureMembers(ctx, g, images); err != nil {
		return false, err
	}
	return v.Images.SnapshotGroup(ctx, g, o)
}
