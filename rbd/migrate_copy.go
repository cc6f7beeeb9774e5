package rbd

import (
	"bytes"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"rbdctl/internal/fault"
)

const (
	lap       = 256 << 20 // bytes between two times that it is stored how far a copy is
	pairs     = 8         // chunks at a time
	blockSize = 64 << 10  // bytes: what is all zeroes in the one takes no space in the other
)

// step copies or compares one state of the image.
func (g *migrating) step(p plan, n int) error {
	state, compare := p.step(n)
	from, err := g.imageReadOnly(g.source, g.spec.Image, state.Name)
	if err != nil {
		return err
	}
	if compare {
		to, err := g.imageReadOnly(g.target, g.copy.Image, state.Name)
		if err != nil {
			return err
		}
		return errors.Join(g.compare(p, n, from, to), to.close(), from.close())
	}
	to, err := g.image(g.target, g.copy.Image)
	if err != nil {
		return err
	}
	return errors.Join(g.copyState(p, n, from, to), to.close(), from.close())
}

// copyState makes the copy hold what the image held at one state, and takes the
// snapshot of it. One that is there was taken when all of it was copied.
func (g *migrating) copyState(p plan, n int, from, to *openImage) error {
	state, _ := p.step(n)
	taken := false
	if state.Name != "" {
		var err error
		if _, taken, err = to.snapshot(state.Name); err != nil {
			return err
		}
	}
	if !taken {
		if err := to.resize(state.Size, true); err != nil {
			return err
		}
		c := g.at.now().Course
		blank := n == 0 && c.Offset == 0 && !c.Resumed
		if err := g.laps(p, n, func(ctx context.Context, begin, end uint64) error {
			if err := walk(ctx, pairing{from: from, to: to, blank: blank}, begin, end, to.mend); err != nil {
				return err
			}
			return run(g.scope, "rbd_flush", to.Flush)
		}); err != nil {
			return err
		}
		if state.Name == "" {
			return nil
		}
		if err := to.createSnapshot(state.Name); err != nil {
			return err
		}
	}
	if state.Protected {
		return to.protect(state.Name)
	}
	return nil
}

// compare reads both back.
func (g *migrating) compare(p plan, n int, from, to *openImage) error {
	return g.laps(p, n, func(ctx context.Context, begin, end uint64) error {
		return walk(ctx, pairing{from: from, to: to}, begin, end, func(offset uint64, want, have []byte) error {
			if bytes.Equal(want, have) {
				return nil
			}
			state, _ := p.step(n)
			return fault.Newf(nil, "read back, the copy differs from %s behind byte %d: the image stays, and the copy goes", g.spec.At(state.Name), offset)
		})
	})
}

// laps goes through one state, and stores how far it is.
func (g *migrating) laps(p plan, n int, fn func(ctx context.Context, begin, end uint64) error) error {
	state, _ := p.step(n)
	for begin := g.at.now().Course.Offset; begin < state.Size; {
		end := min(begin+lap, state.Size)
		g.at.tell(p.before(n)+begin, p.before(p.steps()))
		if err := fn(g.ctx, begin, end); err != nil {
			return err
		}
		begin = end
		if begin < state.Size {
			if err := g.at.store(func(j *Job) { j.Course.Offset = begin }); err != nil {
				return err
			}
		}
	}
	g.at.tell(p.before(n+1), p.before(p.steps()))
	return nil
}

// content is what is copied.
type content interface {
	readAt(data []byte, offset uint64) error
	zero(offset, length uint64) bool // known without reading it
}

// pairing is an image and what it is to hold, both open.
type pairing struct {
	from  content
	to    *openImage
	blank bool // the image is all zeroes, and is not read
}

// walk visits both from begin to end, several chunks at a time and in no order. have
// is nil where the copy is known to be zero. visit must not keep what it is given.
func walk(ctx context.Context, p pairing, begin, end uint64, visit func(offset uint64, want, have []byte) error) error {
	type buffers struct{ want, have []byte }
	free := make(chan buffers, pairs)
	for range pairs {
		free <- buffers{}
	}
	group, inner := errgroup.WithContext(ctx)
	for offset := begin; offset < end && inner.Err() == nil; offset += chunkSize {
		length := min(chunkSize, end-offset)
		if p.blank && p.from.zero(offset, length) {
			continue
		}
		b := <-free
		group.Go(func() error {
			defer func() { free <- b }()
			if b.want == nil {
				b.want = make([]byte, chunkSize)
			}
			if err := p.from.readAt(b.want[:length], offset); err != nil {
				return err
			}
			if p.blank {
				return visit(offset, b.want[:length], nil)
			}
			if b.have == nil {
				b.have = make([]byte, chunkSize)
			}
			if err := p.to.readAt(b.have[:length], offset); err != nil {
				return err
			}
			return visit(offset, b.want[:length], b.have[:length])
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return stopped(ctx)
}

func (o *openImage) readAt(data []byte, offset uint64) error {
	_, err := native(o.s, "rbd_read", func() (int, error) { return o.ReadAt(data, int64(offset)) })
	return err
}

func (o *openImage) zero(uint64, uint64) bool { return false }

// mend writes to the image where it differs from what is wanted. It discards what is
// to be zero, where that is exact.
func (o *openImage) mend(offset uint64, want, have []byte) error {
	blocks := func(at int) (end int, differs, zero bool) {
		end = min(at+blockSize, len(want))
		zero = isZero(want[at:end])
		if have == nil {
			return end, !zero, zero
		}
		return end, !bytes.Equal(want[at:end], have[at:end]), zero
	}
	for at := 0; at < len(want); {
		end, differs, zero := blocks(at)
		for end < len(want) {
			next, d, z := blocks(end)
			if d != differs || z != zero {
				break
			}
			end = next
		}
		if differs {
			if err := o.overwrite(offset+uint64(at), want[at:end], zero && (end-at)%blockSize == 0); err != nil {
				return err
			}
		}
		at = end
	}
	return nil
}

func (o *openImage) overwrite(offset uint64, data []byte, discard bool) error {
	if discard {
		return run(o.s, "rbd_discard", func() error { _, err := o.Discard(offset, uint64(len(data))); return err })
	}
	return run(o.s, "rbd_write", func() error { _, err := o.WriteAt(data, int64(offset)); return err })
}
