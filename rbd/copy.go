package rbd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	chunkSize  = 2 << 20           // bytes of one read or write
	firstGuess = uint64(256 << 20) // bytes, for a stream of unknown length; doubles as needed
)

// writers is how many chunks an import has in flight: enough to keep three OSDs
// busy, few enough that the buffers, which the libraries copy once, stay small.
func (c Config) writers() int { return 16 }

// imageWriter copies a source to an image.
type imageWriter struct {
	chunks   *chunkReader
	limit    int
	progress Progress
	digest   hash.Hash // nil: not wanted
	free     chan []byte
	ctx      context.Context
	written  atomic.Uint64

	mu   sync.Mutex
	done uint64 // bytes, for progress
}

func newImageWriter(im *importing) (*imageWriter, error) {
	w := &imageWriter{limit: im.limit, progress: im.opts.Progress, free: make(chan []byte, im.limit+1), ctx: im.ctx}
	if im.opts.Verify {
		w.digest = sha256.New()
	}
	for range im.limit + 1 {
		w.free <- nil // made at first use
	}
	var err error
	w.chunks, err = newChunkReader(im.src, chunkSize, w.lend)
	return w, err
}

// lend waits for a buffer that no write uses.
func (w *imageWriter) lend() []byte {
	if buf := <-w.free; buf != nil {
		return buf[:chunkSize]
	}
	return make([]byte, chunkSize)
}

func (w *imageWriter) giveBack(buf []byte) {
	if buf != nil {
		w.free <- buf[:cap(buf)]
	}
}

// target is the image that an import fills.
type target interface {
	size() uint64                      // bytes
	grow(size uint64) error            // while nothing is being put
	put(c chunk) (uint64, error)       // several at a time; tells how many bytes were written
	seal(i *intent, size uint64) error // sets the size and takes the snapshot
	protect() error                    // makes the image one that counts
	end()                              // before the image is closed or removed
}

