package rbd

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// scope lends the handles of one native call and closes them at its end.
type scope struct {
	ses     *session
	fences  *fences
	closers []func() error
	images  []*openImage
	intents []*intent
}

func (s *scope) conn() *rados.Conn { return s.ses.conn }

// close ends every handle, last opened first, also after one has failed.
func (s *scope) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// ioContext is a pool and namespace, open for one call.
type ioContext = rados.IOContext

// pool opens an I/O context on a pool's namespace. Its operations fail at once,
// instead of waiting, when the pool is at its quota or the cluster is full.
func (s *scope) pool(name, namespace string) (*rados.IOContext, error) {
	ioctx, err := native(s, "rados_ioctx_create", func() (*rados.IOContext, error) {
		return s.conn().OpenIOContext(name)
	})
	if isErrno(err, syscall.ENOENT) {
		return nil, fault.Newf(ErrNotFound, "pool %s does not exist: `rbdctl pools init` makes the standard ones", name)
	}
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	handles.opened(ioctx, "pool "+name)
	s.closers = append(s.closers, func() error {
		ioctx.Destroy()
		handles.closed(ioctx)
		return nil
	})
	if err := ioctx.SetPoolFullTry(); err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	ioctx.SetNamespace(namespace)
	return ioctx, nil
}

// poolOf opens the pool and namespace that spec names.
func (s *scope) poolOf(spec ImageSpec) (*rados.IOContext, error) {
	return s.pool(spec.Pool, spec.Namespace)
}

// image opens spec for reading and writing.
func (s *scope) image(ioctx *rados.IOContext, name string) (*openImage, error) {
	return s.open("rbd_open", name, false, func() (*librbd.Image, error) {
		return librbd.OpenImage(ioctx, name, librbd.NoSnapshot)
	})
}

// imageReadOnly opens an image, at a snapshot unless snap is empty. It takes no
// lock, sets no watch and needs only read caps.
func (s *scope) imageReadOnly(ioctx *rados.IOContext, name, snap string) (*openImage, error) {
	return s.open("rbd_open_read_only", name, true, func() (*librbd.Image, error) {
		return librbd.OpenImageReadOnly(ioctx, name, snap)
	})
}

// imageByID opens an image by its id for reading and writing, also one in the trash.
func (s *scope) imageByID(ioctx *rados.IOContext, id string) (*openImage, error) {
	return s.open("rbd_open_by_id", id, false, func() (*librbd.Image, error) {
		return librbd.OpenImageById(ioctx, id, librbd.NoSnapshot)
	})
}

// imageByIDReadOnly is imageReadOnly for an id, also of an image in the trash.
func (s *scope) imageByIDReadOnly(ioctx *rados.IOContext, id, snap string) (*openImage, error) {
	return s.open("rbd_open_by_id_read_only", id, true, func() (*librbd.Image, error) {
		return librbd.OpenImageByIdReadOnly(ioctx, id, snap)
	})
}

func (s *scope) open(nativeName, name string, unwatched bool, open func() (*librbd.Image, error)) (*openImage, error) {
	img, err := native(s, nativeName, open)
	if isErrno(err, syscall.ENOENT) {
		err = s.confirmNotFound(err)
	}
	if err != nil {
		return nil, err
	}
	o := &openImage{Image: img, s: s, unwatched: unwatched}
	handles.opened(o, "image "+name)
	s.closers = append(s.closers, o.close)
	s.images = append(s.images, o)
	return o, nil
}

// openImage is an image that can be closed before its scope ends.
type openImage struct {
	*librbd.Image
	s         *scope
	unwatched bool
	closed    bool
}

func (o *openImage) close() error {
	if o.closed {
		return nil
	}
	o.closed = true
	defer handles.closed(o)
	o.settle()
	return run(o.s, "rbd_close", o.Close)
}

// settle waits until librbd is done with having opened the image. When it has opened
// one at a snapshot, as it opens every parent of a clone, it tells so first and takes a
// lock of that image then: closed in between, the image is gone, and the process hangs
// for ever or aborts ("std::system_error: Invalid argument"; Ceph 16.2
// src/librbd/ImageState.cc, complete_action_unlock). That thread is inside a callback of
// librados, which come one after the other: when there was another one, it is out. To
// list the metadata needs one, as does the end of a watch.
func (o *openImage) settle() {
	if o.unwatched {
		_ = run(o.s, "rbd_metadata_list", func() error { _, err := o.ListMetadata(); return err })
	}
}

// closeImages closes the images that are still open, before one of them is to be
// removed.
func (s *scope) closeImages() error {
	var errs []error
	for i := len(s.images) - 1; i >= 0; i-- {
		errs = append(errs, s.images[i].close())
	}
	return errors.Join(errs...)
}

// monCommand is one command to the monitors.
func (s *scope) monCommand(cmd []byte) ([]byte, error) {
	return native(s, "rados_mon_command", func() ([]byte, error) {
		out, status, err := s.conn().MonCommand(cmd)
		return out, withStatus(err, status)
	})
}

// native runs one call of librados or librbd. name is the C function's: it
// names the points before and after the call at which a test may strike.
func native[T any](_ *scope, name string, fn func() (T, error)) (T, error) {
	point(name, "before")
	value, err := fn()
	point(name, "after")
	return value, translate(err)
}

// run is native for a call without a result.
func run(s *scope, name string, fn func() error) error {
	_, err := native(s, name, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

// handles knows what is open, for Leaks.
//
//nolint:gochecknoglobals // of the process: the handles of every Cluster
var handles = registry{open: map[any]string{}}

type registry struct {
	mu   sync.Mutex
	open map[any]string
}

func (r *registry) opened(handle any, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[handle] = what
}

func (r *registry) closed(handle any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, handle)
}

// Leaks names the native handles of this process that are open now: none, when
// every Cluster is closed and every call has returned.
func Leaks() []string {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	var open []string
	for _, what := range handles.open {
		open = append(open, what)
	}
	return open
}
