package rbd

import (
	"context"
	"syscall"
	"time"

	"rbdctl/internal/fault"
)

// Progress is told how far an operation has come: done of total, in a unit of
// the operation's own. It is called often, by one goroutine at a time, and must be
// quick.
type Progress func(done, total uint64)

// Flatten copies into a clone what it still reads from its parent, and cuts it
// from the parent. An image without a parent is success. When ctx ends it stops
// at the next object, with the parent kept and what was copied kept too; to
// call it again goes on from there.
//
// Similar To: rbd flatten <spec>
func (m *Images) Flatten(ctx context.Context, spec ImageSpec, progress Progress) error {
	_, err := callPolite(ctx, m.cluster, "flatten", spec.String(), func(s *scope) (struct{}, error) {
		var none struct{}
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return none, err
		}
		img, err := s.image(ioctx, spec.Image)
		if err != nil {
			return none, err
		}
		if parent, err := img.parent(); err != nil || parent == nil {
			return none, err
		}
		return none, img.flatten(ctx, progress)
	})
	return err
}

// busyPatience is how long a flatten tries again that librbd stopped as busy: a
// snapshot of the image's group takes its lock away, and gives it to nobody until it
// is taken.
const busyPatience = time.Minute

func (o *openImage) flatten(ctx context.Context, progress Progress) error {
	for deadline := time.Now().Add(busyPatience); ; {
		err := o.flattenOnce(ctx, progress)
		if !isErrno(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (o *openImage) flattenOnce(ctx context.Context, progress Progress) error {
	err := run(o.s, "rbd_flatten_with_progress", func() error {
		return o.FlattenWithProgress(func(done, total uint64, _ any) int {
			if progress != nil {
				progress(done, total)
			}
			if ctx.Err() != nil {
				return -int(syscall.EINTR) // only a negative answer stops it
			}
			return 0
		}, nil)
	})
	if err != nil && ctx.Err() != nil {
		return fault.Newf(ErrUnavailable, "stopped on request; the image still has its parent: call it again to go on")
	}
	return err
}
