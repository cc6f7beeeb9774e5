package rbd

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
	"golang.org/x/sync/errgroup"

	"rbdctl/internal/fault"
)

// ImportOptions say how an import is done. Zero values mean defaults.
type ImportOptions struct {
	CreateOptions
	Snapshot string   // taken of the whole image, and protected; required
	Verify   bool     // read the image back and compare its SHA-256 with the source's
	Progress Progress // bytes; total is 0 while the length is not known
}

// Imported is what an import came to.
type Imported struct {
	Info    Info
	Created bool   // false: the image was there already, with the same content
	Written uint64 // bytes that were not zeroes, and so were written
	SHA256  string // of the content, in hex; only when it was verified
}

// Import makes an image from RAW content, with a protected snapshot of it. Zeroes
// of a whole object leave a hole. The image is complete when its snapshot is
// protected; before that it is nobody's, and is removed when the import fails.
// Killed at any instruction and called again, it clears away what it left and
// begins anew.
//
// While another import of the same image is under way, it waits for the other's
// end as long as ctx lasts, and is then ErrInUse.
//
// An image that is there already, complete, is compared byte by byte: success
// when it is equal, else ErrExists. Memory does not depend on the length.
//
// Similar To: rbd import --export-format 1 <file> <spec>; rbd snap create; rbd snap protect
func (m *Images) Import(ctx context.Context, spec ImageSpec, src Source, opts ImportOptions) (Imported, error) {
	err := checkCreate(spec, max(src.Size, 1), opts.ObjectSize)
	if err == nil {
		err = CheckName("snapshot", opts.Snapshot)
	}
	if err != nil {
		return Imported{}, wrap("import", spec.String(), err)
	}
	return afterOthers(ctx, func() (Imported, error) {
		return callPolite(ctx, m.cluster, "import", spec.String(), func(s *scope) (Imported, error) {
			im := importing{scope: s, ctx: ctx, spec: spec, src: src, opts: opts, limit: m.cluster.cfg.writers()}
			return im.run()
		})
	})
}

// importing is one import under way.
type importing struct {
	*scope
	ctx   context.Context
	spec  ImageSpec
	src   Source
	opts  ImportOptions
	limit int // writes in flight
	ioctx *ioContext
}

func (im *importing) run() (Imported, error) {
	var err error
	if im.ioctx, err = im.poolOf(im.spec); err != nil {
		return Imported{}, err
	}
	complete, err := im.isComplete()
	if err != nil {
		return Imported{}, err
	}
	if complete {
		unfinished, err := im.intentOf(im.spec)
		if err != nil {
			return Imported{}, err
		}
		if unfinished == nil {
			return im.compare()
		}
	}
	w, err := newImageWriter(im) // a source that will not do needs no intent
	if err != nil {
		return Imported{}, err
	}
	i, err := im.begin("import", im.spec)
	if err != nil {
		return Imported{}, err
	}
	if complete { // only its intent was left to be removed
		if err := i.finish(); err != nil {
			return Imported{}, err
		}
		return im.compare()
	}
	return im.under(i, w)
}

// under imports while this process holds the intent.
func (im *importing) under(i *intent, w *imageWriter) (Imported, error) {
	if i.record.Begun { // by who was at it before
		if err := im.clear(i.before); err != nil {
			return Imported{}, errors.Join(err, i.leave(err))
		}
	}
	err := i.free(im.ioctx)
	if err != nil && !isErrno(err, syscall.EEXIST) {
		return Imported{}, errors.Join(err, i.release(err))
	}
	if err == nil {
		err = im.make(w)
	}
	if isErrno(err, syscall.EEXIST) {
		err := fault.Newf(ErrExists, "it exists without a protected snapshot %q: an upload by somebody else is under way, or was cut off", im.opts.Snapshot)
		return Imported{}, errors.Join(err, i.finish())
	} else if err != nil {
		return Imported{}, im.undo(i, err)
	}
	done, err := im.fill(i, w)
	if err != nil {
		return Imported{}, im.undo(i, err)
	}
	return done, i.finish()
}

// make makes the image, empty. Its error is EEXIST for a name that is taken: then
// it made nothing.
func (im *importing) make(w *imageWriter) error {
	size := cmp.Or(w.chunks.size, firstGuess)
	return im.create(im.ioctx, im.spec.Image, size, im.opts.CreateOptions)
}

