package rbd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
)

// mayRemoveUnopened tells a half-made image, which lacks its id or its header,
// from a whole one that does not open for another reason, such as a parent that
// is gone: that one may hold data. A clone of ours that was cut short before its parent
// knew it, so that the parent could go, holds none.
func (s *scope) mayRemoveUnopened(ioctx *ioContext, spec ImageSpec, left remains, cause error) error {
	id, err := s.imageID(ioctx, spec.Image)
	if isErrno(err, syscall.ENOENT) || (err == nil && id == "") {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = native(s, "rados_stat", func() (struct{}, error) {
		_, err := ioctx.Stat("rbd_header." + id)
		return struct{}{}, err
	})
	if isErrno(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	if left.op == opClone {
		if blank, err := s.blankUnopened(ioctx, spec.Image); err != nil || blank {
			return err
		}
	}
	return fmt.Errorf("%w: it does not open (%w)", errNotOurs, cause)
}

// blankUnopened tells whether an image that does not open has no data of its own, as its
// object map says, and no snapshots. Of one without a valid map nothing is known: false.
func (s *scope) blankUnopened(ioctx *ioContext, name string) (bool, error) {
	h, err := s.header(ioctx, name)
	if errors.Is(err, errUnusual) || err == nil && h.features&librbd.FeatureObjectMap == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// The number of snapshots is behind that of the last one.
	snaps, err := s.ask(ioctx, "rbd_header."+h.id, "get_snapcontext", nil)
	if err != nil || len(snaps) < 12 || binary.LittleEndian.Uint32(snaps[8:]) > 0 {
		return false, err
	}
	const invalid = 1 // RBD_FLAG_OBJECT_MAP_INVALID
	flags, err := s.ask(ioctx, "rbd_header."+h.id, "get_flags", binary.LittleEndian.AppendUint64(nil, noSnap))
	if err != nil || len(flags) != 8 || flags[0]&invalid != 0 {
		return false, err
	}
	text, err := s.ask(ioctx, "rbd_object_map."+h.id, "object_map_load", nil)
	if err != nil {
		return false, ignore(err, syscall.ENOENT, syscall.EINVAL, syscall.EIO) // none, or none that can be read
	}
	return noObjects(text, (h.size+h.objectSize-1)/h.objectSize), nil
}

// noObjects tells whether an encoded object map is that of an image of so many objects
// none of which exists; see objectMap.encode.
func noObjects(text []byte, objects uint64) bool {
	const lead = 4 + 6 + 8 // the header's length; its version and length; the number of objects
	need := lead + int((objects+3)/4)
	if len(text) < need || binary.LittleEndian.Uint32(text) != lead-4 || binary.LittleEndian.Uint64(text[lead-8:]) != objects {
		return false
	}
	return len(bytes.Trim(text[lead:need], "\x00")) == 0
}
