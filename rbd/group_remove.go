package rbd

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// removeGroup is fit to finish one that was cut short.
func (s *scope) removeGroup(ioctx *ioContext, g GroupSpec) error {
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

// dropGroupSnapshots removes the snapshots that somebody took of a group. Of one of
// which an image is gone only the record goes; what the other images have of it goes
// with them.
func (s *scope) dropGroupSnapshots(ioctx *ioContext, g GroupSpec, id string) error {
	oid := "rbd_group_header." + id
	const prefix = "snapshot_"
	records, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
		return ioctx.GetAllOmapValues(oid, "", prefix, 1000)
	})
	if err = ignoreMissing(err); err != nil {
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
		in.string(strings.TrimPrefix(key, prefix))
		if err := s.class(ioctx, oid, "group_snap_remove", in.Bytes()); ignoreMissing(err) != nil {
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