// isComplete tells whether the image is there with its snapshot protected.
func (im *importing) isComplete() (bool, error) {
	img, err := im.imageReadOnly(im.ioctx, im.spec.Image, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	protected, err := img.protected(im.opts.Snapshot)
	if isErrno(err, syscall.ENOENT) {
		protected, err = false, nil
	}
	return protected, errors.Join(err, img.close())
}

// fill makes the image whole.
func (im *importing) fill(i *intent, w *imageWriter) (Imported, error) {
	img, err := im.image(im.ioctx, im.spec.Image)
	if err != nil {
		return Imported{}, err
	}
	id, err := native(im.scope, "rbd_get_id", img.GetId)
	if err != nil {
		return Imported{}, err
	}
	if err := i.made(id); err != nil {
		return Imported{}, err
	}
	to, err := im.target(img)
	if err != nil {
		return Imported{}, err
	}
	defer to.end()
	digest, err := w.copyTo(to)
	if err != nil {
		return Imported{}, err
	}
	done := Imported{Created: true, Written: w.written.Load()}
	if err := to.seal(i, w.chunks.offset); err != nil {
		return Imported{}, err
	}
	w.free = nil // its buffers; reading back needs as many
	if im.opts.Verify {
		done.SHA256 = hex.EncodeToString(digest)
		if err := im.verify(done.SHA256); err != nil {
			return Imported{}, err
		}
	}
	if err := to.protect(); err != nil {
		return Imported{}, err
	}
	done.Info, err = im.look(img)
	return done, err
}

// target is what fills the open image: librbd, if anything about it is unusual.
func (im *importing) target(img *openImage) (target, error) {
	h, err := im.header(im.ioctx, im.spec.Image)
	if err == nil && h.direct() {
		return im.startDirect(h)
	}
	if err != nil && !errors.Is(err, errUnusual) && !isErrno(err, syscall.ENOENT) {
		return nil, err
	}
	size, err := native(im.scope, "rbd_get_size", img.GetSize)
	return &openTarget{img: img, snap: im.opts.Snapshot, at: size}, err
}

// look closes the image and looks at it through librbd, as others see it.
func (im *importing) look(img *openImage) (Info, error) {
	var group errgroup.Group
	group.Go(img.close)
	now, err := im.imageReadOnly(im.ioctx, im.spec.Image, librbd.NoSnapshot)
	if err != nil {
		return Info{}, errors.Join(err, group.Wait())
	}
	info, err := now.info()
	info.Spec = im.spec
	return info, errors.Join(err, now.close(), group.Wait())
}

// verify reads the snapshot back.
func (im *importing) verify(want string) error {
	img, err := im.imageReadOnly(im.ioctx, im.spec.Image, im.opts.Snapshot)
	if err != nil {
		return err
	}
	sum, err := img.digest(im.ctx, im.limit)
	if err != nil {
		return err
	}
	if have := hex.EncodeToString(sum); have != want {
		return fmt.Errorf("read back, the image has SHA-256 %s and not the source's %s: the cluster or the source is damaged", have, want)
	}
	return img.close()
}

// undo removes the image and the intent after cause.
func (im *importing) undo(i *intent, cause error) error {
	if im.ctx.Err() != nil && errors.Is(cause, im.ctx.Err()) {
		cause = fault.Newf(ErrUnavailable, "stopped on request; what it had begun is removed")
	}
	if err := im.closeImages(); err != nil {
		return errors.Join(cause, err, i.release(errors.Join(cause, err)))
	}
	if err := i.still(); err != nil {
		return errors.Join(cause, err)
	}
	if err := im.clear(remains{made: i.record.Made, owner: i.record.Owner.Address}); err != nil {
		return errors.Join(cause, fmt.Errorf("left half made, for the next attempt to clear away: %w", err), i.leave(err))
	}
	return errors.Join(cause, i.finish())
}

// clear removes what an unfinished import left, its snapshots first: they are of
// an image that never was complete.
func (im *importing) clear(left remains) error {
	if left.made != "" {
		img, err := im.imageReadOnly(im.ioctx, im.spec.Image, librbd.NoSnapshot)
		if err == nil {
			id, err := native(im.scope, "rbd_get_id", img.GetId)
			if err = errors.Join(err, img.close()); err != nil {
				return err
			}
			if id == left.made {
				if err := im.dropSnapshots(); err != nil {
					return err
				}
			}
		}
	}
	return im.sweepImage(im.ioctx, im.spec, left)
}

func (im *importing) dropSnapshots() error {
	img, err := im.image(im.ioctx, im.spec.Image)
	if err != nil {
		return err
	}
	snaps, err := img.snapshots()
	for _, snap := range snaps {
		if err == nil {
			err = run(im.scope, "rbd_snap_remove", img.GetSnapshot(snap.Name).Remove)
		}
	}
	return errors.Join(err, img.close())
}

// compare holds a complete image against the source.
func (im *importing) compare() (Imported, error) {
	img, err := im.imageReadOnly(im.ioctx, im.spec.Image, im.opts.Snapshot)
	if err != nil {
		return Imported{}, err
	}
	info, err := img.info()
	info.Spec = im.spec
	if err != nil {
		return Imported{}, err
	}
	offset, err := im.firstDifference(img, info.Size)
	switch {
	case errors.Is(err, io.EOF):
		return Imported{Info: info}, nil
	case err != nil:
		return Imported{}, err
	}
	return Imported{}, fault.Newf(ErrExists, "it exists with other content: the first difference is at byte %d (the image has %d bytes)", offset, info.Size)
}
