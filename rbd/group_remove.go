package rbd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// removeGroup is fit to finish one that was cut short.
func (s *scope) removeGroup(ioctx *ioContext, g GroupSpec) error {
	images, err := s.noteSnapshotted(ioctx, g)
	if err != nil {
		return err
	}
	if err := s.removeWhole(ioctx, g); err != nil {
		return err
	}
	var errs []error
	for _, image := range images {
		err := s.endUnsnapsOf(g.Namespace, image)
		var held *heldError
		if errors.As(err, &held) || unsure(err) { // of the others Fsck tells
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *scope) removeWhole(ioctx *ioContext, g GroupSpec) error {
	remove := func() error {
		err := run(s, "rbd_group_remove", func() error { return librbd.GroupRemove(ioctx, g.Group) })
		return ignore(err, syscall.ENOENT)
	}
	if err := remove(); err != nil {
		return err
	}
	id, err := s.groupID(ioctx, g)
	if err != nil || id == "" {
		return err
	}
	// librbd finds an image of one of the group's snapshots no more, and stops there.
	if err := s.dropGroupSnapshots(ioctx, g, id); err != nil {
		return err
	}
	if err := remove(); err != nil {
		return err
	}
	id, err = s.groupID(ioctx, g)
	if err == nil && id != "" {
		err = fault.Newf(ErrUnavailable, "%s is still there after its removal: try again", g)
	}
	return err
}

// noteSnapshotted returns the images that are in snapshots of the group, which librbd
// removes with it, as POOL ID/IMAGE ID, and writes them down before: a removal of one that is
// cut short is to be ended by its id, and nothing tells whose it was when the group is gone.
func (s *scope) noteSnapshotted(ioctx *ioContext, g GroupSpec) ([]string, error) {
	i := s.holds(g.holder())
	if i == nil || i.record.Op != opGroupDelete {
		return nil, nil // what there is of the group has no snapshots
	}
	id, err := s.groupID(ioctx, g)
	if err != nil || id == "" {
		return i.record.Snaps, err
	}
	records, err := s.groupSnapshots(ioctx, id)
	if err != nil || len(records) == 0 {
		return i.record.Snaps, err
	}
	for _, record := range records {
		_, images := parseGroupSnap(record)
		i.record.Snaps = append(i.record.Snaps, images...)
	}
	slices.Sort(i.record.Snaps)
	i.record.Snaps = slices.Compact(i.record.Snaps)
	return i.record.Snaps, i.write("intent images")
}

// endUnsnapsOf is endUnsnaps for the image POOL ID/IMAGE ID, that other operations may be at,
// or that may lie in the trash; gone is success.
func (s *scope) endUnsnapsOf(namespace, image string) error {
	poolID, id, _ := strings.Cut(image, "/")
	number, err := strconv.ParseInt(poolID, 10, 64)
	if err != nil {
		return nil //nolint:nilerr // it is none
	}
	pool, err := native(s, "rados_pool_reverse_lookup", func() (string, error) { return s.conn().GetPoolByID(number) })
	if err != nil {
		return ignore(err, syscall.ENOENT)
	}
	ioctx, err := s.pool(pool, namespace)
	if err != nil {
		return err
	}
	if half, err := s.halfRemovedOf(ioctx, id); err != nil || len(half) == 0 {
		return err
	}
	name, err := s.listedAs(ioctx, id)
	if err != nil {
		return err
	}
	holder := ImageSpec{Pool: pool, Namespace: namespace, Image: cmp.Or(name, trashPrefix+id)}
	if s.holds(holder) != nil {
		return s.endUnsnapsByID(ioctx, id)
	}
	i, err := s.beginDeed(deed{Op: opCheck}, holder)
	if err != nil {
		return err
	}
	return i.end(s.endUnsnapsByID(ioctx, id))
}

// groupSnapshots are the records of the snapshots that somebody took of a group, by their
// keys.
func (s *scope) groupSnapshots(ioctx *ioContext, id string) (map[string][]byte, error) {
	records, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
		return ioctx.GetAllOmapValues("rbd_group_header."+id, "", groupSnapPrefix, 1000)
	})
	return records, ignoreMissing(err)
}

const groupSnapPrefix = "snapshot_"

// dropGroupSnapshots removes the snapshots that somebody took of a group. Of one of
// which an image is gone only the record goes; what the other images have of it goes
// with them.
func (s *scope) dropGroupSnapshots(ioctx *ioContext, g GroupSpec, id string) error {
	records, err := s.groupSnapshots(ioctx, id)
	if err != nil {
		return err
	}
	for key, record := range records {
		name, _ := parseGroupSnap(record)
		err := run(s, "rbd_group_snap_remove", func() error { return librbd.GroupSnapRemove(ioctx, g.Group, name) })
		if !isErrno(err, syscall.ENOENT) {
			if err != nil {
				return fmt.Errorf("removing the group's snapshot %s: %w", name, err)
			}
			continue
		}
		var in encoder
		in.string(strings.TrimPrefix(key, groupSnapPrefix))
		if err := s.class(ioctx, "rbd_group_header."+id, "group_snap_remove", in.Bytes()); ignoreMissing(err) != nil {
			return err
		}
	}
	return nil
}

// parseGroupSnap reads the record of a group's snapshot: its name, and its images as POOL
// ID/IMAGE ID; nothing from where it is cut off.
// See: ceph src/cls/rbd/cls_rbd_types.cc, GroupSnapshot::encode and ImageSnapshotSpec::encode.
func parseGroupSnap(record []byte) (name string, images []string) {
	d := decoder{rest: record}
	d.head()
	d.string() // its id
	name = d.string()
	d.bytes(1) // state
	for count := d.uint32(); count > 0 && !d.short; count-- {
		d.head()
		pool, image := d.uint64(), d.string()
		if d.uint64(); !d.short { // the snapshot's id
			images = append(images, fmt.Sprintf("%d/%s", pool, image))
		}
	}
	return name, images
}
