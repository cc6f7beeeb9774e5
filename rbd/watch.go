package rbd

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"
)

// An OSD can count a dead client as watching an object for minutes, whatever the
// watch's timeout and although the client is blocklisted: when the client was
// killed between its request for the watch and the last replica's commit, the
// watch is stored and nobody times it. librbd refuses to remove an image that has
// such a watch. TestWatchOfTheKilled makes one.
// See: ceph src/osd/PrimaryLogPG.cc, do_osd_op_effects: `if (!session) return`.

// rewatch is how long a client has to take its watch up again when that was ended.
const rewatch = time.Second

// dropWatches makes an image's header anew as it is, in one write, which ends
// every watch on it. Only for images whose watchers are all fenced: they have
// nothing more to say, and nobody else has anything to lose. Nothing is written if
// the header changed meanwhile.
//
// To open the image is no change: a watch is kept in the object's info, and the OSD
// raises the version that a client sees only for writes which the client could see
// (ceph src/osd/PrimaryLogPG.cc, do_osd_ops, "user-visible modification?"). So a client
// that opened it since its watchers were listed loses its watch, too. Its librbd takes
// it up again at once: then it is ErrInUse.
func (s *scope) dropWatches(ioctx *ioContext, id string) error {
	oid := "rbd_header." + id
	omap, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
		return ioctx.GetAllOmapValues(oid, "", "", 1000)
	})
	if err != nil {
		return err
	}
	// Taken after the first look: a change since then fails the write.
	version, err := ioctx.GetLastVersion()
	if err != nil {
		return err
	}
	xattrs, err := native(s, "rados_getxattrs", func() (map[string][]byte, error) { return ioctx.ListXattrs(oid) })
	if err != nil {
		return err
	}
	err = run(s, "header again", func() error {
		w := rados.CreateWriteOp()
		defer w.Release()
		w.AssertVersion(version)
		w.Remove()
		w.Create(rados.CreateExclusive)
		w.SetOmap(omap)
		for name, value := range xattrs {
			w.SetXattr(name, value)
		}
		return plain(w.Operate(ioctx, oid, rados.OperationNoFlag))
	})
	if err != nil {
		return fmt.Errorf("ending the watches of clients that are gone: %w", err)
	}
	return s.stillIdle(ioctx, id)
}

// stillIdle is ErrInUse if a client takes up a watch that was ended.
func (s *scope) stillIdle(ioctx *ioContext, id string) error {
	img, err := s.imageByIDReadOnly(ioctx, id, librbd.NoSnapshot)
	if err != nil {
		return ignore(err, syscall.ENOENT) // half made, or half removed
	}
	for deadline := time.Now().Add(rewatch); err == nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) { //nolint:forbidigo // nobody tells of a watch
		err = img.idle()
	}
	return errors.Join(err, img.close())
}
