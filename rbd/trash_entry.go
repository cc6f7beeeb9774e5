package rbd

import (
	"encoding/binary"
	"strings"
	"syscall"
	"time"

	librbd "github.com/ceph/go-ceph/rbd"
)

// trashEntry is an entry of the trash.
type trashEntry struct {
	librbd.TrashInfo
	source, state byte
}

// The sources and states of an entry, as ceph src/cls/rbd/cls_rbd_types.h numbers them.
const (
	trashByUser    = 0
	trashByRemoval = 3

	trashNormal    = 0
	trashMoving    = 1
	trashRemoving  = 2
	trashRestoring = 3
)

// trashEntry reads one entry of the trash, in whatever state it is.
// See: ceph src/cls/rbd/cls_rbd_types.cc, TrashImageSpec::encode.
func (s *scope) trashEntry(ioctx *ioContext, id string) (trashEntry, bool, error) {
	entry := trashEntry{TrashInfo: librbd.TrashInfo{Id: id}}
	values, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
		return ioctx.GetOmapValues("rbd_trash", "", "id_"+id, 1)
	})
	if err = ignore(err, syscall.ENOENT); err != nil {
		return entry, false, err
	}
	text, there := values["id_"+id]
	if !there {
		return entry, false, nil
	}
	entry.decode(text)
	return entry, true, nil
}

// decode reads an entry as it is stored; of one that is cut off, nothing.
func (e *trashEntry) decode(text []byte) {
	// Version, oldest version, length; source; name; two times of 8 bytes each; state.
	const head = 6 + 1 + 4
	if len(text) < head {
		return
	}
	name := int(binary.LittleEndian.Uint32(text[head-4:]))
	if rest := text[head:]; len(rest) >= name+17 {
		e.source = text[head-5]
		e.Name = string(rest[:name])
		e.DeletionTime = utime(rest[name:])
		e.DefermentEndTime = utime(rest[name+8:])
		e.state = rest[name+16]
	}
}

// removing is the id of an image of that name which a removal by librbd moved to the
// trash and did not get rid of; "" when there is none. A removal by the name goes on with it.
// See: ceph src/librbd/api/Image.cc, remove.
func (s *scope) removing(ioctx *ioContext, name string) (string, error) {
	const page = 1000
	values, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
		return ioctx.GetAllOmapValues("rbd_trash", "", "id_", page)
	})
	if err = ignore(err, syscall.ENOENT); err != nil {
		return "", err
	}
	for key, text := range values {
		var e trashEntry
		if e.decode(text); e.source == trashByRemoval && e.Name == name {
			return strings.TrimPrefix(key, "id_"), nil
		}
	}
	return "", nil
}

// utime is a time as Ceph encodes it.
func utime(b []byte) time.Time {
	return time.Unix(int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:])))
}
