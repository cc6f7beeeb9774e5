package rbd

import (
	"context"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
)

// DropOutlived removes a snapshot that was taken for one clone ("*.clone_snap") which is not
// there any more, or never came to be, so that the next one of that name is made of
// what the image holds by then. While the one before lies in the trash, the snapshot goes
// by another name, until Purge removes it. It stays, and dropped is false, while the clone is
// there or somebody is at it, and while it waits for its first clone after it was taken at one
// moment with those of other images. Gone is success.
//
// Similar To: rbd snap unprotect <spec>; rbd snap rm <spec>
func (m *Images) DropOutlived(ctx context.Context, spec SnapSpec, clone string) (dropped bool, err error) {
	d := deed{Op: opCheck, Snap: spec.Snap}
	if err := spec.validate(); err != nil {
		return false, wrap(d.Op, spec.String(), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	return change(ctx, m, d, spec.ImageSpec, func(s *scope, ioctx *ioContext) (bool, error) {
		return s.dropOutlived(ioctx, spec, clone)
	})
}

func (s *scope) dropOutlived(ioctx *ioContext, spec SnapSpec, clone string) (dropped bool, err error) {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return false, ignore(err, syscall.ENOENT)
	}
	snap, there, err := img.snapshot(spec.Snap)
	if err != nil || !there {
		return false, err
	}
	id, err := native(s, "rbd_get_id", img.GetId)
	if err != nil {
		return false, err
	}
	// Before the look for who is making the clone: what the snapshot has by now is then
	// either that one's, which is seen, or outlived.
	clones, err := s.needed(ioctx, id, snap)
	if err != nil {
		return false, err
	}
	of := ImageSpec{Pool: spec.Pool, Namespace: spec.Namespace, Image: clone}
	if making, err := s.intentOf(of); err != nil || making != nil {
		return false, err
	}
	if there, err := s.taken(ioctx, clone); err != nil || there {
		return false, err
	}
	if !clones {
		n := note{Namespace: spec.Namespace, ImageID: id, Snap: spec.Snap}
		notes, err := s.register(spec.Pool, snapsRegister)
		if err == nil {
			_, err = notes.get(n.key(), &n)
		}
		if err != nil || n.Wait > 0 {
			return false, err
		}
	}
	rw, err := s.image(ioctx, spec.Image)
	if err != nil {
		return false, err
	}
	if clones {
		err = s.setAside(rw, spec)
	} else if err = rw.dropSnapshot(snap); isErrno(err, syscall.EBUSY) {
		return false, nil // somebody is making the clone just now
	}
	return err == nil, err
}
