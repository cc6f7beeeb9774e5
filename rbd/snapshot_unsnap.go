package rbd

import (
	"errors"
	"slices"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
)

// librbd removes a snapshot in steps: it moves it to the trash of the image's snapshots,
// gives its id back to the monitors, and at last takes it out of the header (ceph
// src/librbd/operation/SnapshotRemoveRequest.h). A removal that is cut short between the
// last two leaves an id in the header that the OSDs have done with: what is overwritten or
// removed of the image from then on they keep for that snapshot, until a deep scrub at
// least. librbd's removal of an image from the trash is no exception: it ends such removals,
// and then removes the data with the ids that it read before. So they are ended first, here.

// halfRemoved are an image's snapshots whose removal was cut short. One that somebody
// removed while it has clones of format 2 is not among them: it goes with them; and none are
// while a clone of the image is being flattened.
func (s *scope) halfRemoved(ioctx *ioContext, img *openImage, id string) ([]librbd.SnapInfo, error) {
	begun, err := img.snapshotsOf(librbd.SnapNamespaceTypeTrash)
	if err != nil || len(begun) == 0 {
		return nil, err
	}
	if needed, err := s.flattening(id); err != nil || needed {
		return nil, err
	}
	var half []librbd.SnapInfo
	for _, snap := range begun {
		clones, err := s.hasClones(ioctx, id, Snapshot{ID: snap.Id})
		if err != nil {
			return nil, err
		}
		if !clones {
			half = append(half, snap)
		}
	}
	return half, nil
}

// halfRemovedOf is halfRemoved for an image by its id; none when it is gone.
func (s *scope) halfRemovedOf(ioctx *ioContext, id string) ([]librbd.SnapInfo, error) {
	img, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if err != nil {
		return nil, ignore(err, syscall.ENOENT)
	}
	half, err := s.halfRemoved(ioctx, img, id)
	return half, errors.Join(err, img.close())
}

// endUnsnaps ends the removals of an image's snapshots that were cut short. Call it when
// this process holds the image's intent.
func (s *scope) endUnsnaps(ioctx *ioContext, img *openImage) error {
	id, err := native(s, "rbd_get_id", img.GetId)
	if err != nil {
		return err
	}
	half, err := s.halfRemoved(ioctx, img, id)
	if err != nil || len(half) == 0 {
		return err
	}
	rw, err := s.imageByID(ioctx, id)
	if err != nil {
		return err
	}
	for _, snap := range half {
		if err := ignore(rw.dropByID(snap), syscall.EBUSY); err != nil { // a clone was made just now
			return err
		}
	}
	return rw.close() // whoever goes on with the image reads its header anew
}

// unsnapping tells whether somebody began to remove the snapshot id, and it is still there.
func (o *openImage) unsnapping(id uint64) (bool, error) {
	begun, err := o.snapshotsOf(librbd.SnapNamespaceTypeTrash)
	return slices.ContainsFunc(begun, func(snap librbd.SnapInfo) bool { return snap.Id == id }), err
}

// endUnsnapsByID is endUnsnaps for an image that lies in the trash; gone is success.
func (s *scope) endUnsnapsByID(ioctx *ioContext, id string) error {
	img, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if err != nil {
		return ignore(err, syscall.ENOENT)
	}
	return errors.Join(s.endUnsnaps(ioctx, img), img.close())
}

// dropByID removes a snapshot that is not one of the users' own; gone is success.
func (o *openImage) dropByID(snap librbd.SnapInfo) error {
	err := run(o.s, "rbd_snap_remove_by_id", func() error { return o.RemoveSnapByID(snap.Id) })
	return ignore(err, syscall.ENOENT)
}
