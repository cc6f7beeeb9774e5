package cinder

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"rbdctl/backends"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// lookers is how many images are looked at at once: a survey leaves most of the
// connection's calls to requests.
const lookers = 4

// maxAway is how many images may stay without an answer before a survey is given up:
// each of them takes as long as an operation may.
const maxAway = 16

// eachImage calls visit with the state of every image of names, several at a time
// and in no order, or with why it can't be read. Images that are gone meanwhile, or
// half made, are left out: an ErrNotFound of visit leaves out one, too. Any other error
// of visit ends the survey, and so does a cluster that leaves many without an answer.
func (v Volumes) eachImage(ctx context.Context, names []string, visit func(context.Context, rbd.Info, error) error) error {
	var away atomic.Int64
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(lookers)
	for _, name := range names {
		if each.Err() != nil {
			break
		}
		group.Go(func() error {
			info, unreadable := v.Images.Stat(each, rbd.ImageSpec{Pool: v.Pool, Image: name})
			switch {
			case errors.Is(unreadable, ErrNotFound):
				return nil
			case unreadable != nil && each.Err() != nil, errors.Is(unreadable, ErrUnavailable) && away.Add(1) > maxAway:
				return unreadable
			}
			info.Spec.Pool, info.Spec.Image = v.Pool, name
			err := visit(each, info, unreadable)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err() // it may have ended between two images
}

// Provisioned is what the images of a pool come to.
type Provisioned struct {
	Size       uint64 // bytes, of all that can be read
	Unreadable int    // images that are left out
	Why        error  // one of them can't be read; nil: all can
}

// Provisioned adds up the sizes of all images of the pool. It opens each of them: with
// tens of thousands that takes minutes. One that can't be read is left out, as the
// upstream driver leaves it out.
// See: cinder/volume/drivers/rbd.py, _get_usage_info.
func (v Volumes) Provisioned(ctx context.Context) (Provisioned, error) {
	names, err := v.Images.List(ctx, v.Pool, "")
	if err != nil {
		return Provisioned{}, err
	}
	var sum Provisioned
	var mu sync.Mutex
	err = v.eachImage(ctx, names, func(_ context.Context, info rbd.Info, unreadable error) error {
		mu.Lock()
		defer mu.Unlock()
		sum.Size += info.Size
		if unreadable != nil {
			sum.Unreadable++
			sum.Why = unreadable
		}
		return nil
	})
	return sum, err
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
	var mu sync.Mutex
	var found string
	var unread error
	err = v.eachImage(ctx, images, func(_ context.Context, info rbd.Info, unreadable error) error {
		mu.Lock()
		defer mu.Unlock()
		if unreadable != nil {
			unread = unreadable
		}
		id, ok := ParseName(info.Spec.Image)
		if _, has := info.Snapshot(snapshotPrefix + snapshot); !ok || !has {
			return nil
		}
		found = id
		return errFound
	})
	switch {
	case found != "":
		return found, nil
	case err == nil && unread == nil:
		err = fault.Newf(ErrNotFound, "snapshot %s: no volume of pool %s has it", snapshot, v.Pool)
	case err == nil:
		err = unread // it may be that one's
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
