package rbd

import (
	"cmp"
	"context"
	"errors"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// fate is what became of an image that was to be purged.
type fate int

const (
	stays   fate = iota // it is not in the trash, and not by our doing
	gone                // it was removed before
	removed             // it was removed just now
)

// errWaiting is why an image stays for now.
var errWaiting = fault.New(ErrInUse, "it has clones, or is open: it waits")

// purge removes one image for good, if nothing needs it. This process holds the
// intent of its entry in the trash.
func (s *scope) purge(ctx context.Context, ioctx *ioContext, pool string, m *mark) (fate, error) {
	entry, there, err := s.trashEntry(ioctx, m.ID)
	if err != nil {
		return stays, err
	}
	if !there || !m.sameMove(entry.TrashInfo) {
		return gone, s.mayForget(ioctx, pool, *m)
	}
	marks, err := s.register(pool, trashRegister)
	if err != nil {
		return stays, err
	}
	var now mark
	if noted, err := marks.get(m.key(), &now); err != nil || !noted || !now.Deleted.Equal(m.Deleted) || !now.Until.Equal(m.Until) {
		return stays, err // deleted again since it was looked at: not due
	}
	if err := s.finishMoving(ioctx, entry); err != nil || entry.state == trashRestoring {
		return stays, cmp.Or(err, errWaiting) // whoever restores it may be at it: the next purge removes it
	}
	snaps, err := s.purgeable(ioctx, m.ID)
	if err != nil {
		return stays, err
	}
	if m.Begun = true; !now.Begun {
		if err := marks.put(m.key(), *m); err != nil {
			return stays, err
		}
	}
	if err := s.purgeSnapshots(ioctx, m.ID, snaps); err != nil {
		return stays, err
	}
	if err := s.shrinkTrashed(ctx, ioctx, m.ID); err != nil {
		return stays, err
	}
	if err := s.removeTrashed(ioctx, m.ID); err != nil {
		return stays, err
	}
	if _, there, err = s.trashEntry(ioctx, m.ID); err == nil && there {
		err = fault.New(ErrUnavailable, "it is still in the trash after its removal (a full pool does that): try again")
	}
	if err != nil {
		return stays, err
	}
	return removed, nil
}

// mayForget is nil for a mark whose image is not in the trash, or is there by
// somebody else's doing. A Delete that is under way makes its mark first, and then
// moves the image: that mark stays, which is errWaiting.
func (s *scope) mayForget(ioctx *ioContext, pool string, m mark) error {
	name, err := s.listedAs(ioctx, m.ID)
	if err != nil {
		return err
	}
	if name != "" {
		spec := ImageSpec{Pool: pool, Namespace: m.Namespace, Image: name}
		moving, err := s.intentOf(spec)
		if err == nil && moving != nil {
			err = s.settleOther(spec)
		}
		var held *heldError
		if errors.As(err, &held) {
			return errWaiting
		}
		if err != nil {
			return err
		}
	}
	if entry, there, err := s.trashEntry(ioctx, m.ID); err != nil || there && m.sameMove(entry.TrashInfo) {
		return errors.Join(err, errWaiting) // moved meanwhile
	}
	return nil
}

// needless are the snapshots of an image that is to go.
type needless struct {
	snaps []Snapshot
	parts []librbd.SnapInfo // what it has of snapshots that somebody else took of its group
}

// purgeable returns the snapshots of an image that nothing needs. errWaiting: one of
// them has clones, or the image is open; then all of it stays as it is, since it may
// still be brought back.
func (s *scope) purgeable(ioctx *ioContext, id string) (needless, error) {
	var n needless
	img, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT) {
		return n, nil // half removed
	}
	if err != nil {
		return n, err
	}
	if err := img.idle(); err != nil {
		return n, errors.Join(errWaiting, img.close())
	}
	if n.snaps, err = img.snapshots(); err != nil {
		return n, err
	}
	if n.parts, err = img.snapshotsOf(librbd.SnapNamespaceTypeGroup); err != nil {
		return n, err
	}
	removing, err := img.snapshotsOf(librbd.SnapNamespaceTypeTrash)
	if err != nil {
		return n, err
	}
	children, err := img.children()
	needed := len(children) > 0
	if err == nil && !needed && len(n.snaps)+len(n.parts)+len(removing) > 0 {
		needed, err = s.flattening(id)
	}
	if err == nil && needed {
		err = errWaiting
	}
	return n, errors.Join(err, img.close())
}

