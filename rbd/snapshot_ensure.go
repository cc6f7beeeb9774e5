package rbd

import (
	"context"
	"strings"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
	"github.com/google/uuid"

	"rbdctl/internal/fault"
)

// SnapOptions say what a snapshot is to be.
type SnapOptions struct {
	Protect bool // against removal, as clones of format 1 need it
}

// cloneSnap ends the name of a snapshot that was taken for one clone, and
// deletedSnap begins that of one that was deleted while it had clones. Both go
// with their last clone.
const (
	cloneSnap   = ".clone_snap"
	deletedSnap = "rbdctl-deleted-"
)

// passing tells whether a snapshot of this name goes with its last clone.
func passing(snap string) bool {
	return strings.HasSuffix(snap, cloneSnap) || strings.HasPrefix(snap, deletedSnap)
}

// EnsureSnapshot makes a snapshot be there, and protected if o asks for it; created
// tells whether it took it. One that is there already is success, protected or not.
// ErrNotFound when the image is not there. One whose name ends in ".clone_snap" is
// removed by Purge when it has no clones any more.
//
// Similar To: rbd snap create <spec>; rbd snap protect <spec>
func (m *Images) EnsureSnapshot(ctx context.Context, spec SnapSpec, o SnapOptions) (created bool, err error) {
	d := deed{Op: opSnapshot, Snap: spec.Snap}
	if err := checkSnapshot(spec); err != nil {
		return false, wrap(d.Op, spec.String(), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	return change(ctx, m, d, spec.ImageSpec, func(s *scope, ioctx *ioContext) (bool, error) {
		return s.ensureSnapshot(ioctx, spec, o)
	})
}

// checkSnapshot refuses names that nobody may give to a snapshot.
func checkSnapshot(spec SnapSpec) error {
	if strings.HasPrefix(spec.Snap, deletedSnap) {
		return fault.Newf(ErrInvalid, "snapshot %q: names that begin with %q are those of deleted snapshots", spec.Snap, deletedSnap)
	}
	return spec.validate()
}

func (s *scope) ensureSnapshot(ioctx *ioContext, spec SnapSpec, o SnapOptions) (created bool, err error) {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return false, err
	}
	snap, there, err := img.snapshot(spec.Snap)
	if err != nil || there && (snap.Protected || !o.Protect) {
		return false, err
	}
	if !there {
		if err := s.noteSnapshot(img, spec, 0); err != nil {
			return false, err
		}
	}
	if img, err = s.image(ioctx, spec.Image); err != nil {
		return false, err
	}
	if !there {
		if err := img.createSnapshot(spec.Snap); err == nil {
			created = true
		} else if !isErrno(err, syscall.EEXIST) {
			return false, err
		}
	}
	if o.Protect {
		if err := img.protect(spec.Snap); err != nil {
			return created, err
		}
	}
	snap, there, err = img.snapshot(spec.Snap)
	if err == nil && (!there || o.Protect && !snap.Protected) {
		err = fault.New(ErrUnavailable, "the snapshot is not there after it was taken: try again")
	}
	return created, err
}

// DeleteSnapshot removes a snapshot; one that is gone is success, and so is one of
// an image that is gone. With clones it does not fail either: its name is free at
// once, the clones go on working, and Purge removes it when the last of them is
// gone.
//
// Similar To: rbd snap unprotect <spec>; rbd snap rm <spec>
func (m *Images) DeleteSnapshot(ctx context.Context, spec SnapSpec) error {
	d := deed{Op: opUnsnap, Snap: spec.Snap}
	if err := spec.validate(); err != nil {
		return wrap(d.Op, spec.String(), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	_, err := change(ctx, m, d, spec.ImageSpec, func(s *scope, ioctx *ioContext) (struct{}, error) {
		return struct{}{}, s.deleteSnapshot(ioctx, spec)
	})
	return err
}

func (s *scope) deleteSnapshot(ioctx *ioContext, spec SnapSpec) error {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT) {
		return s.confirmGone(ioctx, spec.ImageSpec)
	}
	if err != nil {
		return err
	}
	snap, there, err := img.snapshot(spec.Snap)
	if err == nil && !there {
		err = s.endUnsnaps(ioctx, img)
	}
	if err != nil || !there {
		return err
	}
	if strings.HasPrefix(spec.Snap, deletedSnap) {
		return fault.New(ErrInvalid, "it is deleted, and goes with its last clone")
	}
	id, err := native(s, "rbd_get_id", img.GetId)
	if err != nil {
		return err
	}
	clones, err := s.needed(ioctx, id, snap)
	if err != nil {
		return err
	}
	rw, err := s.image(ioctx, spec.Image)
	if err != nil {
		return err
	}
	if !clones {
		err = rw.dropSnapshot(snap)
		clones = isErrno(err, syscall.EBUSY) // one was made just now
	}
	if clones {
		err = s.setAside(rw, spec)
	}
	if err != nil {
		return err
	}
	if _, there, err = rw.snapshot(spec.Snap); err == nil && there {
		err = fault.New(ErrUnavailable, "the snapshot is still there after its removal: try again")
	}
	return err
}

// dropSnapshot removes a snapshot for good; EBUSY when it has clones.
func (o *openImage) dropSnapshot(snap Snapshot) error {
	if snap.Protected {
		err := run(o.s, "rbd_snap_unprotect", o.GetSnapshot(snap.Name).Unprotect)
		if err != nil && !isErrno(err, syscall.EINVAL) { // EINVAL: it was not protected
			return err
		}
	}
	err := run(o.s, "rbd_snap_remove", o.GetSnapshot(snap.Name).Remove)
	return ignore(err, syscall.ENOENT)
}

// setAside gives a snapshot with clones a name of its own, under which Purge finds
// it.
func (s *scope) setAside(img *openImage, spec SnapSpec) error {
	aside := spec.ImageSpec.At(deletedSnap + uuid.NewString())
	if err := s.noteSnapshot(img, aside, 0); err != nil {
		return err
	}
	return run(s, "rbd_snap_rename", func() error { return img.GetSnapshot(spec.Snap).Rename(aside.Snap) })
}
