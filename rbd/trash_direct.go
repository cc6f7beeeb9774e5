package rbd

import (
	"encoding/binary"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
)

// To move an image to the trash takes four small writes. librbd opens the image for
// writing before them: it watches it, locks it, loads its object map, and undoes all
// of that, which is twice as many more. moveUnopened does the four, in librbd's order,
// by the same methods of the OSDs' class "rbd" (ceph src/librbd/api/Trash.cc, move,
// and src/librbd/trash/MoveRequest.cc), so that one that is cut short leaves a state
// that librbd leaves, too. What librbd's lock would keep out is a client that opens the
// image meanwhile: it is looked for afterwards, see bringBackIfOpened. An image with
// anything unusual is left to librbd, and so is a pool that is mirrored, since
// rbd-mirror has to be told.

// moveUnopened moves an image that nobody has open, and whose intent the caller holds,
// to the trash. errUnusual: nothing was done.
func (s *scope) moveUnopened(ioctx *ioContext, img *openImage, m mark) error {
	if err := s.movesPlainly(ioctx, img); err != nil {
		return err
	}
	err := run(s, "rbd.trash_add", func() error {
		w := rados.CreateWriteOp()
		defer w.Release()
		w.Create(rados.CreateIdempotent)
		w.Exec("rbd", "trash_add", trashAdd(m, trashByUser, trashMoving))
		return plain(w.Operate(ioctx, "rbd_trash", spaceOrNot))
	})
	if isErrno(err, syscall.EEXIST) { // of a move or a return that was cut short
		return errUnusual
	}
	if err != nil {
		return err
	}
	err = run(s, "rados_remove", func() error { return ioctx.Delete("rbd_id." + m.Name) })
	if err = ignore(err, syscall.ENOENT); err != nil {
		return halfDone(err)
	}
	var listing encoder
	listing.string(m.Name)
	listing.string(m.ID)
	err = s.class(ioctx, "rbd_directory", "dir_remove_image", listing.Bytes())
	if err = ignore(err, syscall.ENOENT); err != nil {
		return halfDone(err)
	}
	return halfDone(s.endMoving(ioctx, m.ID, trashMoving))
}

// movesPlainly is nil for an image that moveUnopened can move, and else errUnusual.
func (s *scope) movesPlainly(ioctx *ioContext, img *openImage) error {
	features, err := native(s, "rbd_get_features", img.GetFeatures)
	if err != nil {
		return err
	}
	if features&^uint64(plainFeatures) != 0 {
		return errUnusual
	}
	_, err = native(s, "rados_stat", func() (rados.ObjectStat, error) { return ioctx.Stat("rbd_mirroring") })
	if isErrno(err, syscall.ENOENT) {
		return nil
	}
	if err == nil {
		err = errUnusual
	}
	return err
}

// trashAdd is the input of the method trash_add, for an entry with that source and state.
// See: ceph src/cls/rbd/cls_rbd_types.cc, TrashImageSpec::encode.
func trashAdd(m mark, source, state byte) []byte {
	var in encoder
	in.string(m.ID)
	in.Write(encodedAs(2, func(e *encoder) {
		e.byte(source)
		e.string(m.Name)
		e.time(m.Deleted)
		e.time(m.Until)
		e.byte(state)
	}))
	return in.Bytes()
}

// time writes one as Ceph encodes it.
func (e *encoder) time(t time.Time) {
	e.Write(binary.LittleEndian.AppendUint32(nil, uint32(t.Unix())))
	e.Write(binary.LittleEndian.AppendUint32(nil, uint32(t.Nanosecond())))
}
