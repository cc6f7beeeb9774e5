package rbd

import (
	"encoding/binary"
	"errors"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
)

// librbd takes a clone out of its parent's list before it takes the parent out of the
// clone (ceph src/librbd/operation/FlattenRequest.cc, detach_child and detach_parent). A
// flatten that is cut short between the two leaves a clone that needs its parent to be
// opened, and a parent that knows no clone.

// flattening tells whether a job is at a clone of the image id, which is then needed though
// it may know no clone. Jobs lie in the pools of their clones; those of pools that this
// entity may not read are not its own.
func (s *scope) flattening(id string) (bool, error) {
	pools, err := native(s, "rados_pool_list", s.conn().ListPools)
	if err != nil {
		return false, err
	}
	for _, pool := range pools {
		busy, err := s.flatteningIn(pool, id)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) || isErrno(err, syscall.EPERM, syscall.EACCES) {
			continue
		}
		if err != nil || busy {
			return busy, err
		}
	}
	return false, nil
}

// needed tells whether a snapshot of the image id has clones, or must be taken to have one.
func (s *scope) needed(ioctx *ioContext, id string, snap Snapshot) (bool, error) {
	if has, err := s.hasClones(ioctx, id, snap); err != nil || has {
		return has, err
	}
	return s.flattening(id)
}

func (s *scope) flatteningIn(pool, id string) (bool, error) {
	jobs, err := s.jobs(pool)
	if err != nil {
		return false, err
	}
	for _, j := range jobs {
		if j.Kind != opFlatten || j.final() {
			continue
		}
		_, parent, err := s.cloneOf(j.Subject)
		if err != nil || parent != nil && parent.ImageID == id {
			return err == nil, err
		}
	}
	return false, nil
}

// cloneOf looks at the image of that spec: its id, and its parent, which is nil also when
// the image is gone.
func (s *scope) cloneOf(subject string) (id string, parent *Parent, err error) {
	spec, err := ParseImageSpec(subject)
	if err != nil {
		return "", nil, err
	}
	ioctx, err := s.poolOf(spec)
	if err != nil {
		return "", nil, err
	}
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return "", nil, ignore(err, syscall.ENOENT)
	}
	if id, err = native(s, "rbd_get_id", img.GetId); err == nil {
		parent, err = img.parent()
	}
	return id, parent, errors.Join(err, img.close())
}

// attachAgain puts a clone into its parent's list, out of which a flatten that is not gone
// on with may have taken it. One that is in it, or has no parent, is success.
func (s *scope) attachAgain(subject string) error {
	id, parent, err := s.cloneOf(subject)
	if err != nil || parent == nil {
		return err
	}
	spec, err := ParseImageSpec(subject)
	if err != nil {
		return err
	}
	ioctx, err := s.poolOf(spec)
	if err != nil {
		return err
	}
	second, err := s.ofFormat2(ioctx, id)
	if err != nil {
		return err
	}
	snap := binary.LittleEndian.AppendUint64(nil, parent.SnapID)
	if second {
		of, err := s.poolOf(parent.ImageSpec)
		if err == nil {
			err = s.class(of, "rbd_header."+parent.ImageID, "child_attach", append(snap, childSpec(ioctx, spec.Namespace, id)...))
		}
		return ignore(err, syscall.EEXIST)
	}
	var in encoder // as ceph src/cls/rbd/cls_rbd_client.cc, add_child
	in.Write(binary.LittleEndian.AppendUint64(nil, parent.PoolID))
	in.string(parent.ImageID)
	in.Write(snap)
	in.string(id)
	return ignore(s.classNew(ioctx, "rbd_children", "add_child", in.Bytes()), syscall.EEXIST)
}

// ofFormat2 tells whether an image is a clone of format 2: its parent has the list.
// See: ceph src/include/rbd/features.h, RBD_OPERATION_FEATURE_CLONE_CHILD.
func (s *scope) ofFormat2(ioctx *ioContext, id string) (bool, error) {
	const cloneChild = 2
	bits, err := s.ask(ioctx, "rbd_header."+id, "op_features_get", nil)
	return len(bits) > 0 && bits[0]&cloneChild != 0, err
}

// childSpec names a clone to the class "rbd".
// See: ceph src/cls/rbd/cls_rbd_types.cc, ChildImageSpec::encode.
func childSpec(ioctx *ioContext, namespace, id string) []byte {
	return encodedAs(2, func(e *encoder) {
		e.Write(binary.LittleEndian.AppendUint64(nil, uint64(ioctx.GetPoolID())))
		e.string(id)
		e.string(namespace)
	})
}
