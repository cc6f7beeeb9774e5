package rbd

import (
	"context"
	"errors"
	"slices"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// Undelete brings back an image that Delete took away, with its snapshots, called
// name; "" is the name that it had. It is success when that was done before.
// ErrNotFound when it is not in the trash, or somebody else moved it there;
// ErrExists when the name is taken.
//
// Similar To: rbd trash restore --image <name> <pool>/<id>
func (m *Images) Undelete(ctx context.Context, pool, id, name string) error {
	subject := pool + "/" + id
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	found, err := callRead(ctx, m.cluster, opUndelete, subject, func(s *scope) (mark, error) { return s.markOf(pool, id) })
	if errors.Is(err, ErrNotFound) && name != "" && m.broughtBack(ctx, ImageSpec{Pool: pool, Image: name}, id) {
		return nil
	}
	if err != nil {
		return err
	}
	if name == "" {
		name = found.Name
	}
	to := ImageSpec{Pool: pool, Namespace: found.Namespace, Image: name}
	if err := to.validate(); err != nil {
		return wrap(opUndelete, subject, err)
	}
	entry := found.entry(pool)
	_, err = change(ctx, m, deed{Op: opUndelete, Other: name}, entry, func(s *scope, ioctx *ioContext) (struct{}, error) {
		there, err := s.beginDeed(deed{Op: opRenameTo, Other: entry.Image}, to)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, there.end(s.undelete(ioctx, id, entry, name))
	})
	return err
}

// broughtBack tells whether the image id is there under a name, and not in the
// trash.
func (m *Images) broughtBack(ctx context.Context, spec ImageSpec, id string) bool {
	info, err := m.Stat(ctx, spec)
	return err == nil && info.ID == id
}

// markOf finds the mark of an image by its id.
func (s *scope) markOf(pool, id string) (mark, error) {
	marks, err := s.marks(pool)
	if err != nil {
		return mark{}, err
	}
	i := slices.IndexFunc(marks, func(m mark) bool { return m.ID == id || m.key() == id })
	if i < 0 {
		return mark{}, fault.New(ErrNotFound, "no image of this id was deleted by us and waits in the trash")
	}
	return marks[i], nil
}

// undelete is fit to finish one that was cut short.
func (s *scope) undelete(ioctx *ioContext, id string, entry ImageSpec, name string) error {
	marks, err := s.register(entry.Pool, trashRegister)
	if err != nil {
		return err
	}
	var m mark
	if _, err := marks.get(inNamespace(entry.Namespace, id), &m); err != nil {
		return err
	}
	if m.Begun {
		return fault.New(ErrNotFound, "its removal has begun: it is not whole any more")
	}
	trashed, there, err := s.trashEntry(ioctx, id)
	if err != nil {
		return err
	}
	if there && !m.sameMove(trashed.TrashInfo) {
		return fault.New(ErrNotFound, "somebody else moved it to the trash since: `rbd trash restore` brings it back")
	}
	now, err := s.idOf(ioctx, name)
	if err != nil {
		return err
	}
	if now != "" && now != id {
		return fault.Newf(ErrExists, "an image %s is there: choose another name", name)
	}
	err = run(s, "rbd_trash_restore", func() error { return librbd.TrashRestore(ioctx, id, name) })
	if err != nil && (now != id || !isErrno(err, syscall.ENOENT)) {
		return err
	}
	if now, err = s.idOf(ioctx, name); err != nil {
		return err
	}
	if now != id {
		return fault.Newf(ErrUnavailable, "it is not there after it was brought back: try again")
	}
	return marks.drop(inNamespace(entry.Namespace, id))
}
