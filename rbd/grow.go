package rbd

import (
	"encoding/binary"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"
	"golang.org/x/sync/errgroup"

	"rbdctl/internal/fault"
)

// A clone that was made a moment ago, under an intent, is open nowhere. To grow
// it librbd would open it for writing, watch it, lock it, lock its object map,
// and undo all of that: many writes beside the two that count. growUnopened does
// the two, by the same methods of the OSDs' class "rbd" (ceph src/cls/rbd/
// cls_rbd.cc, set_size and object_map_resize). What comes of it is verified
// through librbd, and an image that has anything unusual is left to librbd.

// plainFeatures are those that growing does not concern, or that it handles.
const plainFeatures = librbd.FeatureLayering | librbd.FeatureExclusiveLock | librbd.FeatureObjectMap |
	librbd.FeatureFastDiff | librbd.FeatureDeepFlatten | librbd.FeatureDataPool | librbd.FeatureOperations

// noSnap is the class's word for "not at a snapshot" (CEPH_NOSNAP).
const noSnap = ^uint64(0) - 1

// errUnusual leaves an image to librbd.
var errUnusual = fault.New(ErrUnsupported, "the image has features that only librbd handles")

// header is what the header object of an image says.
type header struct {
	id         string
	size       uint64 // bytes
	objectSize uint64 // bytes
	features   uint64
}

// growUnopened grows the image to size, at least the one that it has. The caller
// holds its intent, and nobody has it open. errUnusual: nothing was done.
func (s *scope) growUnopened(ioctx *ioContext, name string, size uint64) error {
	h, err := s.header(ioctx, name)
	if err != nil {
		return err
	}
	if h.features&^uint64(plainFeatures) != 0 || size < h.size {
		return errUnusual
	}
	if size == h.size {
		return nil
	}
	var group errgroup.Group // two objects: neither waits for the other
	group.Go(func() error {
		return s.class(ioctx, "rbd_header."+h.id, "set_size", binary.LittleEndian.AppendUint64(nil, size))
	})
	if h.features&librbd.FeatureObjectMap != 0 {
		objects := (size + h.objectSize - 1) / h.objectSize
		group.Go(func() error {
			// The new objects do not exist: state 0, OBJECT_NONEXISTENT.
			return s.class(ioctx, "rbd_object_map."+h.id, "object_map_resize",
				append(binary.LittleEndian.AppendUint64(nil, objects), 0))
		})
	}
	return group.Wait()
}

// class runs a method of the class "rbd" that changes an object which is there.
func (s *scope) class(ioctx *ioContext, oid, method string, in []byte) error {
	return s.classOn(ioctx, oid, method, in, (*rados.WriteOp).AssertExists)
}

// classNew runs one that makes the object if it is not there.
func (s *scope) classNew(ioctx *ioContext, oid, method string, in []byte) error {
	return s.classOn(ioctx, oid, method, in, func(*rados.WriteOp) {})
}

func (s *scope) classOn(ioctx *ioContext, oid, method string, in []byte, first func(*rados.WriteOp)) error {
	return run(s, "rbd."+method, func() error {
		w := rados.CreateWriteOp()
		defer w.Release()
		first(w)
		w.Exec("rbd", method, in)
		return plain(w.Operate(ioctx, oid, rados.OperationNoFlag))
	})
}

// ask runs a method of the class "rbd" that changes nothing.
func (s *scope) ask(ioctx *ioContext, oid, method string, in []byte) ([]byte, error) {
	return native(s, "rbd."+method, func() ([]byte, error) {
		r := rados.CreateReadOp()
		defer r.Release()
		answer := r.Exec("rbd", method, in)
		if err := r.Operate(ioctx, oid, rados.OperationNoFlag); err != nil {
			return nil, plain(err)
		}
		return answer.Bytes()
	})
}

// header reads the id and the header of an image, in two steps.
func (s *scope) header(ioctx *ioContext, name string) (header, error) {
	id, err := s.imageID(ioctx, name)
	if err != nil {
		return header{}, err
	}
	at := binary.LittleEndian.AppendUint64(nil, noSnap)
	type answers struct{ size, features []byte }
	a, err := native(s, "rbd.get_size", func() (answers, error) {
		r := rados.CreateReadOp()
		defer r.Release()
		size := r.Exec("rbd", "get_size", at)
		features := r.Exec("rbd", "get_features", append(at[:8:8], 1)) // 1: read only
		if err := r.Operate(ioctx, "rbd_header."+id, rados.OperationNoFlag); err != nil {
			return answers{}, plain(err)
		}
		var a answers
		var err error
		if a.size, err = size.Bytes(); err == nil {
			a.features, err = features.Bytes()
		}
		return a, err
	})
	if err != nil {
		return header{}, err
	}
	// get_size answers order and size, get_features features and incompatible ones.
	if len(a.size) != 9 || len(a.features) != 16 || a.size[0] >= 64 {
		return header{}, fmt.Errorf("%w: its header answers in a form that is not known", errUnusual)
	}
	return header{
		id:         id,
		size:       binary.LittleEndian.Uint64(a.size[1:]),
		objectSize: 1 << a.size[0],
		features:   binary.LittleEndian.Uint64(a.features),
	}, nil
}

// imageID reads the id of an image; ENOENT when there is none.
func (s *scope) imageID(ioctx *ioContext, name string) (string, error) {
	return native(s, "rados_read", func() (string, error) {
		text := make([]byte, 256)
		n, err := ioctx.Read("rbd_id."+name, text, 0)
		if err != nil {
			return "", err
		}
		// A string behind its length in 4 bytes.
		if n <= 4 || int(binary.LittleEndian.Uint32(text)) != n-4 {
			return "", nil
		}
		return string(text[4:n]), nil
	})
}