// purgeSnapshots removes the snapshots of an image whose removal has begun.
func (s *scope) purgeSnapshots(ioctx *ioContext, id string, n needless) error {
	if len(n.snaps)+len(n.parts) == 0 {
		return s.endUnsnapsByID(ioctx, id)
	}
	img, err := s.imageByID(ioctx, id)
	if err != nil {
		return err
	}
	for _, snap := range n.snaps {
		err := img.dropSnapshot(snap)
		if isErrno(err, syscall.EBUSY) {
			return errWaiting // cloned meanwhile
		}
		if err != nil {
			return err
		}
	}
	for _, part := range n.parts {
		if err := img.dropByID(part); err != nil {
			return err
		}
	}
	return errors.Join(img.close(), s.endUnsnapsByID(ioctx, id))
}

// purgeStep is how much of an image goes at a time: a removal cannot be stopped, and
// that of a large image takes hours.
const purgeStep = 16 << 30 // bytes

// shrinkTrashed cuts a large image down to one step, and stops between steps when
// ctx ends: the next purge goes on from there.
func (s *scope) shrinkTrashed(ctx context.Context, ioctx *ioContext, id string) error {
	look, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT) {
		return nil // half removed
	}
	if err != nil {
		return err
	}
	size, err := native(s, "rbd_get_size", look.GetSize)
	if err = errors.Join(err, look.close()); err != nil || size <= purgeStep {
		return err
	}
	img, err := s.imageByID(ioctx, id)
	if err != nil {
		return err
	}
	for size > purgeStep {
		if err := stopped(ctx); err != nil {
			return err
		}
		size -= purgeStep
		if err := img.resize(size, true); err != nil {
			return err
		}
	}
	return img.close()
}

// removeTrashed removes an image that has no snapshots and no clones. A client that
// is fenced may still count as having it open, for good: that is ended.
func (s *scope) removeTrashed(ioctx *ioContext, id string) error {
	if err := s.closeImages(); err != nil {
		return err
	}
	err := s.trashRemove(ioctx, id)
	if !isErrno(err, syscall.EBUSY) {
		return err
	}
	img, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT) {
		return s.trashRemove(ioctx, id)
	}
	if err != nil {
		return err
	}
	if err := img.idle(); err != nil {
		return errors.Join(errWaiting, img.close())
	}
	if err := img.close(); err != nil {
		return err
	}
	if err := s.dropWatches(ioctx, id); errors.Is(err, ErrInUse) {
		return errWaiting
	} else if err != nil {
		return err
	}
	err = s.trashRemove(ioctx, id)
	if isErrno(err, syscall.EBUSY, syscall.ENOTEMPTY) {
		err = errWaiting
	}
	return err
}

// trashRemove counts an entry that is gone as removed.
func (s *scope) trashRemove(ioctx *ioContext, id string) error {
	err := run(s, "rbd_trash_remove", func() error { return librbd.TrashRemove(ioctx, id, true) })
	return ignore(err, syscall.ENOENT)
}

// finishMoving makes an entry whose move was cut short, or whose restoration was, and
// which has no name, one that can be removed. One that has its name, still or again, is
// left to whoever deletes that, or restores it once more: errWaiting. So is one that lies in
// the trash and has its name: librbd's moves end so when a write was not answered.
func (s *scope) finishMoving(ioctx *ioContext, entry trashEntry) error {
	name, err := s.listedAs(ioctx, entry.Id)
	if err != nil {
		return err
	}
	id := ""
	if entry.state == trashRestoring { // gets its id before it is listed
		if id, err = s.idOf(ioctx, entry.Name); err != nil {
			return err
		}
	}
	if name != "" || id == entry.Id {
		return errWaiting
	}
	if entry.state != trashMoving && entry.state != trashRestoring {
		return nil
	}
	return s.endMoving(ioctx, entry.Id, entry.state)
}

// endMoving makes an entry in the state from one that lies in the trash. One that lies
// there, or is gone, is success.
func (s *scope) endMoving(ioctx *ioContext, id string, from byte) error {
	var in encoder
	in.string(id)
	in.byte(trashNormal)
	in.byte(from) // only from this one
	err := s.class(ioctx, "rbd_trash", "trash_state_set", in.Bytes())
	return ignore(err, syscall.ESTALE, syscall.ENOENT)
}
