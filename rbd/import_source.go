package rbd

import (
	"cmp"
	"io"
	"sync"
	"syscall"

	"rbdctl/internal/fault"
)

// Disk is what a disk file holds, in whatever format. Several read it at a time.
type Disk interface {
	io.ReaderAt
	Size() uint64                    // bytes
	Zero(offset, length uint64) bool // known to be zeroes, without reading them
}

// Opener finds the disk in a file of size bytes, which is claimed to be of a format.
// What it refuses to read is ErrInvalid, or ErrUnsupported. The disk is read as long as
// the file.
type Opener func(file io.ReaderAt, size uint64, format string) (Disk, error)

// source is the snapshot that an import job reads, as a file.
type source struct {
	ioctx *ioContext
	img   *openImage
	spec  SnapSpec
	id    string // of the image
	snap  uint64 // id of the snapshot
	size  uint64 // bytes

	mu     sync.Mutex
	blocks map[uint64]*block
	oldest []uint64 // numbers of the blocks, in the order in which they came
}

// The tables and clusters of a disk file are small, and lie beside each other: it is
// read in blocks, and some of them are kept.
const (
	sourceBlock = 256 << 10 // bytes
	keptBlocks  = 64
)

// block is a part of a file. The first who wants it reads it.
type block struct {
	read sync.Once
	data []byte
	err  error
}

// openSource opens a snapshot. ErrNotFound when it is not there.
func (s *scope) openSource(spec SnapSpec) (*source, error) {
	ioctx, err := s.poolOf(spec.ImageSpec)
	if err != nil {
		return nil, err
	}
	src := &source{ioctx: ioctx, spec: spec, blocks: map[uint64]*block{}}
	return src, src.open(s)
}

func (src *source) open(s *scope) error {
	var err error
	src.img, err = s.imageReadOnly(src.ioctx, src.spec.Image, src.spec.Snap)
	if isErrno(err, syscall.ENOENT) {
		return fault.Newf(ErrNotFound, "%s is not there", src.spec)
	}
	if err != nil {
		return err
	}
	if src.id, err = native(s, "rbd_get_id", src.img.GetId); err != nil {
		return err
	}
	if src.snap, err = native(s, "rbd_snap_get_id", func() (uint64, error) { return src.img.GetSnapID(src.spec.Snap) }); err != nil {
		return err
	}
	src.size, err = native(s, "rbd_get_size", src.img.GetSize)
	return err
}

// still is ErrNotFound when the snapshot is not there any more: what was read since
// then may be zeroes that it did not have.
func (src *source) still() error {
	now := &source{ioctx: src.ioctx, spec: src.spec}
	if err := now.open(src.img.s); err != nil {
		return err
	}
	if now.id != src.id || now.snap != src.snap {
		return fault.Newf(ErrNotFound, "%s is another one than it was", src.spec)
	}
	return now.img.close()
}

// ReadAt implements [io.ReaderAt].
func (src *source) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fault.Newf(ErrInvalid, "offset %d", offset)
	}
	read := 0
	for read < len(p) {
		at := uint64(offset) + uint64(read)
		if at >= src.size {
			return read, io.EOF
		}
		b := src.block(at / sourceBlock)
		if b.err != nil {
			return read, b.err
		}
		read += copy(p[read:], b.data[at%sourceBlock:])
	}
	return read, nil
}

func (src *source) block(n uint64) *block {
	b := src.keep(n)
	b.read.Do(func() {
		begin := n * sourceBlock
		b.data = make([]byte, min(sourceBlock, src.size-begin))
		b.err = src.img.readAt(b.data, begin)
	})
	return b
}

// keep finds a block, or makes room for it.
func (src *source) keep(n uint64) *block {
	src.mu.Lock()
	defer src.mu.Unlock()
	if b := src.blocks[n]; b != nil {
		return b
	}
	if len(src.oldest) == keptBlocks {
		delete(src.blocks, src.oldest[0])
		src.oldest = src.oldest[1:]
	}
	b := &block{}
	src.blocks[n] = b
	src.oldest = append(src.oldest, n)
	return b
}

// onDisk is a disk as what is copied.
type onDisk struct{ Disk }

func (d onDisk) readAt(data []byte, offset uint64) error {
	n, err := d.ReadAt(data, int64(offset))
	if n == len(data) {
		return nil
	}
	return cmp.Or(err, io.ErrUnexpectedEOF)
}

func (d onDisk) zero(offset, length uint64) bool { return d.Zero(offset, length) }
