package rbd

import (
	"errors"
	"fmt"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
)

// inherit brings what a dead owner had begun to its end, and makes the intent
// this process's own. When that fails the intent is left, as it was, to the next
// one.
func (i *intent) inherit(d deed) error {
	err := i.s.settle(i)
	if closing := i.s.closeImages(); err == nil {
		err = closing
	}
	if err != nil {
		return errors.Join(err, i.release(err))
	}
	if !i.record.equal(d) {
		i.record.Made = "" // of the other one
	}
	i.tookOn, i.record.deed, i.record.Begun = false, d, false
	return i.write("intent go on")
}

// settle brings the operation that i records to a defined end: what made an image
// is undone, unless the image is complete; what took away, moved or replaced one
// is carried out; the rest left nothing that is half changed.
func (s *scope) settle(i *intent) error {
	ioctx, err := s.poolOf(i.spec)
	if err != nil {
		return err
	}
	switch d := i.record.deed; d.Op {
	case opCreate, opClone, opImport:
		err = s.settleMaking(ioctx, i)
	case opUnsnap:
		err = s.deleteSnapshot(ioctx, i.spec.At(d.Snap))
	case opRename:
		to := ImageSpec{Pool: i.spec.Pool, Namespace: i.spec.Namespace, Image: d.Other}
		err = s.withOther(to, i.spec, func() error { return s.rename(ioctx, i, d.Other) })
	case opRenameTo:
		err = s.settleOther(ImageSpec{Pool: i.spec.Pool, Namespace: i.spec.Namespace, Image: d.Other})
	case opRevert:
		err = s.revert(ioctx, i.spec.At(d.Snap), d.Size)
	case opMoveTo, opImportTo:
		err = s.settleCopy(ioctx, i.spec, d.Other)
	case opMoveAway:
		err = s.settleMove(ioctx, i.spec, d.Other)
	case opDelete:
		if err = s.delete(ioctx, i.spec, d.Delay); err == nil {
			err = s.endRemoval(ioctx, i)
		}
	case opUndelete:
		to := ImageSpec{Pool: i.spec.Pool, Namespace: i.spec.Namespace, Image: d.Other}
		err = s.withOther(to, i.spec, func() error { return s.undelete(ioctx, trashID(i.spec), i.spec, d.Other) })
	case opGroupDelete:
		err = s.removeGroup(ioctx, groupOfHolder(i.spec))
	case opGroupSnapshot:
		err = s.undoGroupSnapshot(ioctx, groupOfHolder(i.spec), d)
	case opJoin, opLeave:
		err = s.settleMember(ioctx, i)
	case opGroupMember:
		err = s.settleOther(ImageSpec{Pool: i.spec.Pool, Namespace: i.spec.Namespace, Image: d.Other})
	}
	if err != nil && i.refused(err) && !i.record.makes() {
		return nil // it has nothing to be carried out any more
	}
	if err != nil && i.record.halfReverts() {
		err = fmt.Errorf("its revert to snapshot %s was cut short, and is to be finished first: %w", i.record.Snap, err)
	}
	return err
}

// holds is the intent of spec that this very call holds; nil when it does not.
func (s *scope) holds(spec ImageSpec) *intent {
	for _, i := range s.intents {
		if !i.done && i.oid == intentObject(spec) && i.spec.Pool == spec.Pool {
			return i
		}
	}
	return nil
}

// settleOther brings to its end what is recorded at the other name of the same
// operation.
func (s *scope) settleOther(spec ImageSpec) error {
	if s.holds(spec) != nil {
		return nil // by this very call
	}
	i, err := s.beginDeed(deed{Op: opCheck}, spec)
	if err != nil {
		return err
	}
	return i.finish()
}

// settleMaking removes an image that was not completed. One that is complete, or was
// there before, or that nothing accounts for, stays.
func (s *scope) settleMaking(ioctx *ioContext, i *intent) error {
	if i.record.looks() {
		return nil
	}
	if i.record.Op == opImport {
		complete, err := s.dropUnprotected(ioctx, i.spec, i.record.Made)
		if err != nil || complete {
			return err
		}
	}
	err := s.sweepImage(ioctx, i.spec, i.before)
	if errors.Is(err, errNotOurs) {
		return nil
	}
	return err
}

// endRemoval ends the removal of remains that a delete had begun, and that has moved them
// to the trash.
func (s *scope) endRemoval(ioctx *ioContext, i *intent) error {
	id, err := s.removing(ioctx, i.spec.Image)
	if err != nil || id == "" {
		return err
	}
	return s.sweepImage(ioctx, i.spec, i.before)
}

// dropUnprotected removes the snapshots of an import that was not completed: one
// that was has its snapshot protected.
func (s *scope) dropUnprotected(ioctx *ioContext, spec ImageSpec, made string) (complete bool, err error) {
	if made == "" {
		return false, nil
	}
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT, syscall.EIO) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	id, err := native(s, "rbd_get_id", img.GetId)
	if err != nil || id != made {
		return false, errors.Join(err, img.close())
	}
	snaps, err := img.snapshots()
	if err = errors.Join(err, img.close()); err != nil || len(snaps) == 0 {
		return false, err
	}
	for _, snap := range snaps {
		if snap.Protected {
			return true, nil
		}
	}
	if img, err = s.image(ioctx, spec.Image); err != nil {
		return false, err
	}
	for _, snap := range snaps {
		if err := run(s, "rbd_snap_remove", img.GetSnapshot(snap.Name).Remove); err != nil {
			return false, errors.Join(err, img.close())
		}
	}
	return false, img.close()
}

// withOther runs fn while this call holds the intent of the other name, too.
func (s *scope) withOther(other, from ImageSpec, fn func() error) error {
	if s.holds(other) != nil {
		return fn()
	}
	there, err := s.beginDeed(deed{Op: opRenameTo, Other: from.Image}, other)
	if err != nil {
		return err
	}
	return there.end(fn())
}
