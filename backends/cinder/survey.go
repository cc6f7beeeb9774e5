package cinder

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"rbdctl/backends"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// lookers is how many images are looked at at once: a survey leaves most of the
// connection's calls to requests.
const lookers = 4

// eachImage calls visit with the state of every image of names, several at a time
// and in no order. Images that are gone meanwhile, or half made, are left out: an
// ErrNotFound of visit leaves out one, too. Any other error ends the survey.
func (v Volumes) eachImage(ctx context.Context, names []string, visit func(context.Context, rbd.Info) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookers)
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			info, err := v.Images.Stat(ctx, rbd.ImageSpec{Pool: v.Pool, Image: name})
			if err == nil {
				err = visit(ctx, info)
			}
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// provisioned adds up the sizes of images.
func (v Volumes) provisioned(ctx context.Context, names []string) (uint64, error) {
	var sum atomic.Uint64
	err := v.eachImage(ctx, names, func(_ context.Context, info rbd.Info) error {
		sum.Add(info.Size)
		return nil
	})
	return sum.Load(), err
}

// errFound ends a survey that has what it looked for.
var errFound = errors.New("found")

// volumeOf looks for the volume that has the snapshot: Cinder names a snapshot
// without its volume in places.
func (v Volumes) volumeOf(ctx context.Context, snapshot string) (string, error) {
	images, err := v.Images.List(ctx, v.Pool, "")
	if err != nil {
		return "", err
	}
	var found atomic.Value
	err = v.eachImage(ctx, images, func(_ context.Context, info rbd.Info) error {
		id, ok := ParseName(info.Spec.Image)
		if _, has := info.Snapshot(snapshotPrefix + snapshot); !ok || !has {
			return nil
		}
		found.Store(id)
		return errFound
	})
	if id, ok := found.Load().(string); ok {
		return id, nil
	}
	if err == nil {
		err = fault.Newf(ErrNotFound, "snapshot %s: no volume of pool %s has it", snapshot, v.Pool)
	}
	return "", err
}

// lookAt is the state of the volume id.
func (v Volumes) lookAt(ctx context.Context, id string) (rbd.Info, error) {
	if err := backends.CheckID("volume", id); err != nil {
		return rbd.Info{}, err
	}
	return v.Images.Whole(ctx, backends.Volume(v.Pool, id))
}
