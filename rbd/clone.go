package rbd

import (
	"context"
	"fmt"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// CloneOptions are what a clone keeps for life.
type CloneOptions struct {
	CreateOptions
	Format CloneFormat
}

// CloneFormat is the way in which a clone holds on to its parent.
type CloneFormat int

// The formats of a clone.
const (
	CloneAuto CloneFormat = 0 // what the cluster's require-min-compat-client decides
	CloneV1   CloneFormat = 1 // the snapshot must be protected, and stays so while the clone lives
	CloneV2   CloneFormat = 2 // needs no protection; from Mimic on
)

// Clone makes child a copy-on-write clone of parent. Its object size is the
// larger of the wanted one and the parent's: a clone with smaller objects than
// its parent reads the parent again and again (LP#1931004). Its features are not
// the parent's but those of any new image, as the upstream drivers have it. ErrInvalid for a
// parent that format 1 needs protected and that is not.
//
// The result is not proof against being killed midway: a clone cut short can be
// an image that opens and has no parent. Use Ensure where that matters.
//
// Similar To: rbd clone <parent> <child>
func (m *Images) Clone(ctx context.Context, parent SnapSpec, child ImageSpec, opts CloneOptions) error {
	subject := parent.String() + " to " + child.String()
	if err := parent.validate(); err != nil {
		return wrap("clone", subject, err)
	}
	if err := checkCreate(child, 1, opts.ObjectSize); err != nil {
		return wrap("clone", subject, err)
	}
	return m.do(ctx, "clone", subject, func(s *scope) error {
		from, err := s.poolOf(parent.ImageSpec)
		if err != nil {
			return err
		}
		to, err := s.poolOf(child)
		if err != nil {
			return err
		}
		facts, err := s.parentFacts(from, parent)
		if err == nil {
			err = facts.allow(opts)
		}
		if err != nil {
			return err
		}
		opts.ObjectSize = max(opts.ObjectSize, facts.objectSize)
		return s.clone(from, parent, to, child.Image, opts)
	})
}

func (s *scope) clone(from *rados.IOContext, parent SnapSpec, to *rados.IOContext, child string, opts CloneOptions) error {
	o, err := s.imageOptions(opts.CreateOptions)
	if err != nil {
		return err
	}
	defer o.Destroy()
	switch opts.Format {
	case CloneAuto:
	case CloneV1, CloneV2:
		if err := o.SetUint64(librbd.ImageOptionCloneFormat, uint64(opts.Format)); err != nil {
			return fmt.Errorf("clone format: %w", err)
		}
	default:
		return fault.Newf(ErrInvalid, "clone format %d: want 1 or 2", opts.Format)
	}
	return run(s, "rbd_clone3", func() error {
		return librbd.CloneImage(from, parent.Image, parent.Snap, to, child, o)
	})
}
