package glance

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/lima-vm/go-qcow2reader/image/qcow2"

	"rbdctl/internal/fault"
)

// qcow2Head is what of a qcow2 header is of use. The library that reads the rest gets a
// header that is made of it: whatever else an image says, such as the path of another
// file, does not get there.
//
// See: QEMU, docs/interop/qcow2.rst.
type qcow2Head struct {
	clusterBits uint32
	size        uint64 // of the disk, in bytes
	l1Entries   uint32
	l1Offset    uint64
}

// The header of version 3, and the end of the extensions behind it.
const (
	qcow2HeadV2  = 72
	qcow2HeadV3  = 104
	qcow2Written = qcow2HeadV3 + 8
)

// maxL1 is how large a first table is read, in bytes: QEMU's limit, too.
// See: QEMU, block/qcow2.h, QCOW_MAX_L1_SIZE.
const maxL1 = 32 << 20

// refuse is the error of an image that is refused.
func refuse(format string, args ...any) error { return fault.Newf(fault.ErrInvalid, format, args...) }

// parseQCOW2 reads the header of an image of size bytes, and refuses what is not
// complete in itself, or not safe to read.
func parseQCOW2(head []byte, size uint64) (qcow2Head, error) {
	if len(head) < qcow2HeadV2 {
		return qcow2Head{}, refuse("the qcow2 image ends in its header: upload it anew")
	}
	word, long := binary.BigEndian.Uint32, binary.BigEndian.Uint64
	h := qcow2Head{clusterBits: word(head[20:]), size: long(head[24:]), l1Offset: long(head[40:])}
	version, l1Has := word(head[4:]), word(head[36:])
	switch {
	case version != 2 && version != 3:
		return h, refuse("the image is qcow2 of version %d: convert it with `qemu-img convert -O qcow2`", version)
	case long(head[8:]) != 0 || word(head[16:]) != 0:
		return h, refuse("the qcow2 image is an overlay of another file: flatten it with `qemu-img convert -O qcow2`")
	case word(head[32:]) != 0:
		return h, refuse("the qcow2 image is encrypted: decrypt it with `qemu-img convert`")
	case h.clusterBits < 9 || h.clusterBits > 21:
		return h, refuse("the qcow2 image has clusters of 2^%d bytes, which no tool makes: it is damaged", h.clusterBits)
	}
	if version == 3 {
		if err := checkFeatures(head); err != nil {
			return h, err
		}
	}
	return h, h.checkTable(size, l1Has)
}

// incompatible are the features that change how an image is read, by their bits.
var incompatible = []string{ //nolint:gochecknoglobals // a table of facts
	"it was not closed properly, or is in use: repair it with `qemu-img check -r all`",
	"it is marked as corrupt: repair it with `qemu-img check -r all`",
	"its data is in another file: flatten it with `qemu-img convert -O qcow2`",
	"its clusters are not compressed by zlib: convert it with `qemu-img convert -c -O qcow2`",
	"its clusters have parts (extended_l2): convert it with `qemu-img convert -O qcow2`",
}

// checkFeatures refuses a header of version 3 that says that more must be known.
func checkFeatures(head []byte) error {
	if len(head) < qcow2HeadV3 {
		return refuse("the qcow2 image ends in its header: upload it anew")
	}
	features := binary.BigEndian.Uint64(head[72:])
	for bit := range 64 {
		if features>>bit&1 == 0 {
			continue
		}
		if bit < len(incompatible) {
			return refuse("the qcow2 image can't be imported: %s", incompatible[bit])
		}
		return refuse("the qcow2 image has the incompatible feature %d, which is not known: convert it with `qemu-img convert -O qcow2`", bit)
	}
	if length := binary.BigEndian.Uint32(head[100:]); length < qcow2HeadV3 || int(length) > len(head) {
		return refuse("the qcow2 image has a header of %d bytes: it is damaged", length)
	}
	return nil
}

