package rbd

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/ceph/go-ceph/rados"
	"golang.org/x/sync/errgroup"

	"rbdctl/internal/fault"
)

// Read writes the content of an image to w, from its beginning to its end; at a
// snapshot, unless spec names none. Progress is told of bytes. It goes on as long
// as ctx lasts; a write to w is not interrupted.
//
// Similar To: rbd export <spec> -
func (m *Images) Read(ctx context.Context, spec SnapSpec, w io.Writer, p Progress) error {
	err := spec.ImageSpec.validate()
	if err == nil && spec.Snap != "" {
		err = CheckName("snapshot", spec.Snap)
	}
	if err != nil {
		return wrap("export", spec.String(), err)
	}
	_, err = callPolite(ctx, m.cluster, "export", spec.String(), func(s *scope) (struct{}, error) {
		var none struct{}
		ioctx, err := s.poolOf(spec.ImageSpec)
		if err != nil {
			return none, err
		}
		img, err := s.imageReadOnly(ioctx, spec.Image, spec.Snap)
		if err != nil {
			return none, err
		}
		size, err := native(s, "rbd_get_size", img.GetSize)
		if err != nil {
			return none, err
		}
		var done uint64
		return none, eachChunk(ctx, img, size, m.cluster.cfg.writers(), func(data []byte) error {
			if _, err := w.Write(data); err != nil {
				return err
			}
			if done += uint64(len(data)); p != nil {
				p(done, size)
			}
			return nil
		})
	})
	return err
}

// Write writes the content of src over the beginning of an image, zeroes included,
// and returns how many bytes there were. The image keeps its size: content that
// would go past its end is ErrInvalid, before anything is written where the length
// is known. Cut short or refused midway, it leaves what was written so far.
//
// Similar To: rbd import-diff, of everything
func (m *Images) Write(ctx context.Context, spec ImageSpec, src Source, p Progress) (uint64, error) {
	return change(ctx, m, deed{Op: opWrite}, spec, func(s *scope, ioctx *ioContext) (uint64, error) {
		img, err := s.image(ioctx, spec.Image)
		if err != nil {
			return 0, err
		}
		w := overwrite{img: img, ctx: ctx, progress: p, free: make(chan []byte, writesAhead+1)}
		for range cap(w.free) {
			w.free <- nil // made at first use
		}
		if w.size, err = native(s, "rbd_get_size", img.GetSize); err != nil {
			return 0, err
		}
		return w.copy(src)
	})
}

// writesAhead is how many chunks a Write has in flight.
const writesAhead = 8

// overwrite is one Write under way.
type overwrite struct {
	img      *openImage
	ctx      context.Context
	progress Progress
	size     uint64 // of the image, in bytes
	free     chan []byte
}

// lend waits for a buffer that no write uses.
func (w *overwrite) lend() []byte {
	if buf := <-w.free; buf != nil {
		return buf[:chunkSize]
	}
	return make([]byte, chunkSize)
}

func (w *overwrite) giveBack(c chunk) {
	if c.data != nil {
		w.free <- c.data[:cap(c.data)]
	}
}

// copy reads the source to its end, and writes several chunks at a time. No write
// is under way any more when it returns.
func (w *overwrite) copy(src Source) (uint64, error) {
	source, err := newChunkReader(src, chunkSize, w.lend)
	if err == nil && source.size > w.size {
		err = w.tooLong(source.size)
	}
	group, ctx := errgroup.WithContext(w.ctx)
	group.SetLimit(writesAhead)
	for err == nil && ctx.Err() == nil {
		var c chunk
		if c, err = source.next(); err != nil {
			w.giveBack(c)
			break
		}
		if end := c.offset + c.length; end > w.size {
			err = w.tooLong(end)
			break
		}
		group.Go(func() error {
			defer w.giveBack(c)
			return w.put(c)
		})
		if w.progress != nil {
			w.progress(c.offset+c.length, source.size)
		}
	}
	failed := group.Wait()
	if !errors.Is(err, io.EOF) || failed != nil {
		return 0, cmp.Or(stopped(w.ctx), failed, err)
	}
	return source.offset, run(w.img.s, "rbd_flush", w.img.Flush)
}

func (w *overwrite) tooLong(length uint64) error {
	return fault.Newf(ErrInvalid, "%d bytes or more don't fit in the image, which has %d: extend it first", length, w.size)
}

// put writes one chunk. Zeroes take no space: librbd turns a repeated write of them
// into one that makes holes, and writes what is left. Not a discard: that leaves out
// parts that are smaller than the image says (rbd_discard_granularity_bytes).
func (w *overwrite) put(c chunk) error {
	if !c.zero() {
		return run(w.img.s, "rbd_write", func() error { _, err := w.img.WriteAt(c.data, int64(c.offset)); return err })
	}
	for c.length > 0 {
		n := min(c.length, 1<<30) // whole sectors, as all sources are
		err := run(w.img.s, "rbd_writesame", func() error {
			_, err := w.img.WriteSame(c.offset, n, zeroes[:sectorSize], rados.OpFlagNone)
			return err
		})
		if err != nil {
			return err
		}
		c = c.after(n)
	}
	return nil
}

// stopped is why work under ctx came to its end before it was done; nil while ctx
// lasts.
func stopped(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fault.New(ErrUnavailable, "stopped on request")
}
