package rbd

import (
	"context"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// Revert gives an image the content of one of its snapshots. Its size stays: what
// it has grown by since reads as zeroes. ErrInUse, and nothing changed, while a
// client has it open. Cut short, it is carried to its end by the next operation on
// the image; while a client has that open, all of them are ErrInUse.
//
// Progress is told of bytes, once, at the end: the library does not tell more.
//
// Similar To: rbd snap rollback <spec>
func (m *Images) Revert(ctx context.Context, spec SnapSpec, p Progress) error {
	if err := spec.validate(); err != nil {
		return wrap(opRevert, spec.String(), err)
	}
	info, err := m.Stat(ctx, spec.ImageSpec)
	if err != nil {
		return err
	}
	snap, there := info.Snapshot(spec.Snap)
	if !there {
		return wrap(opRevert, spec.String(), fault.New(ErrNotFound, "the image has no such snapshot"))
	}
	d := deed{Op: opRevert, Snap: spec.Snap, Size: max(info.Size, snap.Size)}
	_, err = change(ctx, m, d, spec.ImageSpec, func(s *scope, ioctx *ioContext) (struct{}, error) {
		return struct{}{}, s.revert(ioctx, spec, d.Size)
	})
	if err == nil && p != nil {
		p(snap.Size, snap.Size)
	}
	return err
}

// revert rolls back and grows the image to size again: a rollback takes the
// snapshot's size too.
func (s *scope) revert(ioctx *ioContext, spec SnapSpec, size uint64) error {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	if err := img.idle(); err != nil {
		return err
	}
	now, err := native(s, "rbd_get_size", img.GetSize)
	if err != nil {
		return err
	}
	if _, there, err := img.snapshot(spec.Snap); err != nil || !there {
		if err == nil {
			err = fault.New(ErrNotFound, "the image has no such snapshot")
		}
		return err
	}
	rw, err := s.image(ioctx, spec.Image)
	if err != nil {
		return err
	}
	if err := s.rollBack(rw, spec); err != nil {
		return err
	}
	return rw.grow(max(now, size))
}

// rollBack gives an open image content and size of its snapshot, object by object. The
// intent says so before: from here on the image may be half of each content, and whoever
// comes next must not take it for whole because somebody has opened it since.
func (s *scope) rollBack(rw *openImage, spec SnapSpec) error {
	i := s.holds(spec.ImageSpec)
	before := i.record.Begun
	if err := i.begun(); err != nil {
		return err
	}
	err := run(s, "rbd_snap_rollback", rw.GetSnapshot(spec.Snap).Rollback)
	if isErrno(err, syscall.EROFS) {
		// The exclusive lock is another client's: librbd looks before it changes anything.
		// See: ceph src/librbd/Operations.cc, snap_rollback.
		i.record.Begun = before
		err = fault.New(ErrInUse, "a client has opened the image meanwhile: it stays as it is")
	}
	return err
}

// grow gives an open image at least size bytes.
func (o *openImage) grow(size uint64) error {
	now, err := native(o.s, "rbd_get_size", o.GetSize)
	if err != nil || now >= size {
		return err
	}
	return o.resize(size, false)
}
