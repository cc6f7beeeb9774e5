package rbd

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// A snapshot that an image has by its group cannot be cloned, protected, renamed or
// removed by itself before Ceph 19, and Cinder wants a snapshot of each volume. It
// differs from an ordinary one in the entry of the image's header alone, in name
// and namespace. So that entry is written anew (decision 0008).
// See: ceph src/cls/rbd/cls_rbd.h, cls_rbd_snap::encode.

// adoptSnapshot makes what an image has of its group's snapshot an ordinary snapshot
// of it: one write of the header, which is done or not. Clients that have the image
// open hear of it.
func (s *scope) adoptSnapshot(ioctx *ioContext, g GroupSpec, o GroupSnapshot, to SnapSpec) error {
	img, err := s.imageReadOnly(ioctx, to.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	id, err := native(s, "rbd_get_id", img.GetId)
	if err != nil {
		return err
	}
	snap, err := img.snapshotOfGroup(g, o.Name)
	if err != nil {
		return err
	}
	if err := s.noteSnapshot(img, to, groupWait); err != nil {
		return err
	}
	if err := img.close(); err != nil {
		return err
	}
	oid := "rbd_header." + id
	if err := s.rewriteSnapshot(ioctx, oid, snap, func(e snapEntry) snapEntry {
		e.name, e.user, e.protected = to.Snap, true, o.Protect
		return e
	}); err != nil {
		return fmt.Errorf("adopting the snapshot of %s: %w", to.Image, err)
	}
	return s.notifyHeader(ioctx, oid)
}

// snapshotOfGroup is the id of what the image has of a group's snapshot.
func (o *openImage) snapshotOfGroup(g GroupSpec, name string) (uint64, error) {
	parts, err := o.snapshotsOf(librbd.SnapNamespaceTypeGroup)
	if err != nil {
		return 0, err
	}
	for _, part := range parts {
		of, err := native(o.s, "rbd_snap_get_group_namespace", func() (*librbd.SnapGroupNamespace, error) {
			return o.GetSnapGroupNamespace(part.Id)
		})
		if err != nil {
			return 0, err
		}
		if of.GroupName == g.Group && of.GroupSnapName == name {
			return part.Id, nil
		}
	}
	return 0, fault.New(ErrUnavailable, "an image has no part in the group's snapshot: try again")
}

// snapKey is where an image's header has a snapshot.
func snapKey(id uint64) string { return fmt.Sprintf("snapshot_%016x", id) }

// rewriteSnapshot changes a snapshot's entry in an image's header, if nothing else
// in the header has changed meanwhile; if it has, it looks again.
func (s *scope) rewriteSnapshot(ioctx *ioContext, oid string, id uint64, change func(snapEntry) snapEntry) error {
	key := snapKey(id)
	for {
		values, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
			return ioctx.GetOmapValues(oid, "", key, 1)
		})
		if err != nil {
			return err
		}
		version, err := ioctx.GetLastVersion()
		if err != nil {
			return err
		}
		entry, err := parseSnapEntry(values[key])
		if err == nil && entry.id != id {
			err = errSnapEntry
		}
		if err != nil {
			return err
		}
		err = run(s, "snapshot adopt", func() error {
			w := rados.CreateWriteOp()
			defer w.Release()
			w.AssertVersion(version)
			w.SetOmap(map[string][]byte{key: change(entry).bytes()})
			return plain(w.Operate(ioctx, oid, rados.OperationNoFlag))
		})
		if !isErrno(err, syscall.ERANGE, syscall.EOVERFLOW) {
			return err
		}
	}
}

// notifyTimeout is how long clients may take to hear of a changed header.
const notifyTimeout = 10 * time.Second

// notifyHeader tells the clients that have an image open to read its header again,
// as librbd does after a change. Those that don't answer are gone, or read it when
// they are back.
// See: ceph src/librbd/WatchNotifyTypes.h, HeaderUpdatePayload.
func (s *scope) notifyHeader(ioctx *ioContext, oid string) error {
	const headerUpdate = 3
	payload := encoded(func(e *encoder) { e.uint32(headerUpdate) })
	err := run(s, "rados_notify2", func() error {
		_, _, err := ioctx.NotifyWithTimeout(oid, payload, notifyTimeout)
		return err
	})
	return ignore(err, syscall.ETIMEDOUT)
}

// snapEntry is a snapshot in an image's header.
type snapEntry struct {
	id        uint64
	name      string
	size      uint64 // bytes
	protected bool
	flags     uint64
	user      bool   // not of a group
	rest      []byte // time, clones, overlap with the parent
}

// What ceph's types number.
const (
	snapEntryVersion = 8 // of an image in a group: never an older one
	protectedStatus  = 2
	userNamespace    = 0
	groupNamespace   = 1
)

var errSnapEntry = fault.New(ErrUnsupported, "this release of Ceph stores a group's snapshots in a form that is not known")

// parseSnapEntry reads the entry of a snapshot, a group's or an ordinary one.
func parseSnapEntry(text []byte) (snapEntry, error) {
	const head, numbers = 6, 8 + 1 + 8
	if len(text) < head+12 || text[0] != snapEntryVersion || text[1] != snapEntryVersion ||
		int(binary.LittleEndian.Uint32(text[2:])) != len(text)-head {
		return snapEntry{}, errSnapEntry
	}
	e := snapEntry{id: binary.LittleEndian.Uint64(text[head:])}
	name := int(binary.LittleEndian.Uint32(text[head+8:]))
	text = text[head+12:]
	if len(text) < name+numbers+head+4 {
		return snapEntry{}, errSnapEntry
	}
	e.name, text = string(text[:name]), text[name:]
	e.size, e.flags = binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[9:])
	e.protected, text = text[8] == protectedStatus, text[numbers:]
	length, kind := int(binary.LittleEndian.Uint32(text[2:])), binary.LittleEndian.Uint32(text[head:])
	if text[0] != 1 || length < 4 || len(text) < head+length || kind != userNamespace && kind != groupNamespace {
		return snapEntry{}, errSnapEntry
	}
	e.user, e.rest = kind == userNamespace, text[head+length:]
	return e, nil
}

// bytes is the entry of an ordinary snapshot.
func (e snapEntry) bytes() []byte {
	var body, whole encoder
	number := func(v uint64) { body.Write(binary.LittleEndian.AppendUint64(nil, v)) }
	number(e.id)
	body.string(e.name)
	number(e.size)
	if e.protected {
		body.byte(protectedStatus)
	} else {
		body.byte(0)
	}
	number(e.flags)
	body.Write(encoded(func(in *encoder) { in.uint32(userNamespace) }))
	body.Write(e.rest)
	whole.byte(snapEntryVersion)
	whole.byte(snapEntryVersion)
	whole.uint32(uint32(body.Len()))
	whole.Write(body.Bytes())
	return whole.Bytes()
}

// CheckSnapshot is ErrUnavailable while a snapshot is a part of a group's that is
// not complete, and is taken away unless it comes to be.
func (m *Images) CheckSnapshot(ctx context.Context, spec SnapSpec) error {
	r, err := m.unfinished(ctx, spec.ImageSpec)
	if err != nil || r == nil || r.Op != opGroupMember || r.Snap != spec.Snap {
		return err
	}
	return wrap("info", spec.String(), fault.Newf(ErrUnavailable, "the snapshot of its group by %s is not complete", r.Owner))
}
