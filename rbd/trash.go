package rbd

import (
	"context"
	"time"

	librbd "github.com/ceph/go-ceph/rbd"
)

// TrashEntry is an image in the trash of a pool.
type TrashEntry struct {
	ID      string
	Name    string // when it was moved there
	Deleted time.Time
	Expires time.Time // not removed before, unless forced
}

// TrashMove takes an image out of the list of images, under the id that it has,
// for at least delay. Its clones go on working. ErrInUse while it is open
// elsewhere.
//
// Similar To: rbd trash mv <spec>
func (m *Images) TrashMove(ctx context.Context, spec ImageSpec, delay time.Duration) error {
	return m.do(ctx, "trash mv", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		return run(s, "rbd_trash_move", func() error { return librbd.GetImage(ioctx, spec.Image).Trash(delay) })
	})
}

// TrashList lists the trash of a pool's namespace.
//
// Similar To: rbd trash ls --all <pool>/<namespace>
func (m *Images) TrashList(ctx context.Context, pool, namespace string) ([]TrashEntry, error) {
	return callRead(ctx, m.cluster, "trash ls", pool, func(s *scope) ([]TrashEntry, error) {
		ioctx, err := s.pool(pool, namespace)
		if err != nil {
			return nil, err
		}
		list, err := native(s, "rbd_trash_list", func() ([]librbd.TrashInfo, error) { return librbd.GetTrashList(ioctx) })
		var entries []TrashEntry
		for _, e := range list {
			entries = append(entries, TrashEntry{ID: e.Id, Name: e.Name, Deleted: e.DeletionTime, Expires: e.DefermentEndTime})
		}
		return entries, err
	})
}

// TrashRemove removes an entry for good. ErrDenied before it expires, unless
// force; ErrInUse while it has clones or snapshots.
//
// Similar To: rbd trash rm [--force] <pool>/<namespace>/<id>
func (m *Images) TrashRemove(ctx context.Context, pool, namespace, id string, force bool) error {
	return m.onTrash(ctx, "trash rm", trashed{pool, namespace, id}, func(s *scope, ioctx *ioContext) error {
		return run(s, "rbd_trash_remove", func() error { return librbd.TrashRemove(ioctx, id, force) })
	})
}

// TrashRestore brings an entry back, called name.
//
// Similar To: rbd trash restore --image <name> <pool>/<namespace>/<id>
func (m *Images) TrashRestore(ctx context.Context, pool, namespace, id, name string) error {
	if err := CheckName("image", name); err != nil {
		return wrap("trash restore", pool+"/"+id, err)
	}
	return m.onTrash(ctx, "trash restore", trashed{pool, namespace, id}, func(s *scope, ioctx *ioContext) error {
		return run(s, "rbd_trash_restore", func() error { return librbd.TrashRestore(ioctx, id, name) })
	})
}

// trashed names an entry of the trash.
type trashed struct{ pool, namespace, id string }

// onTrash runs fn with the pool of an entry open.
func (m *Images) onTrash(ctx context.Context, op string, entry trashed, fn func(*scope, *ioContext) error) error {
	return m.doLong(ctx, op, entry.pool+"/"+entry.id, func(s *scope) error {
		ioctx, err := s.pool(entry.pool, entry.namespace)
		if err != nil {
			return err
		}
		return fn(s, ioctx)
	})
}
