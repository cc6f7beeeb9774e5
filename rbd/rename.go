package rbd

import (
	"context"
	"fmt"
	"syscall"

	"rbdctl/internal/fault"
)

// Rename gives an image another name in the same pool and namespace, also while it
// is open. When from is gone and to is there it is success: it was done before, unless
// the journal tells that it was to be another image. ErrExists when both are there,
// ErrNotFound when neither is.
//
// Similar To: rbd rename <from> <to>
func (m *Images) Rename(ctx context.Context, from, to ImageSpec) error {
	d := deed{Op: opRename, Other: to.Image}
	err := to.validate()
	if err == nil && (from.Pool != to.Pool || from.Namespace != to.Namespace) {
		err = fault.New(ErrInvalid, "an image stays in its pool and namespace")
	}
	if err == nil && from == to {
		err = fault.New(ErrInvalid, "the names are the same")
	}
	if err != nil {
		return wrap(d.Op, d.subject(from), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	_, err = change(ctx, m, d, from, func(s *scope, ioctx *ioContext) (struct{}, error) {
		there, err := s.beginDeed(deed{Op: opRenameTo, Other: from.Image}, to)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, there.end(s.rename(ioctx, s.holds(from), to.Image))
	})
	return err
}

// rename renames the image that i is about. It is fit to finish one that was cut
// short: then both names may lead to the same image, and the pool's directory tells
// which one counts.
func (s *scope) rename(ioctx *ioContext, i *intent, to string) error {
	from := i.spec
	old, err := s.idOf(ioctx, from.Image)
	if err != nil {
		return err
	}
	now, err := s.idOf(ioctx, to)
	if err != nil {
		return err
	}
	switch {
	case old == "" && now == "":
		return fault.Newf(ErrNotFound, "neither name is there")
	case old == "" && i.record.Made != "" && i.record.Made != now:
		return fault.Newf(ErrNotFound, "%s is gone, and %s is another image than it was", from, to)
	case old == "":
		return s.confirmName(ioctx, now, to)
	case now == "":
		if err = i.made(old); err == nil {
			err = s.moveName(ioctx, from.Image, to)
		}
	case old == now:
		err = s.finishRename(ioctx, from.Image, to, old)
	default:
		return fault.Newf(ErrExists, "%s is there: it stays as it is", to)
	}
	if err != nil {
		return err
	}
	return s.confirmName(ioctx, old, to)
}

func (s *scope) moveName(ioctx *ioContext, from, to string) error {
	img, err := s.image(ioctx, from)
	if err != nil {
		return err
	}
	if err := run(s, "rbd_rename", func() error { return img.Rename(to) }); err != nil {
		return err
	}
	return img.close()
}

// finishRename takes away the name that does not count, so that the other is the
// only one, and renames if that is the old one.
func (s *scope) finishRename(ioctx *ioContext, from, to, id string) error {
	name, err := s.listedAs(ioctx, id)
	if err != nil {
		return err
	}
	extra := map[string]string{from: to, to: from}[name]
	if extra == "" {
		return fmt.Errorf("both %s and %s lead to the image %s, which the pool lists as %q", from, to, id, name)
	}
	if err := run(s, "rados_remove", func() error { return ioctx.Delete("rbd_id." + extra) }); ignore(err, syscall.ENOENT) != nil {
		return err
	}
	if name == to {
		return nil
	}
	return s.moveName(ioctx, from, to)
}

func (s *scope) confirmName(ioctx *ioContext, id, name string) error {
	listed, err := s.listedAs(ioctx, id)
	if err == nil && listed != name {
		err = fault.Newf(ErrUnavailable, "the pool lists the image %s as %q, not as %q: try again", id, listed, name)
	}
	return err
}

// idOf is the id of an image, "" when there is none of that name.
func (s *scope) idOf(ioctx *ioContext, name string) (string, error) {
	id, err := s.imageID(ioctx, name)
	return id, ignore(err, syscall.ENOENT)
}

// listedAs is the name under which a pool lists the image, "" when it does not.
func (s *scope) listedAs(ioctx *ioContext, id string) (string, error) {
	return s.directory(ioctx, "id_"+id)
}

// directory reads a key of the pool's list of images: "name_<name>" gives the id,
// "id_<id>" the name; "" when it is not there.
func (s *scope) directory(ioctx *ioContext, key string) (string, error) {
	values, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
		return ioctx.GetOmapValues("rbd_directory", "", key, 1)
	})
	if err = ignore(err, syscall.ENOENT); err != nil {
		return "", err
	}
	return cephString(values[key]), nil
}
