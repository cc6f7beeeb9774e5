package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// DeleteOptions say how an image is deleted.
type DeleteOptions struct {
	Delay time.Duration // in which Undelete can bring it back; zero: none is promised
}

// Delete takes an image away: its name is free at once, its clones go on working,
// and Purge removes its data when nothing needs them any more. It takes the time of
// a rename, whatever the image's size, snapshots and clones. An image that is gone
// is success.
//
// ErrInUse, and nothing changed, while a client has the image open; clients that
// are blocklisted don't count, and jobs at the image are cancelled.
//
// Similar To: rbd trash mv --expires-at <now+delay> <spec>
func (m *Images) Delete(ctx context.Context, spec ImageSpec, o DeleteOptions) error {
	d := deed{Op: opDelete, Delay: o.Delay}
	if o.Delay < 0 {
		return wrap(d.Op, spec.String(), fault.Newf(ErrInvalid, "delay %s: want none or some", o.Delay))
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	// An import would make it after all; a flatten that was cut short may have taken it out of
	// its parent's list, which the end of the job mends.
	if _, err := m.endJobs(ctx, spec, opImport, opFlatten); err != nil {
		return wrap(d.Op, spec.String(), err)
	}
	attempt := func() error {
		_, err := afterOthers(ctx, func() (struct{}, error) {
			none, err := tryChange(ctx, m, d, spec, func(s *scope, ioctx *ioContext) (struct{}, error) {
				return struct{}{}, s.delete(ioctx, spec, o.Delay)
			})
			var held *heldError
			if errors.As(err, &held) && held.record.Op == opMoveAway {
				_ = m.CancelJob(ctx, spec.Pool, held.record.Other) // the next attempt tells
			}
			return none, err
		})
		return err
	}
	err := attempt()
	if errors.Is(err, ErrInUse) {
		if ended, _ := m.endJobs(ctx, spec); ended {
			err = attempt()
		}
	}
	return d.heldByItself(spec, err)
}

// endJobs cancels the jobs that are at an image, of these kinds or of all, and waits for
// their end; false when there are none.
func (m *Images) endJobs(ctx context.Context, spec ImageSpec, kinds ...string) (bool, error) {
	asked := false
	for {
		jobs, err := m.Jobs(ctx, spec.Pool)
		i := slices.IndexFunc(jobs, func(j Job) bool {
			return j.Subject == spec.String() && !j.final() && (len(kinds) == 0 || slices.Contains(kinds, j.Kind))
		})
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) {
			return false, nil // so is the image
		}
		if err != nil || i < 0 {
			return err == nil && asked, err
		}
		if err := m.CancelJob(ctx, spec.Pool, jobs[i].ID); err != nil && !errors.Is(err, ErrNotFound) {
			return false, err
		}
		asked = true
		select {
		case <-ctx.Done():
			return false, fault.Newf(ErrUnavailable, "job %s at it has not ended: try again", jobs[i].ID)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// delete is fit to finish one that was cut short.
func (s *scope) delete(ioctx *ioContext, spec ImageSpec, delay time.Duration) error {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT) {
		return s.giveBack(ioctx, s.groupLeft(spec), spec, s.deleteRemains(ioctx, spec, delay))
	}
	if err != nil {
		return err
	}
	if err := img.idle(); err != nil {
		return s.keepNamed(ioctx, img, spec, err)
	}
	group, err := s.leaveAny(ioctx, img, spec)
	if err != nil {
		return err
	}
	return s.giveBack(ioctx, group, spec, s.putInTrash(ioctx, img, spec, delay))
}

// keepNamed is the end of a delete that cause is in the way of before it has begun. An
// earlier one that was cut short may have: what it was bringing back comes back whole, its
// mark must not count of a move to the trash that somebody else makes, and the image goes
// back into its group.
func (s *scope) keepNamed(ioctx *ioContext, img *openImage, spec ImageSpec, cause error) error {
	if !refusal(cause) {
		return cause
	}
	id, err := native(s, "rbd_get_id", img.GetId)
	if err != nil {
		return err
	}
	marks, err := s.register(spec.Pool, trashRegister)
	if err != nil {
		return err
	}
	if err := s.finishRestoring(ioctx, spec, id); err != nil {
		return halfDone(err)
	}
	if err := marks.unmark(inNamespace(spec.Namespace, id), cause); err != nil {
		return err
	}
	return s.giveBack(ioctx, s.groupLeft(spec), spec, cause)
}

// putInTrash marks an image that is in no group, and moves it to the trash. What it is
// refused with leaves the image as it was.
func (s *scope) putInTrash(ioctx *ioContext, img *openImage, spec ImageSpec, delay time.Duration) error {
	marks, m, err := s.putMark(img, spec, delay)
	if err != nil {
		return err
	}
	if err = s.moveUnopened(ioctx, img, m); errors.Is(err, errUnusual) {
		err = s.moveByLibrbd(ioctx, spec, marks, m)
	}
	if isErrno(err, syscall.ENOENT) {
		err = nil // what was done before is verified below
	}
	if isErrno(err, syscall.EBUSY, syscall.EPERM, syscall.EINVAL, syscall.EOPNOTSUPP) {
		return cmp.Or(marks.unmark(m.key(), err), err)
	}
	if err != nil {
		return err
	}
	if err := s.confirmTrashed(ioctx, spec, m.ID); err != nil {
		return halfDone(err)
	}
	return s.bringBackIfOpened(ioctx, img, spec, m)
}

// unmark drops the mark of an image that cause keeps where it is.
func (r register) unmark(key string, cause error) error {
	if err := r.drop(key); err != nil {
		return fmt.Errorf("%s; its mark stays: %w", cause.Error(), err)
	}
	return nil
}

// bringBackIfOpened undoes the move of an image that a client opened since it was
// looked at, before its name was gone. A purge may have come to it by now, and opens it,
// too: so it is brought back under the intent of its entry, which the purge holds.
// ErrInUse: it is back, as it was.
func (s *scope) bringBackIfOpened(ioctx *ioContext, img *openImage, spec ImageSpec, m mark) error {
	err := s.bringBackUnpurged(ioctx, img, spec, m)
	if errors.Is(err, ErrInUse) {
		return err
	}
	return halfDone(err)
}

func (s *scope) bringBackUnpurged(ioctx *ioContext, img *openImage, spec ImageSpec, m mark) error {
	err := img.idle()
	if !errors.Is(err, ErrInUse) {
		return ignore(err, syscall.ENOENT) // Purge was quick
	}
	marks, err := s.register(spec.Pool, trashRegister)
	if err != nil {
		return err
	}
	if s.holds(m.entry(spec.Pool)) != nil { // by this very call, which settles what is at the name
		return s.bringBack(ioctx, img, spec, marks, m)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(lease); ; <-tick.C { // a purge that finds it open is soon done
		var now mark
		if noted, err := marks.get(m.key(), &now); err != nil || !noted || now.Begun {
			return err // the purge found that no client has it open
		}
		i, err := s.beginDeed(deed{Op: opCheck}, m.entry(spec.Pool))
		var held *heldError
		switch {
		case errors.As(err, &held) && time.Now().Before(end):
			continue
		case held != nil:
			return fault.Newf(ErrUnavailable, "a client opened it while it was deleted, and its entry in the trash is busy: try again (%v)", held)
		case err != nil:
			return err
		}
		return errors.Join(s.bringBack(ioctx, img, spec, marks, m), i.finish())
	}
}

// bringBack is bringBackUnpurged while nobody can purge the image.
func (s *scope) bringBack(ioctx *ioContext, img *openImage, spec ImageSpec, marks register, m mark) error {
	var now mark
	if noted, err := marks.get(m.key(), &now); err != nil || !noted || now.Begun {
		return err
	}
	opened := img.idle()
	if !errors.Is(opened, ErrInUse) {
		return ignore(opened, syscall.ENOENT)
	}
	err := run(s, "rbd_trash_restore", func() error { return librbd.TrashRestore(ioctx, m.ID, m.Name) })
	if err = ignore(err, syscall.ENOENT); err != nil {
		return err
	}
	id, err := s.idOf(ioctx, spec.Image)
	if err == nil && id != m.ID {
		err = fault.New(ErrUnavailable, "a client opened it while it was deleted, and it does not come back from the trash: try again")
	}
	if err != nil {
		return err
	}
	return cmp.Or(marks.unmark(m.key(), opened), opened)
}

// deleteRemains clears away what is left under a name that does not open: nothing,
// the parts of an image that was half made or half removed, or one that was half
// moved to the trash.
func (s *scope) deleteRemains(ioctx *ioContext, spec ImageSpec, delay time.Duration) error {
	if moved, err := s.finishMove(ioctx, spec, delay); err != nil || moved {
		return err
	}
	err := s.mayRemoveUnopened(ioctx, spec, remains{}, syscall.ENOENT)
	if err != nil {
		return err
	}
	there, err := s.taken(ioctx, spec.Image)
	if err != nil {
		return err
	}
	listed, err := s.directory(ioctx, "name_"+spec.Image)
	if err != nil || (!there && listed == "") {
		return err
	}
	if err := s.remove(ioctx, spec.Image); ignore(err, syscall.ENOENT) != nil {
		return err
	}
	return s.confirmGone(ioctx, spec)
}

// finishMove carries to its end a move to the trash that was cut short: the entry is
// there, and the name not, or only in the list of images.
func (s *scope) finishMove(ioctx *ioContext, spec ImageSpec, delay time.Duration) (moved bool, err error) {
	id, err := s.directory(ioctx, "name_"+spec.Image)
	if err != nil {
		return false, err
	}
	if id == "" {
		return false, s.finishMoved(ioctx, spec)
	}
	if _, there, err := s.trashEntry(ioctx, id); err != nil || !there {
		return false, err
	}
	img, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if err != nil {
		return false, ignore(err, syscall.ENOENT) // half removed
	}
	m, err := img.mark(spec, delay)
	if err = errors.Join(err, img.close()); err != nil {
		return false, err
	}
	marks, err := s.register(spec.Pool, trashRegister)
	if err != nil {
		return false, err
	}
	if err := s.moveByLibrbd(ioctx, spec, marks, m); err != nil {
		return false, halfDone(err) // it has lost its name already
	}
	return true, halfDone(s.confirmTrashed(ioctx, spec, id))
}

// finishMoved is finishMove for an image that has lost its name altogether. Whoever was cut
// short may not have looked yet for a client that had opened it before.
func (s *scope) finishMoved(ioctx *ioContext, spec ImageSpec) error {
	list, err := s.marks(spec.Pool)
	if err != nil {
		return err
	}
	var last *mark // of those of this name
	for _, m := range list {
		if m.Name != spec.Image || m.Namespace != spec.Namespace {
			continue
		}
		entry, there, err := s.trashEntry(ioctx, m.ID)
		if err == nil {
			err = s.finishMoving(ioctx, entry)
		}
		if errors.Is(err, errWaiting) {
			continue // that one comes back by another name
		}
		if err != nil {
			return halfDone(err)
		}
		if there && m.sameMove(entry.TrashInfo) {
			last = &m
		}
	}
	if i := s.holds(spec); i == nil || !i.tookOn || last == nil {
		return nil
	}
	img, err := s.imageByIDReadOnly(ioctx, last.ID, librbd.NoSnapshot)
	if err != nil {
		return ignore(err, syscall.ENOENT) // half removed
	}
	return s.bringBackIfOpened(ioctx, img, spec, *last)
}

// moveByLibrbd moves an image to the trash, whose entry gets a time that is known
// afterwards, or has one of a move that was cut short, perhaps long ago.
func (s *scope) moveByLibrbd(ioctx *ioContext, spec ImageSpec, marks register, m mark) error {
	delay := m.Until.Sub(m.Deleted)
	if err := s.finishRestoring(ioctx, spec, m.ID); err != nil {
		return err
	}
	if err := s.fit(ioctx, marks, &m); err != nil {
		return err
	}
	before := m
	if err := s.trashMove(ioctx, spec, delay); err != nil {
		return err
	}
	return s.refit(ioctx, marks, before)
}

// finishRestoring carries to its end a restoration of an image that was cut short, and
// that has given it its name: librbd moves no image whose entry is in that state.
func (s *scope) finishRestoring(ioctx *ioContext, spec ImageSpec, id string) error {
	entry, there, err := s.trashEntry(ioctx, id)
	if err != nil || !there || entry.state != trashRestoring {
		return err
	}
	err = run(s, "rbd_trash_restore", func() error { return librbd.TrashRestore(ioctx, id, spec.Image) })
	return ignore(err, syscall.ENOENT) // whoever had begun it was quicker
}

// trashMove moves an image to the trash. The first move of a pool makes an object,
// which librbd may not in a pool that is at its quota, and calls ENOENT.
func (s *scope) trashMove(ioctx *ioContext, spec ImageSpec, delay time.Duration) error {
	move := func() error { return librbd.GetImage(ioctx, spec.Image).Trash(delay) }
	err := run(s, "rbd_trash_move", move)
	if !isErrno(err, syscall.ENOENT, syscall.EDQUOT, syscall.ENOSPC) {
		return err
	}
	made := run(s, "rados_create", func() error {
		w := rados.CreateWriteOp()
		defer w.Release()
		w.Create(rados.CreateExclusive)
		return plain(w.Operate(ioctx, "rbd_trash", spaceOrNot))
	})
	switch {
	case isErrno(made, syscall.EEXIST):
		return err
	case made != nil:
		return errors.Join(err, made)
	}
	return run(s, "rbd_trash_move", move)
}

// confirmTrashed looks again: the name is gone.
func (s *scope) confirmTrashed(ioctx *ioContext, spec ImageSpec, id string) error {
	now, err := s.idOf(ioctx, spec.Image)
	if err == nil && now == id {
		err = fault.Newf(ErrUnavailable, "%s is still there after it was moved to the trash: try again", spec)
	}
	return err
}
