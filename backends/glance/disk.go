package glance

import (
	"errors"
	"io"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// The formats of the files that OpenDisk reads.
const (
	Raw   = "raw"
	QCOW2 = "qcow2"
)

// OpenDisk finds the disk in a Glance image of size bytes, which Glance says to be of a
// format. Content that shows another one is ErrInvalid, and so is a qcow2 image that is
// not complete in itself: nothing is read but the file. It is a [rbd.Opener].
func OpenDisk(file io.ReaderAt, size uint64, format string) (rbd.Disk, error) {
	head := make([]byte, min(size, headSize))
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if shown := Format(head); shown != format {
		return nil, fault.Newf(fault.ErrInvalid, "the image is said to be %s, and its content is %s: upload it as what it is", format, shown)
	}
	switch format {
	case Raw:
		return rawDisk{file, size}, nil
	case QCOW2:
		return openQCOW2(file, size, head)
	}
	return nil, fault.Newf(fault.ErrInvalid, "the image is %s, and only %s and %s are imported: convert it with `qemu-img convert -f %s -O %s`",
		format, QCOW2, Raw, format, Raw)
}

// headSize is how much of a file shows its format: bytes.
const headSize = 4096

// rawDisk is a file that is its disk.
type rawDisk struct {
	io.ReaderAt
	size uint64
}

func (r rawDisk) Size() uint64             { return r.size }
func (r rawDisk) Zero(uint64, uint64) bool { return false }
