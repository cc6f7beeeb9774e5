package rbd

import (
	"context"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// Extend grows an image to size bytes, also one that a guest has open. It never
// shrinks: a smaller size than the image has is ErrInvalid, and changes nothing.
// The size that it has already is success.
//
// Similar To: rbd resize --size <size>B <spec>
func (m *Images) Extend(ctx context.Context, spec ImageSpec, size uint64) (Info, error) {
	d := deed{Op: opExtend, Size: size}
	if err := checkSize(size); err != nil {
		return Info{}, wrap(d.Op, spec.String(), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	return change(ctx, m, d, spec, func(s *scope, ioctx *ioContext) (Info, error) {
		return s.extend(ioctx, spec, size)
	})
}

func (s *scope) extend(ioctx *ioContext, spec ImageSpec, size uint64) (Info, error) {
	img, err := s.image(ioctx, spec.Image)
	if err != nil {
		return Info{}, err
	}
	if err := img.resize(size, false); err != nil {
		return Info{}, err
	}
	if err := img.close(); err != nil {
		return Info{}, err
	}
	if img, err = s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot); err != nil {
		return Info{}, err
	}
	info, err := img.info()
	info.Spec = spec
	if err == nil && info.Size != size {
		err = fault.Newf(ErrUnavailable, "it has %d bytes after it was given %d: try again", info.Size, size)
	}
	return info, err
}