// copyTo reads the source to its end and writes what is not zero, several
// chunks at a time. It returns the digest, when one is wanted.
func (w *imageWriter) copyTo(to target) ([]byte, error) {
	group, ctx := errgroup.WithContext(w.ctx)
	group.SetLimit(w.limit)
	var err error
	for {
		if err = ctx.Err(); err != nil {
			break
		}
		var c chunk
		if c, err = w.chunks.next(); err != nil {
			w.giveBack(c.data)
			break
		}
		w.add(c)
		if c.zero() {
			w.report(c.length)
			w.giveBack(c.data)
			continue
		}
		if end := c.offset + c.length; end > to.size() {
			if err = group.Wait(); err != nil { // a resize wants the image to itself
				break
			}
			if err = to.grow(max(end, 2*to.size())); err != nil {
				break
			}
			group, ctx = errgroup.WithContext(w.ctx)
			group.SetLimit(w.limit)
		}
		group.Go(func() error { return w.write(to, c) })
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if failed := group.Wait(); failed != nil {
		err = failed
	}
	if err != nil || w.digest == nil {
		return nil, err
	}
	return w.digest.Sum(nil), nil
}

func (w *imageWriter) write(to target, c chunk) error {
	defer w.giveBack(c.data)
	n, err := to.put(c)
	if err == nil {
		w.written.Add(n)
		w.report(c.length)
	}
	return err
}

// report tells of n bytes more, one caller at a time.
func (w *imageWriter) report(n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done += n; w.progress != nil {
		w.progress(w.done, w.chunks.size)
	}
}

// add feeds the digest, zeroes included.
func (w *imageWriter) add(c chunk) {
	if w.digest == nil {
		return
	}
	if c.data != nil {
		w.digest.Write(c.data)
		return
	}
	for left := c.length; left > 0; {
		n := min(left, uint64(len(zeroes)))
		w.digest.Write(zeroes[:n])
		left -= n
	}
}

// eachChunk reads an image in order, several chunks ahead, and hands each to
// visit, which must not keep it.
func eachChunk(ctx context.Context, img *openImage, size uint64, ahead int, visit func([]byte) error) error {
	type piece struct {
		data []byte
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	defer func() { _ = group.Wait() }() // no read outlives the image
	pending := make(chan chan piece, ahead)
	free := make(chan []byte, ahead+2) // one being read or waiting each, one being visited
	for range cap(free) {
		free <- nil // made at first use
	}
	group.Go(func() error {
		defer close(pending)
		for offset := uint64(0); offset < size; offset += chunkSize {
			slot := make(chan piece, 1)
			select {
			case pending <- slot:
			case <-ctx.Done():
				return nil
			}
			buf := <-free
			group.Go(func() error {
				if buf == nil {
					buf = make([]byte, chunkSize)
				}
				data := buf[:min(chunkSize, size-offset)]
				_, err := native(img.s, "rbd_read", func() (int, error) { return img.ReadAt(data, int64(offset)) })
				slot <- piece{data, err}
				return nil
			})
		}
		return nil
	})
	for slot := range pending {
		p := <-slot
		if p.err == nil {
			p.err = ctx.Err()
		}
		if p.err == nil {
			p.err = visit(p.data)
		}
		free <- p.data[:chunkSize]
		if p.err != nil {
			cancel()
			return p.err
		}
	}
	return ctx.Err()
}

// digest is the SHA-256 of an open image.
func (o *openImage) digest(ctx context.Context, ahead int) ([]byte, error) {
	size, err := native(o.s, "rbd_get_size", o.GetSize)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	err = eachChunk(ctx, o, size, ahead, func(data []byte) error {
		sum.Write(data)
		return nil
	})
	return sum.Sum(nil), err
}

// Digest is the SHA-256 of an image's content, at a snapshot unless that is
// empty, in hex. It reads all of it.
func (m *Images) Digest(ctx context.Context, spec SnapSpec) (string, error) {
	return call(ctx, m.cluster, "digest", spec.String(), func(s *scope) (string, error) {
		ioctx, err := s.poolOf(spec.ImageSpec)
		if err != nil {
			return "", err
		}
		img, err := s.imageReadOnly(ioctx, spec.Image, spec.Snap)
		if err != nil {
			return "", err
		}
		sum, err := img.digest(ctx, m.cluster.cfg.writers())
		return hex.EncodeToString(sum), err
	})
}

// firstDifference reads image and source side by side; io.EOF: they are equal.
func (im *importing) firstDifference(img *openImage, size uint64) (uint64, error) {
	buf := make([]byte, chunkSize)
	source, err := newChunkReader(im.src, chunkSize, func() []byte { return buf })
	if err != nil {
		return 0, err
	}
	var at uint64
	var c chunk // what of the source is not yet compared
	err = eachChunk(im.ctx, img, size, im.limit, func(data []byte) error {
		for len(data) > 0 {
			if c.length == 0 {
				if c, err = source.next(); errors.Is(err, io.EOF) {
					return errDifference
				} else if err != nil {
					return err
				}
			}
			n, same := c.compare(data)
			at += n
			if !same {
				return errDifference
			}
			data, c = data[n:], c.after(n)
		}
		return nil
	})
	if err == nil && c.length == 0 {
		c, err = source.next() // io.EOF, unless the source goes on after the image's end
	}
	if errors.Is(err, errDifference) {
		err = nil
	}
	return at, err
}

// after is c without its first n bytes.
func (c chunk) after(n uint64) chunk {
	c.offset, c.length = c.offset+n, c.length-n
	if c.data != nil {
		c.data = c.data[n:]
	}
	return c
}

var errDifference = errors.New("the content differs")

// compare holds the beginning of c against the beginning of data: how many bytes
// are equal, and whether that is all there was to compare.
func (c chunk) compare(data []byte) (equal uint64, same bool) {
	n := min(uint64(len(data)), c.length)
	mine := c.data
	if mine == nil {
		if isZero(data[:n]) {
			return n, true
		}
		mine = make([]byte, n)
	}
	if bytes.Equal(mine[:n], data[:n]) {
		return n, true
	}
	for equal < n && mine[equal] == data[equal] {
		equal++
	}
	return equal, false
}
