package rbd

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// remains are what an unfinished operation may have left under an image's name.
type remains struct {
	made  string // id of the image that it wrote down as its own; may be empty
	owner string // address of the client that was at it, and that is gone
	op    string // that was not finished
}

// errNotOurs is why an image stays: it holds data, or snapshots, which no
// unfinished operation accounts for.
var errNotOurs = fault.New(ErrExists, "an image is there that no unfinished operation accounts for: it stays as it is")

// errWatched is why remains stay for a moment: the client that left them, or one that is
// fenced, counts as watching the image. A removal would ask it for its lock, for half a minute.
var errWatched = fault.New(ErrInUse, "the client that was at it still counts as watching the image: try again")

// errFencedWatch is errWatched when none of those that watch may write any more.
var errFencedWatch = fmt.Errorf("%w", errWatched)

// patience is how long a dead client can count as watching an image: 30 s, or
// about one when it was fenced. A removal that asks it for its lock after all takes
// as long again. A fenced one that still counts after fencedPatience always will.
const (
	patience       = 90 * time.Second
	fencedPatience = 3 * time.Second
)

// sweepImage removes remains: parts of an image that lack what makes it one, the
// image whose id was written down, or one that is blank. An image that somebody
// else has open is ErrInUse; one that holds data or does not open for another
// reason is errNotOurs. Nothing there is success. Everything is looked at anew
// before each attempt to remove it.
func (s *scope) sweepImage(ioctx *ioContext, spec ImageSpec, left remains) error {
	begin, ended := time.Now(), false
	for deadline := begin.Add(patience); ; time.Sleep(100 * time.Millisecond) { //nolint:forbidigo // librbd has no way to wait for a watch to end
		err := s.mayRemove(ioctx, spec, left)
		if errors.Is(err, errFencedWatch) && !ended && time.Since(begin) > fencedPatience {
			err, ended = s.endWatches(ioctx, spec), true // once is enough
		}
		if errors.Is(err, errWatched) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			return err
		}
		err = s.remove(ioctx, spec.Image)
		if isErrno(err, syscall.EBUSY) && time.Now().Before(deadline) {
			if time.Since(begin) > fencedPatience {
				err = s.endTrashedWatches(ioctx, spec.Image)
			}
			if err == nil || isErrno(err, syscall.EBUSY) {
				continue
			}
		}
		if err != nil && !isErrno(err, syscall.ENOENT) {
			return fmt.Errorf("removing the remains of %s: %w", spec, err)
		}
		return s.confirmGone(ioctx, spec)
	}
}

// mayRemove is nil when what is there, if anything, is remains.
func (s *scope) mayRemove(ioctx *ioContext, spec ImageSpec, left remains) error {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT, syscall.EIO) {
		return s.mayRemoveUnopened(ioctx, spec, left, err)
	}
	if err != nil {
		return err
	}
	err = img.mayRemove(left)
	if closing := img.close(); err == nil {
		err = closing
	}
	return err
}

func (o *openImage) mayRemove(left remains) error {
	watchers, live, err := o.watchers()
	if err != nil {
		return err
	}
	for _, address := range live {
		if address != left.owner && address != o.s.ses.address {
			return openBy([]string{address})
		}
	}
	switch {
	case len(live) > 0:
		return fmt.Errorf("%w (%v)", errWatched, live)
	case len(watchers) > 0:
		return fmt.Errorf("%w (%v)", errFencedWatch, watchers)
	}
	id, err := native(o.s, "rbd_get_id", o.GetId)
	if err != nil || (left.made != "" && id == left.made) {
		return err
	}
	snaps, err := native(o.s, "rbd_snap_list", o.GetSnapshotNames)
	if err != nil {
		return err
	}
	blank, err := o.blank()
	if err == nil && (len(snaps) > 0 || !blank) {
		err = errNotOurs
	}
	return err
}

// endWatches ends the watches of remains whose watchers are all fenced; errWatched,
// for they are to be looked at again.
func (s *scope) endWatches(ioctx *ioContext, spec ImageSpec) error {
	id, err := s.imageID(ioctx, spec.Image)
	if err == nil {
		err = s.dropWatches(ioctx, id)
	}
	if err == nil || isErrno(err, syscall.ENOENT, syscall.ERANGE, syscall.EOVERFLOW) {
		err = errWatched
	}
	return err
}

// endTrashedWatches ends the watches of fenced clients on an image that a removal by librbd,
// which was cut short, has moved to the trash: it is not there under its name any more.
func (s *scope) endTrashedWatches(ioctx *ioContext, name string) error {
	id, err := s.removing(ioctx, name)
	if err != nil || id == "" {
		return err
	}
	img, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if err != nil {
		return ignore(err, syscall.ENOENT) // half removed
	}
	watchers, live, err := img.watchers()
	if err = errors.Join(err, img.close()); err != nil || len(watchers) == 0 || len(live) > 0 {
		return err
	}
	return ignore(s.dropWatches(ioctx, id), syscall.ENOENT, syscall.ERANGE, syscall.EOVERFLOW) // it is looked at again
}

// blank tells whether the image has no data of its own: what it reads are
// zeroes, or its parent.
func (o *openImage) blank() (bool, error) {
	size, err := native(o.s, "rbd_get_size", o.GetSize)
	if err != nil || size == 0 {
		return err == nil, err
	}
	found := false
	err = run(o.s, "rbd_diff_iterate2", func() error {
		return o.DiffIterate(librbd.DiffIterateConfig{
			Length: size, IncludeParent: librbd.ExcludeParent, WholeObject: librbd.EnableWholeObject,
			Callback: func(_, _ uint64, exists int, _ any) int {
				if exists == 0 {
					return 0
				}
				found = true
				return -int(syscall.EINTR)
			},
		})
	})
	if found {
		return false, nil
	}
	return err == nil, err
}

// confirmGone looks again: at a pool's quota a removal answers "not found" with
// the image still there.
func (s *scope) confirmGone(ioctx *ioContext, spec ImageSpec) error {
	there, err := s.taken(ioctx, spec.Image)
	if err == nil && there {
		err = fault.Newf(ErrUnavailable, "%s is still there after its removal (a full pool does that): try again", spec)
	}
	return err
}

// taken tells whether the name names an image, or a part of one.
func (s *scope) taken(ioctx *ioContext, name string) (bool, error) {
	_, err := native(s, "rados_stat", func() (struct{}, error) {
		_, err := ioctx.Stat("rbd_id." + name)
		return struct{}{}, err
	})
	if isErrno(err, syscall.ENOENT) {
		return false, nil
	}
	return err == nil, err
}
