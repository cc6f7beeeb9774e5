package rbd

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
)

// Child is a clone of a snapshot.
type Child struct {
	ImageSpec
	ID      string
	Trashed bool
}

// Children lists the clones of all snapshots of an image, in all pools that the
// entity may read; ErrDenied when a child lies in one that it may not.
//
// Similar To: rbd children --all <spec>
func (m *Images) Children(ctx context.Context, spec ImageSpec) ([]Child, error) {
	return look(ctx, m, "children", spec, func(img *openImage) ([]Child, error) {
		list, err := img.children()
		var children []Child
		for _, c := range list {
			image := ImageSpec{Pool: c.PoolName, Namespace: c.PoolNamespace, Image: c.ImageName}
			children = append(children, Child{ImageSpec: image, ID: c.ImageID, Trashed: c.Trash})
		}
		return children, err
	})
}

// children lists the clones of all snapshots. librbd finds them first, looks for
// their names then, and says ENOENT when one was removed between the two, which
// tells nothing of this image.
func (o *openImage) children() ([]librbd.ImageSpec, error) {
	for tries := 1; ; tries++ {
		list, err := native(o.s, "rbd_list_children3", o.ListChildrenAttributes)
		if tries == 5 || !isErrno(err, syscall.ENOENT) {
			return list, err
		}
	}
}

// hasClones tells whether a snapshot has clones, of either format, in any pool, by
// what the image and the pools note of them: unlike children it does not list whole
// pools. It has, when that may not be read.
func (s *scope) hasClones(ioctx *ioContext, id string, snap Snapshot) (bool, error) {
	has, err := s.notesChildren(ioctx, "rbd_header."+id, "children_list", binary.LittleEndian.AppendUint64(nil, snap.ID))
	if err != nil || has || !snap.Protected {
		return has, err // clones of format 1 need a protected one
	}
	namespace, err := ioctx.GetNamespace()
	if err != nil {
		return false, err
	}
	pools, err := native(s, "rados_pool_list", s.conn().ListPools)
	if err != nil {
		return false, err
	}
	var parent encoder
	parent.Write(binary.LittleEndian.AppendUint64(nil, uint64(ioctx.GetPoolID())))
	parent.string(id)
	parent.Write(binary.LittleEndian.AppendUint64(nil, snap.ID))
	for _, pool := range pools {
		in, err := s.pool(pool, namespace)
		if errors.Is(err, ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return false, err
		}
		if has, err := s.notesChildren(in, "rbd_children", "get_children", parent.Bytes()); err != nil || has {
			return has, err
		}
	}
	return false, nil
}

// notesChildren runs a method of the class "rbd" that answers with a set of clones,
// and tells whether there is one in it.
func (s *scope) notesChildren(ioctx *ioContext, oid, method string, in []byte) (bool, error) {
	set, err := s.ask(ioctx, oid, method, in)
	switch {
	case isErrno(err, syscall.ENOENT, syscall.EOPNOTSUPP): // the second: of a very old OSD
		return false, nil
	case isErrno(err, syscall.EPERM, syscall.EACCES):
		return true, nil
	case err != nil:
		return false, err
	}
	return slices.ContainsFunc(set[:min(4, len(set))], func(b byte) bool { return b != 0 }), nil // how many there are
}
