// Package glance holds Glance's rules for images in Ceph: how they are named,
// that only RAW content can be cloned, and that an image is complete when its
// snapshot "snap" is protected.
//
//	store := glance.Store{Images: rbd.NewImages(cluster), Pool: "images"}
//	done, err := store.Import(ctx, id, file, glance.ImportOptions{})
//
// OpenDisk reads what is in an image of another format, qcow2, for a job that makes a
// volume of it: after a look at its header, and without ever opening another file.
//
// It writes what glance_store's own driver writes (glance_store/_drivers/rbd.py,
// add), so Glance can serve such an image once its location is registered. It
// does not talk to Glance.
package glance

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/url"
	"os"

	"rbdctl/backends"
	"rbdctl/rbd"
)

// Store is the pool in which Glance keeps its images.
type Store struct {
	Images *rbd.Images
	Pool   string
}

// ImportOptions say how an import is done. Zero values mean defaults.
type ImportOptions struct {
	Name       string       // of the source, for messages; empty: "the stream"
	Size       uint64       // bytes that there must be; 0: as many as come
	ObjectSize uint64       // bytes; 0: ceph.conf's default, 4 MiB
	Verify     bool         // read back and compare by hash
	Progress   rbd.Progress // in bytes
}

// Import stores RAW content as the Glance image id. What is not RAW is refused
// before anything is made, with the command that converts it. Again with the
// same content is success; with other content, ErrExists.
//
// Similar To: rbd import <file> images/<id>; rbd snap create; rbd snap protect
func (s Store) Import(ctx context.Context, id string, content io.Reader, opts ImportOptions) (rbd.Imported, error) {
	if err := backends.CheckID("image", id); err != nil {
		return rbd.Imported{}, err
	}
	if opts.Name == "" {
		opts.Name = "the stream"
	}
	content, err := checkedRaw(content, opts.Name)
	if err != nil {
		return rbd.Imported{}, err
	}
	spec := backends.GlanceImage(s.Pool, id)
	return s.Images.Import(ctx, spec.ImageSpec, rbd.Source{Reader: content, Size: opts.Size}, rbd.ImportOptions{
		CreateOptions: rbd.CreateOptions{ObjectSize: opts.ObjectSize},
		Snapshot:      spec.Snap,
		Verify:        opts.Verify,
		Progress:      opts.Progress,
	})
}

// checkedRaw looks at the beginning of content without using it up.
func checkedRaw(content io.Reader, name string) (io.Reader, error) {
	const enough = 4096
	if file, ok := content.(*os.File); ok {
		info, err := file.Stat()
		if at, seek := file.Seek(0, io.SeekCurrent); err == nil && seek == nil && at == 0 && info.Mode().IsRegular() {
			head := make([]byte, enough)
			n, err := file.ReadAt(head, 0)
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return content, CheckRaw(head[:n], name)
		}
	}
	stream := bufio.NewReaderSize(content, enough)
	head, err := stream.Peek(enough)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream, CheckRaw(head, name)
}

// Location is the URL by which Glance and its clients name the image id of the
// cluster fsid.
// See: glance_store/_drivers/rbd.py:195, StoreLocation.get_uri.
func (s Store) Location(fsid, id string) string {
	spec := backends.GlanceImage(s.Pool, id)
	return "rbd://" + url.PathEscape(fsid) + "/" + url.PathEscape(spec.Pool) + "/" + url.PathEscape(spec.Image) + "/" + url.PathEscape(spec.Snap)
}
