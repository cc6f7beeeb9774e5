package rbd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// GroupSnapshot is what SnapshotGroup takes.
type GroupSnapshot struct {
	Name    string     // of the group's snapshot while it is being taken
	Members []SnapSpec // what each image's snapshot is called
	Protect bool       // them against removal, as clones of format 1 need it
}

// SnapshotGroup takes a snapshot of every image of a group at one moment: what was
// written to one of them before something else was written to another is in it if
// the other is, as after a power cut. Clients that have the images open wait
// meanwhile, for about a second, and see no error. Each image then has an ordinary
// snapshot; the group keeps nothing.
//
// All there already is success, and false. ErrNotFound when the group is not there;
// ErrInvalid when its images are not those of Members; ErrExists when some of the
// snapshots are there, and others not; ErrUnsupported for an image without an
// exclusive lock, as with multiattach: nobody can stop its writers.
//
// One that is killed leaves nothing that counts: the next operation on the group, or
// on one of its images, removes what there is of it.
//
// Similar To: rbd group snap create <group>@<name>
func (m *Images) SnapshotGroup(ctx context.Context, g GroupSpec, o GroupSnapshot) (created bool, err error) {
	o.Members = slices.SortedFunc(slices.Values(o.Members), func(a, b SnapSpec) int { return strings.Compare(a.Image, b.Image) })
	if err := g.checkSnapshot(o); err != nil {
		return false, wrap(opGroupSnapshot, g.String()+"@"+o.Name, err)
	}
	return changeGroup(ctx, m, deed{Op: opGroupSnapshot, Snap: o.Name}, g, func(s *scope, ioctx *ioContext) (bool, error) {
		created, err := false, error(nil)
		err = s.withMembers(g, o.Members, func() error {
			created, err = s.snapshotGroup(ioctx, g, o)
			return err
		})
		return created, err
	})
}

func (g GroupSpec) checkSnapshot(o GroupSnapshot) error {
	if err := CheckName("group snapshot", o.Name); err != nil {
		return err
	}
	if len(o.Members) == 0 {
		return fault.New(ErrInvalid, "a snapshot of no images")
	}
	for i, snap := range o.Members {
		if err := errors.Join(g.checkMember(snap.ImageSpec), checkSnapshot(snap)); err != nil {
			return err
		}
		if i > 0 && o.Members[i-1].Image == snap.Image {
			return fault.Newf(ErrInvalid, "two snapshots of %s", snap.Image)
		}
	}
	return nil
}

// withMembers runs fn while this call holds the intents of the images, too: nobody
// deletes, renames or resizes one meanwhile. What is left of them leads to the
// group's intent.
func (s *scope) withMembers(g GroupSpec, members []SnapSpec, fn func() error) error {
	if len(members) == 0 {
		return fn()
	}
	first := members[0]
	if s.holds(first.ImageSpec) != nil {
		return s.withMembers(g, members[1:], fn)
	}
	i, err := s.beginDeed(deed{Op: opGroupMember, Snap: first.Snap, Other: g.holder().Image}, first.ImageSpec)
	if err != nil {
		return err
	}
	return i.end(s.withMembers(g, members[1:], fn))
}

// snapshotGroup needs the intents of the group and of its images.
func (s *scope) snapshotGroup(ioctx *ioContext, g GroupSpec, o GroupSnapshot) (created bool, err error) {
	there, err := s.groupSnapshotTaken(ioctx, g, o)
	if err != nil || there {
		return false, err
	}
	// From here on, whoever comes next takes away what it finds of these.
	i := s.holds(g.holder())
	for _, snap := range o.Members {
		i.record.Snaps = append(i.record.Snaps, snap.Image+"@"+snap.Snap)
	}
	if err := i.write("intent members"); err != nil {
		return false, err
	}
	err = s.takeGroupSnapshot(ioctx, g, o)
	if err != nil && refusal(err) {
		if undoing := s.undoGroupSnapshot(ioctx, g, i.record.deed); undoing != nil {
			err = errors.Join(err, fault.Newf(ErrUnavailable, "what there is of it is left for the next attempt: %v", undoing))
		}
	}
	return err == nil, err
}

// groupSnapshotTaken tells whether all snapshots are there; if none is, whether
// they can be taken.
func (s *scope) groupSnapshotTaken(ioctx *ioContext, g GroupSpec, o GroupSnapshot) (bool, error) {
	var there, missing []string
	for _, snap := range o.Members {
		has, err := s.snapshotReady(ioctx, snap, o.Protect)
		if err != nil {
			return false, err
		}
		if has {
			there = append(there, snap.String())
		} else {
			missing = append(missing, snap.String())
		}
	}
	if len(missing) == 0 {
		return true, nil
	}
	if len(there) > 0 {
		return false, fault.Newf(ErrExists, "%s there already, and not %s: they are not of one moment",
			strings.Join(there, ", "), strings.Join(missing, ", "))
	}
	members, err := s.members(ioctx, g)
	if err != nil {
		return false, err
	}
	var want []string
	for _, snap := range o.Members {
		want = append(want, snap.Image)
	}
	if !slices.Equal(members, want) {
		return false, fault.Newf(ErrInvalid, "the group has the images %s, and snapshots are wanted of %s",
			strings.Join(members, ", "), strings.Join(want, ", "))
	}
	state, err := s.groupSnapshotState(ioctx, g, o.Name)
	if err == nil && state != absent {
		err = fault.Newf(ErrExists, "the group has a snapshot %s that is not of rbdctl: remove it with `rbd group snap rm`", o.Name)
	}
	return false, err
}