// checkTable holds the first table against the size of the disk, and of the file.
func (h *qcow2Head) checkTable(size uint64, has uint32) error {
	cluster := uint64(1) << h.clusterBits
	perEntry := cluster * (cluster / 8) // bytes of the disk
	need := h.size/perEntry + min(1, h.size%perEntry)
	switch {
	case h.size == 0 || h.size > 1<<62:
		return refuse("the qcow2 image has a disk of %d bytes: make one with `qemu-img resize`", h.size)
	case need*8 > maxL1:
		return refuse("the qcow2 image has clusters of %d bytes, too small for a disk of %d: convert it with `qemu-img convert -O qcow2`", cluster, h.size)
	case uint64(has) < need:
		return refuse("the qcow2 image has a table of %d entries where it needs %d: it is damaged", has, need)
	case h.l1Offset < cluster || h.l1Offset%cluster != 0 || h.l1Offset > size || need*8 > size-h.l1Offset:
		return refuse("the qcow2 image of %d bytes has its first table at %d, where it can't be: it is damaged, or was cut off", size, h.l1Offset)
	}
	h.l1Entries = uint32(need)
	return nil
}

// written is a header that says the same, and nothing else.
func (h qcow2Head) written() []byte {
	out := make([]byte, qcow2Written)
	word, long := binary.BigEndian.PutUint32, binary.BigEndian.PutUint64
	copy(out, qcow2.Magic)
	word(out[4:], 3)
	word(out[20:], h.clusterBits)
	long(out[24:], h.size)
	word(out[36:], h.l1Entries)
	long(out[40:], h.l1Offset)
	word(out[96:], 4) // refcounts of 16 bits, which nobody reads
	word(out[100:], qcow2HeadV3)
	return out
}

// qcow2File is an image with another header.
type qcow2File struct {
	head []byte
	file io.ReaderAt
}

// ReadAt implements [io.ReaderAt].
func (f qcow2File) ReadAt(p []byte, offset int64) (int, error) {
	n := 0
	if offset < int64(len(f.head)) {
		n = copy(p, f.head[offset:])
	}
	if n == len(p) {
		return n, nil
	}
	m, err := f.file.ReadAt(p[n:], offset+int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = &fileError{err}
	}
	return n + m, err
}

// fileError is a failure to read the file: what it holds is not known.
type fileError struct{ error }

func (f *fileError) Unwrap() error { return f.error }

// qcow2Disk is the disk in a qcow2 image.
type qcow2Disk struct {
	image *qcow2.Qcow2
	size  uint64
}

// openQCOW2 opens a file that begins with head.
func openQCOW2(file io.ReaderAt, size uint64, head []byte) (*qcow2Disk, error) {
	h, err := parseQCOW2(head, size)
	if err != nil {
		return nil, err
	}
	inflateWhole()
	image, err := qcow2.Open(qcow2File{h.written(), file}, nil)
	if err == nil {
		err = image.Readable()
	}
	if err != nil {
		return nil, damaged("its first table", err)
	}
	return &qcow2Disk{image, h.size}, nil
}

func (d *qcow2Disk) Size() uint64 { return d.size }

// ReadAt implements [io.ReaderAt]. A read ends with the disk.
func (d *qcow2Disk) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 || uint64(offset) > d.size || uint64(len(p)) > d.size-uint64(offset) {
		return 0, io.EOF
	}
	n, err := d.image.ReadAt(p, offset)
	if n == len(p) {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, damaged(fmt.Sprintf("what it holds behind byte %d", offset+int64(n)), err)
}

// Zero tells what the tables do.
func (d *qcow2Disk) Zero(offset, length uint64) bool {
	extent, err := d.image.Extent(int64(offset), int64(length))
	return err == nil && extent.Zero && uint64(extent.Length) >= length
}

// damaged is the error of an image of which a part can't be read.
func damaged(part string, err error) error {
	var unread *fileError
	if errors.As(err, &unread) {
		return err
	}
	return refuse("the qcow2 image is damaged, or was cut off: %s can't be read: %v", part, err)
}

// inflateWhole has the library inflate clusters by whole reads: its own way reads
// parts, and inflates the cluster anew for each.
var inflateWhole = sync.OnceFunc(func() { //nolint:gochecknoglobals // of the library, which has one table for the process
	qcow2.SetDecompressor(qcow2.CompressionTypeZlib, func(r io.Reader) (io.ReadCloser, error) {
		return wholeReader{flate.NewReader(bufio.NewReaderSize(r, inflateBlock))}, nil
	})
})

// inflateBlock is how much of a compressed cluster is read at a time: bytes.
const inflateBlock = 16 << 10

// wholeReader reads as much as is asked for.
type wholeReader struct{ io.ReadCloser }

// Read implements [io.Reader].
func (w wholeReader) Read(p []byte) (int, error) {
	n, err := io.ReadFull(w.ReadCloser, p)
	if n == len(p) {
		err = nil
	}
	return n, err
}
