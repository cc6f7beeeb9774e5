package rbd

import (
	"encoding/binary"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"
	"golang.org/x/sync/errgroup"
)

// An image that an import has just made is nobody's but its own. To fill it,
// librbd takes the exclusive lock, writes into the object map before the first
// write to each object, and at the end asks the monitors for a snapshot's id, which
// takes them a second. directTarget writes the data objects itself; the map is
// written twice, before and after; and the id is asked for while data is written.
// The writes that finish the image are those that librbd ends in, by the same
// methods of the OSDs' class "rbd" (ceph src/librbd/operation/
// SnapshotCreateRequest.cc, object_map/SnapshotCreateRequest.cc). An image with
// anything unusual is left to librbd.
//
// Killed at any point, it leaves what librbd can remove: the map says of every
// object that it may be there until it says which are, and the snapshot is in the
// header before its own map is there.

// directTarget is an image that is filled without librbd. Its import holds the
// intent, and has the image open in librbd, which keeps others from removing it.
type directTarget struct {
	s     *scope
	ioctx *ioContext
	h     header
	snap  string // name of the snapshot to be
	have  objectMap
	at    uint64 // size now, in bytes
	asked errgroup.Group
	id    snapID // of the snapshot, once it was asked for
	used  bool   // id may be in the header
}

// directFeatures are those of the images that are filled directly.
const directFeatures = plainFeatures &^ librbd.FeatureDataPool

// goldenHints say of the content of an image that it is written once and read in runs:
// by those who boot of it, and by librbd, which copies whole objects up. BlueStore then
// has a checksum for each 64 KiB, not for each 4 (ceph src/os/bluestore/BlueStore.cc,
// _choose_write_options), which spares OSDs work (decision 0006). rados bench gives the like.
const goldenHints = rados.AllocHintSequentialWrite | rados.AllocHintSequentialRead | rados.AllocHintImmutable

// direct tells whether an image that was just made can be filled directly.
func (h header) direct() bool {
	return h.features&^uint64(directFeatures) == 0 && h.features&librbd.FeatureLayering != 0
}

// startDirect begins to fill the image, which this import has made and written
// down: whatever is written from now on, a removal finds it.
func (im *importing) startDirect(h header) (*directTarget, error) {
	d := &directTarget{s: im.scope, ioctx: im.ioctx, h: h, snap: im.opts.Snapshot, at: h.size}
	if d.mapped() {
		if err := d.s.class(d.ioctx, d.mapObject(), "object_map_update", objectMapUpdate(0, d.objects(d.at), objectExists)); err != nil {
			return nil, err
		}
	}
	d.asked.Go(func() (err error) {
		d.id, err = d.s.newSnapID(d.ioctx)
		return err
	})
	return d, nil
}

// end waits for the snapshot's id and gives it back, unless the snapshot may have
// it. A failure does no harm: see snapID.
func (d *directTarget) end() {
	if err := d.asked.Wait(); err == nil && !d.used {
		_ = d.s.dropSnapID(d.ioctx, d.id)
	}
}

func (d *directTarget) mapped() bool         { return d.h.features&librbd.FeatureObjectMap != 0 }
func (d *directTarget) mapObject() string    { return "rbd_object_map." + d.h.id }
func (d *directTarget) headerObject() string { return "rbd_header." + d.h.id }

// objects is how many data objects an image of size bytes has.
func (d *directTarget) objects(size uint64) uint64 {
	return (size + d.h.objectSize - 1) / d.h.objectSize
}

func (d *directTarget) size() uint64 { return d.at }

// grow makes room: the map first, for the same reason as at the beginning.
func (d *directTarget) grow(size uint64) error {
	if d.mapped() {
		in := append(binary.LittleEndian.AppendUint64(nil, d.objects(size)), objectExists)
		if err := d.s.class(d.ioctx, d.mapObject(), "object_map_resize", in); err != nil {
			return err
		}
	}
	return d.resize(size)
}

func (d *directTarget) resize(size uint64) error {
	err := d.s.class(d.ioctx, d.headerObject(), "set_size", binary.LittleEndian.AppendUint64(nil, size))
	if err == nil {
		d.at = size
	}
	return err
}

// put writes what of c is not zero, object by object.
func (d *directTarget) put(c chunk) (uint64, error) {
	var written uint64
	for piece := range c.pieces(d.h.objectSize) {
		data, at := piece.data, piece.offset%d.h.objectSize
		n := piece.offset / d.h.objectSize
		err := run(d.s, "rados_write", func() error {
			w := rados.CreateWriteOp()
			defer w.Release()
			w.SetAllocationHint(d.h.objectSize, chunkSize, goldenHints)
			w.Write(data, at)
			return plain(w.Operate(d.ioctx, d.dataObject(n), rados.OperationNoFlag))
		})
		if err != nil {
			return written, err
		}
		d.have.set(n)
		written += piece.length
	}
	return written, nil
}

func (d *directTarget) dataObject(n uint64) string {
	return fmt.Sprintf("rbd_data.%s.%016x", d.h.id, n)
}

// seal sets the size that the content turned out to have, and takes the snapshot.
func (d *directTarget) seal(i *intent, size uint64) error {
	objects := d.objects(size)
	var group errgroup.Group
	group.Go(i.still)
	group.Go(d.asked.Wait)
	if size != d.at {
		group.Go(func() error { return d.resize(size) })
	}
	if d.mapped() {
		state := byte(objectExists)
		if d.h.features&librbd.FeatureFastDiff != 0 {
			state = objectClean
		}
		group.Go(func() error {
			return d.s.class(d.ioctx, d.mapObject(), "object_map_save", d.have.encode(objects, state))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	d.used = true
	if err := d.s.class(d.ioctx, d.headerObject(), "snapshot_add", snapshotAdd(d.id, d.snap)); err != nil {
		return err
	}
	if !d.mapped() {
		return nil
	}
	return d.s.classNew(d.ioctx, fmt.Sprintf("%s.%016x", d.mapObject(), uint64(d.id)), "object_map_save", d.have.encode(objects, objectExists))
}

// protect makes the image one that counts.
func (d *directTarget) protect() error {
	const protected = 2 // RBD_PROTECTION_STATUS_PROTECTED
	return d.s.class(d.ioctx, d.headerObject(), "set_protection_status",
		append(binary.LittleEndian.AppendUint64(nil, uint64(d.id)), protected))
}

// objectMapUpdate is the input of the method object_map_update: objects from
// first to before end, whatever their state, get the new one.
func objectMapUpdate(first, end uint64, state byte) []byte {
	in := binary.LittleEndian.AppendUint64(nil, first)
	in = binary.LittleEndian.AppendUint64(in, end)
	return append(in, state, 0) // 0: no state is required
}

// snapshotAdd is the input of the method snapshot_add for a snapshot of a user's.
func snapshotAdd(id snapID, name string) []byte {
	var e encoder
	e.string(name)
	e.Write(binary.LittleEndian.AppendUint64(nil, uint64(id)))
	e.Write(encoded(func(e *encoder) { e.uint32(0) })) // SNAPSHOT_NAMESPACE_TYPE_USER
	return e.Bytes()
}
