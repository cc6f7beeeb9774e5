package rbd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// Images are the RBD images of a cluster.
type Images struct {
	cluster *Cluster
}

// NewImages holds nothing of its own: c stays the caller's.
func NewImages(c *Cluster) *Images { return &Images{cluster: c} }

// CreateOptions are what an image keeps for life. Zero values mean the
// defaults of ceph.conf (rbd_default_order). The features are those of
// rbd_default_features, also of a clone.
type CreateOptions struct {
	ObjectSize uint64 // bytes, a power of two from 4 KiB to 32 MiB
	DataPool   string // holds the data objects, for an erasure-coded pool
}

// MaxSize is the largest size of an image, in bytes.
const MaxSize = math.MaxInt64

// Create makes an image of size bytes, all zeroes. ErrExists when the name is
// taken, whatever it names.
//
// Similar To: rbd create --size <size>B <spec>
func (m *Images) Create(ctx context.Context, spec ImageSpec, size uint64, opts CreateOptions) error {
	if err := checkCreate(spec, size, opts.ObjectSize); err != nil {
		return wrap("create", spec.String(), err)
	}
	return m.do(ctx, "create", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		return s.create(ioctx, spec.Image, size, opts)
	})
}

// Remove removes an image with its data. ErrInUse when it has snapshots or is
// open elsewhere; ErrNotFound when it is gone already. A removal that is cut
// short is finished by another one.
//
// Similar To: rbd rm <spec>
func (m *Images) Remove(ctx context.Context, spec ImageSpec) error {
	return m.doLong(ctx, "rm", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		err = s.remove(ioctx, spec.Image)
		if isErrno(err, syscall.ENOENT) {
			// At a pool's quota this comes with the image still there.
			return errors.Join(err, s.confirmGone(ioctx, spec))
		}
		return err
	})
}

// ResizeOptions say what a resize may do.
type ResizeOptions struct {
	AllowShrink bool // cut off the tail, and the data in it
}

// Resize sets the size in bytes. A smaller size than the image has is
// ErrInvalid, and changes nothing, unless opts allow it.
//
// Similar To: rbd resize --size <size>B [--allow-shrink] <spec>
func (m *Images) Resize(ctx context.Context, spec ImageSpec, size uint64, opts ResizeOptions) error {
	if err := checkSize(size); err != nil {
		return wrap("resize", spec.String(), err)
	}
	return m.doLong(ctx, "resize", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		img, err := s.image(ioctx, spec.Image)
		if err != nil {
			return err
		}
		return img.resize(size, opts.AllowShrink)
	})
}

// do is call for a quick operation without a result.
func (m *Images) do(ctx context.Context, op, subject string, fn func(*scope) error) error {
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	return m.doLong(ctx, op, subject, fn)
}

// doLong is do for an operation whose time grows with the image: only ctx bounds it.
func (m *Images) doLong(ctx context.Context, op, subject string, fn func(*scope) error) error {
	_, err := call(ctx, m.cluster, op, subject, func(s *scope) (struct{}, error) { return struct{}{}, fn(s) })
	return err
}

func checkCreate(spec ImageSpec, size, objectSize uint64) error {
	if err := spec.validate(); err != nil {
		return err
	}
	if err := checkObjectSize(objectSize); err != nil {
		return err
	}
	return checkSize(size)
}

func checkSize(size uint64) error {
	if size == 0 || size > MaxSize {
		return fault.Newf(ErrInvalid, "size %d: want 1 to %d bytes", size, uint64(MaxSize))
	}
	return nil
}

func checkObjectSize(size uint64) error {
	if size == 0 {
		return nil
	}
	if bits.OnesCount64(size) != 1 || size < 4<<10 || size > 32<<20 {
		return fault.Newf(ErrInvalid, "object size %d: want a power of two from 4 KiB to 32 MiB", size)
	}
	return nil
}

func (s *scope) create(ioctx *rados.IOContext, name string, size uint64, opts CreateOptions) error {
	o, err := s.imageOptions(opts)
	if err != nil {
		return err
	}
	defer o.Destroy()
	return run(s, "rbd_create4", func() error { return librbd.CreateImage(ioctx, name, size, o) })
}

func (s *scope) remove(ioctx *rados.IOContext, name string) error {
	return run(s, "rbd_remove", func() error { return librbd.RemoveImage(ioctx, name) })
}

// imageOptions are opts as librbd takes them, for whatever is created or cloned here; the
// caller destroys them. Left alone, librbd would give a clone its parent's features.
func (s *scope) imageOptions(opts CreateOptions) (*librbd.ImageOptions, error) {
	features, err := s.defaultFeatures()
	if err != nil {
		return nil, err
	}
	o := librbd.NewRbdImageOptions()
	err = o.SetUint64(librbd.ImageOptionFeatures, features)
	if err == nil && opts.ObjectSize != 0 {
		err = o.SetUint64(librbd.ImageOptionOrder, uint64(bits.TrailingZeros64(opts.ObjectSize)))
	}
	if err == nil && opts.DataPool != "" {
		err = o.SetString(librbd.ImageOptionDataPool, opts.DataPool)
	}
	if err != nil {
		o.Destroy()
		return nil, fmt.Errorf("options of the image: %w", err)
	}
	return o, nil
}

// resize sets the size of an open image; equal is done already.
func (o *openImage) resize(size uint64, allowShrink bool) error {
	now, err := native(o.s, "rbd_get_size", o.GetSize)
	if err != nil || now == size {
		return err
	}
	if size < now && !allowShrink {
		return fault.Newf(ErrInvalid, "%d bytes would cut off the last %d of %d: shrinking must be asked for", size, now-size, now)
	}
	return run(o.s, "rbd_resize2", func() error {
		return o.Resize2(size, allowShrink, func(uint64, uint64, any) int { return 0 }, nil)
	})
}
