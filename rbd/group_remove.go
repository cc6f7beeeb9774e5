package rbd

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// removeGroup is fit to finish one that was cut short.
func (s *scope) removeGroup(ioctx *ioContext, g GroupSpec) error {
	members, err := s.noteMembers(ioctx, g)
	if err != nil {
		return err
	}
	if err := s.removeWhole(ioctx, g); err != nil {
		return err
	}
	for _, name := range members {
		if err := s.endUnsnapsOf(ioctx, g.image(name)); err != nil {
			return err
		}
	}
	return nil
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

// noteMembers returns the names of the images that have snapshots of the group, which
// librbd removes with it, and writes them down before: a removal of one that is cut short is
// to be ended by its id, and the group does not know its images any more then.
func (s *scope) noteMembers(ioctx *ioContext, g GroupSpec) ([]string, error) {
	i := s.holds(g.holder())
	if i == nil || i.record.Op != opGroupDelete {
		return nil, nil // what there is of the group has no images
	}
	var names []string
	for _, noted := range i.record.Snaps {
		names = append(names, strings.TrimSuffix(noted, "@"))
	}
	id, err := s.groupID(ioctx, g)
	if err != nil || id == "" {
		return names, err
	}
	records, err := s.groupSnapshots(ioctx, id)
	if err != nil || len(records) == 0 {
		return names, err
	}
	members, err := s.members(ioctx, g)
	if err != nil {
		return nil, ignore(err, syscall.ENOENT)
	}
	for _, name := range members {
		if !slices.Contains(names, name) {
			names = append(names, name)
			i.record.Snaps = append(i.record.Snaps, name+"@")
		}
	}
	return names, i.write("intent members")
}

// endUnsnapsOf is endUnsnaps for an image that other operations may be at; gone is success.
func (s *scope) endUnsnapsOf(ioctx *ioContext, image ImageSpec) error {
	i, err := s.beginDeed(deed{Op: opCheck}, image)
	if err != nil {
		return err
	}
	img, err := s.imageReadOnly(ioctx, image.Image, librbd.NoSnapshot)
	if err == nil {
		err = s.endUnsnaps(ioctx, img)
	}
	return i.end(ignore(err, syscall.ENOENT))
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
		name := groupSnapName(record)
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

// groupSnapName is the name in the record of a group's snapshot: behind version,
// oldest version, length, and the id.
// See: ceph src/cls/rbd/cls_rbd_types.cc, GroupSnapshot::encode.
func groupSnapName(record []byte) string {
	const head = 6
	if len(record) < head+4 {
		return ""
	}
	rest := record[head:]
	id := int(binary.LittleEndian.Uint32(rest))
	if len(rest) < 4+id+4 {
		return ""
	}
	rest = rest[4+id:]
	name := int(binary.LittleEndian.Uint32(rest))
	if len(rest) < 4+name {
		return ""
	}
	return string(rest[4 : 4+name])
}
