package rbd

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rbdctl/internal/fault"
)

// Source is the content of an import. A regular file is read where it has data;
// anything else is read as a stream, from its present position to its end.
type Source struct {
	Reader io.Reader
	Size   uint64 // bytes that there must be; 0: not known, except of a regular file
}

// chunk is a piece of a source, in order: data, or a run of zeroes.
type chunk struct {
	offset uint64
	length uint64
	data   []byte // nil: zeroes. Goes back to the reader that lent it.
}

// chunkReader cuts a source into chunks that end at multiples of step.
type chunkReader struct {
	src    io.Reader
	file   *os.File // nil: a stream
	size   uint64   // 0: not known
	step   uint64
	offset uint64
	lend   func() []byte // a buffer of step bytes

	modified time.Time // of the file, when it was opened
}

// sectorSize is the unit of all disks: content that does not end with a whole
// sector was cut off.
const sectorSize = 512

func newChunkReader(src Source, step uint64, lend func() []byte) (*chunkReader, error) {
	r := &chunkReader{src: src.Reader, size: src.Size, step: step, lend: lend}
	file, ok := src.Reader.(*os.File)
	if !ok {
		return r, nil
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if at, err := file.Seek(0, io.SeekCurrent); err != nil || at != 0 || !info.Mode().IsRegular() {
		return r, nil // a stream, from where it stands
	}
	size := uint64(info.Size())
	if src.Size != 0 && src.Size != size {
		return nil, fault.Newf(ErrInvalid, "%s has %d bytes, not the %d that were announced", file.Name(), size, src.Size)
	}
	if size == 0 || size%sectorSize != 0 {
		return nil, fault.Newf(ErrInvalid, "%s has %d bytes, which is no whole number of %d-byte sectors: is it truncated?", file.Name(), size, sectorSize)
	}
	r.file, r.size, r.modified = file, size, info.ModTime()
	return r, nil
}

// next returns the next chunk, or io.EOF after the last.
func (r *chunkReader) next() (chunk, error) {
	if r.file != nil {
		return r.nextOfFile()
	}
	return r.nextOfStream()
}

// nextOfFile skips what the file system knows to be a hole.
func (r *chunkReader) nextOfFile() (chunk, error) {
	if r.offset >= r.size {
		return chunk{}, r.endOfFile()
	}
	if data := r.seekData(); data > r.offset {
		// Whole steps of the hole; the rest is read with the data behind it.
		if end := data / r.step * r.step; data >= r.size || end > r.offset {
			if data >= r.size {
				end = r.size
			}
			c := chunk{offset: r.offset, length: end - r.offset}
			r.offset = end
			return c, nil
		}
	}
	length := min(r.step-r.offset%r.step, r.size-r.offset)
	buf := r.lend()[:length]
	if _, err := r.file.ReadAt(buf, int64(r.offset)); err != nil {
		if errors.Is(err, io.EOF) {
			err = fault.Newf(ErrInvalid, "%s ended at less than its %d bytes: it was truncated meanwhile", r.file.Name(), r.size)
		}
		return chunk{data: buf}, err
	}
	return r.take(buf), nil
}

// endOfFile is io.EOF, if the file is still what it was when it was opened: one
// that was cut off meanwhile reads like one that ends in a hole.
func (r *chunkReader) endOfFile() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if uint64(info.Size()) != r.size || !info.ModTime().Equal(r.modified) {
		return fault.Newf(ErrInvalid, "%s was changed while it was read: import it when nothing writes to it", r.file.Name())
	}
	return io.EOF
}

// seekData is the offset of the next data, or the file's size. A file system
// that cannot tell has data everywhere.
func (r *chunkReader) seekData() uint64 {
	offset, err := unix.Seek(int(r.file.Fd()), int64(r.offset), unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return r.size
	case err != nil:
		return r.offset
	}
	return min(uint64(offset), r.size)
}

func (r *chunkReader) nextOfStream() (chunk, error) {
	buf := r.lend()
	n, err := fill(r.src, buf)
	end := r.offset + uint64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return chunk{data: buf}, err
	case r.size != 0 && end > r.size:
		return chunk{data: buf}, fault.Newf(ErrInvalid, "the stream goes on after the %d bytes that were announced", r.size)
	case err == nil:
		return r.take(buf), nil
	}
	// The end: it must be where it was announced, and at a whole sector.
	switch {
	case r.size != 0 && end < r.size:
		return chunk{data: buf}, fault.Newf(ErrInvalid, "the stream ended after %d of %d bytes: it was cut off", end, r.size)
	case end == 0:
		return chunk{data: buf}, fault.Newf(ErrInvalid, "the stream is empty")
	case end%sectorSize != 0:
		return chunk{data: buf}, fault.Newf(ErrInvalid, "the stream ended after %d bytes, which is no whole number of %d-byte sectors: was it cut off?", end, sectorSize)
	case n == 0:
		return chunk{data: buf}, io.EOF
	}
	return r.take(buf[:n]), nil
}

// fill reads buf full, or up to the end, which is io.EOF. Not io.ReadFull: its
// io.ErrUnexpectedEOF for the end is also what a reader says that was cut off.
func fill(src io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = src.Read(buf[n:])
		n += m
	}
	if n == len(buf) {
		return n, nil // the end, if it is here, shows the next time
	}
	return n, err
}

// take makes buf the next chunk.
func (r *chunkReader) take(buf []byte) chunk {
	c := chunk{offset: r.offset, length: uint64(len(buf)), data: buf}
	r.offset += c.length
	return c
}

// zero tells whether a chunk reads as zeroes.
func (c chunk) zero() bool { return c.data == nil || isZero(c.data) }

// pieces cuts a chunk of data at the bounds of objects of so many bytes, and leaves
// out what is zero: whole objects, and whole steps of chunkSize in one.
func (c chunk) pieces(objectSize uint64) iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		step := min(objectSize, chunkSize)
		var p chunk // data so far; of one object
		for c.length > 0 {
			n := min(step-c.offset%step, c.length)
			zero := isZero(c.data[:n])
			if p.length > 0 && (zero || c.offset%objectSize == 0) {
				if !yield(p) {
					return
				}
				p = chunk{}
			}
			if !zero {
				if p.length == 0 {
					p = chunk{offset: c.offset, data: c.data[:0]}
				}
				p.length += n
				p.data = p.data[:p.length]
			}
			c = c.after(n)
		}
		if p.length > 0 {
			yield(p)
		}
	}
}

// zeroes is what isZero compares with, a page at a time.
var zeroes [4096]byte //nolint:gochecknoglobals // constant

func isZero(data []byte) bool {
	for len(data) > len(zeroes) {
		if !bytes.Equal(data[:len(zeroes)], zeroes[:]) {
			return false
		}
		data = data[len(zeroes):]
	}
	return bytes.Equal(data, zeroes[:len(data)])
}