// snapshotReady tells whether a snapshot is there, and protected if it should be. Of
// an image whose writers cannot be stopped none can be taken here.
func (s *scope) snapshotReady(ioctx *ioContext, spec SnapSpec, protect bool) (bool, error) {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return false, err
	}
	snap, there, err := img.snapshot(spec.Snap)
	if err == nil && !there {
		var features uint64
		features, err = native(s, "rbd_get_features", img.GetFeatures)
		if err == nil && features&librbd.FeatureExclusiveLock == 0 {
			err = fault.Newf(ErrUnsupported, "%s has no exclusive lock, as with multiattach: its writers cannot be stopped for a moment", spec.Image)
		}
	}
	if there && protect && !snap.Protected {
		err = fault.Newf(ErrExists, "%s is there, and is not protected", spec)
	}
	return there, errors.Join(err, img.close())
}

// takeGroupSnapshot has librbd take the snapshot, and gives each image its part of
// it.
func (s *scope) takeGroupSnapshot(ioctx *ioContext, g GroupSpec, o GroupSnapshot) error {
	err := run(s, "rbd_group_snap_create", func() error { return librbd.GroupSnapCreate(ioctx, g.Group, o.Name) })
	if err != nil {
		return err
	}
	state, err := s.groupSnapshotState(ioctx, g, o.Name)
	if err == nil && state != complete {
		err = fault.New(ErrUnavailable, "the group's snapshot is not complete after it was taken: try again")
	}
	if err != nil {
		return err
	}
	for _, snap := range o.Members {
		if err := s.adoptSnapshot(ioctx, g, o, snap); err != nil {
			return err
		}
	}
	if err := s.dropGroupSnapshot(ioctx, g, o.Name); err != nil {
		return err
	}
	for _, snap := range o.Members {
		there, err := s.snapshotReady(ioctx, snap, o.Protect)
		if err == nil && !there {
			err = fault.Newf(ErrUnavailable, "%s is not there after it was taken: try again", snap)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// undoGroupSnapshot takes away whatever there is of a group's snapshot that was not
// completed.
func (s *scope) undoGroupSnapshot(ioctx *ioContext, g GroupSpec, d deed) error {
	var members []SnapSpec
	for _, text := range d.Snaps {
		image, snap, _ := strings.Cut(text, "@")
		members = append(members, g.image(image).At(snap))
	}
	if len(members) == 0 {
		return nil // it had not begun
	}
	return s.withMembers(g, members, func() error {
		if err := s.dropGroupSnapshot(ioctx, g, d.Snap); err != nil {
			return err
		}
		for _, snap := range members {
			if err := s.deleteSnapshot(ioctx, snap); err != nil {
				return err
			}
		}
		return nil
	})
}

// SettleGroup takes away what there is of a snapshot of the group that was not
// completed, and brings to its end whatever else a dead process had begun with the
// group. One that is gone is success.
func (m *Images) SettleGroup(ctx context.Context, g GroupSpec) error {
	_, err := changeGroup(ctx, m, deed{Op: opCheck}, g, func(*scope, *ioContext) (struct{}, error) { return struct{}{}, nil })
	return err
}

// The states of a group's snapshot.
const (
	absent = iota
	incomplete
	complete
)

func (s *scope) groupSnapshotState(ioctx *ioContext, g GroupSpec, name string) (int, error) {
	list, err := native(s, "rbd_group_snap_list", func() ([]librbd.GroupSnapInfo, error) { return librbd.GroupSnapList(ioctx, g.Group) })
	if err != nil {
		return absent, err
	}
	for _, snap := range list {
		if snap.Name != name {
			continue
		}
		if snap.State == librbd.GroupSnapStateComplete {
			return complete, nil
		}
		return incomplete, nil
	}
	return absent, nil
}

// dropGroupSnapshot removes librbd's record of a group's snapshot, and with it those
// of the images' snapshots that were not adopted.
func (s *scope) dropGroupSnapshot(ioctx *ioContext, g GroupSpec, name string) error {
	err := run(s, "rbd_group_snap_remove", func() error { return librbd.GroupSnapRemove(ioctx, g.Group, name) })
	if err = ignore(err, syscall.ENOENT); err != nil {
		return err
	}
	state, err := s.groupSnapshotState(ioctx, g, name)
	if err == nil && state != absent {
		err = fault.New(ErrUnavailable, "the group's snapshot is still there after its removal: try again")
	}
	return ignore(err, syscall.ENOENT)
}
