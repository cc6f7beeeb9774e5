package cinder

import (
	"context"
	"errors"
	"slices"

	"rbdctl/backends/glance"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// The kinds of a [Source].
const (
	Empty        = "empty" // also what a kind without a name is
	FromImage    = "image"
	FromSnapshot = "snapshot"
	FromVolume   = "volume"
)

// Source is what a new volume holds.
type Source struct {
	Kind     string // Empty, FromImage, FromSnapshot or FromVolume
	ID       string // of the Glance image, of the snapshot, of the volume
	VolumeID string // that the snapshot is of; empty: it is looked for
	Prepared bool   // PrepareGroupClone has taken the snapshot of the volume: without it nothing is made
}

// Create is a request for a volume.
type Create struct {
	ID         string
	Size       uint64 // bytes, exactly
	Source     Source
	ObjectSize uint64 // bytes; 0: the source's, or ceph.conf's default

	QoS         map[string]string // limits, see SetQoS; nil: none
	Multiattach bool              // see SetMultiattach
	Temporary   bool              // it will be deleted soon, and is not flattened before
}

// Create makes the volume: blank, or a copy-on-write clone of its source, grown to
// the size. A Glance image whose content is not RAW, and a size that is smaller
// than the source, are ErrInvalid; Import takes one that is qcow2. See rbd.Images.Ensure for what holds when it
// fails or is killed.
//
// A volume is cloned from a protected snapshot that is made for it. It has the
// upstream driver's name, and goes when the last clone of it is purged, or when
// the creation fails. One that was prepared with those of other volumes is not made
// again: it would be of another moment. Without it the volume is ErrNotFound.
//
// See: cinder/volume/drivers/rbd.py, clone_image, create_volume_from_snapshot and
// create_cloned_volume.
func (v Volumes) Create(ctx context.Context, c Create) (rbd.Ensured, error) {
	if _, err := QoS(c.QoS); err != nil {
		return rbd.Ensured{}, err
	}
	m, err := v.prepare(ctx, c)
	if errors.Is(err, ErrNotFound) {
		return v.outlived(ctx, c, err)
	}
	if err != nil {
		return rbd.Ensured{}, err
	}
	done, err := v.make(ctx, m)
	if errors.Is(err, ErrExists) || m.imported(err) || (m.Source.Prepared && errors.Is(err, ErrNotFound)) {
		done, err = v.flattened(ctx, m, err)
	}
	if err != nil {
		return rbd.Ensured{}, err
	}
	return done, v.setUp(ctx, m, done)
}

// making is a volume that is to be made.
type making struct {
	Create
	want  rbd.Want
	depth int // how many parents it will have
}

// prepare decides what to make. It makes nothing yet.
func (v Volumes) prepare(ctx context.Context, c Create) (making, error) {
	spec, err := v.volume(c.ID)
	if err != nil {
		return making{}, err
	}
	m := making{Create: c, want: rbd.Want{Image: spec, Size: c.Size}}
	m.want.Options.ObjectSize = c.ObjectSize
	if c.Source.Prepared && c.Source.Kind != FromVolume {
		return making{}, fault.Newf(ErrInvalid, "a %s is not prepared, but a %s may be", c.Source.Kind, FromVolume)
	}
	switch s := c.Source; s.Kind {
	case Empty, "":
		if s.ID != "" || s.VolumeID != "" {
			err = fault.Newf(ErrInvalid, "an empty volume has no source, and %q was given", s.ID+s.VolumeID)
		}
	case FromImage:
		m.depth = 1 // Glance images are imported whole
		err = glance.CloneOf(&m.want, v.ImagePool, s.ID)
	case FromSnapshot:
		err = v.ofSnapshot(ctx, &m)
	case FromVolume:
		err = v.ofVolume(ctx, &m)
	default:
		err = fault.Newf(ErrInvalid, "source kind %q: want %s, %s, %s or %s", s.Kind, Empty, FromImage, FromSnapshot, FromVolume)
	}
	return m, err
}

// imported tells whether err can be about a volume that was imported: its image can't be
// cloned, or is gone by now.
func (m making) imported(err error) bool {
	return m.Source.Kind == FromImage && (errors.Is(err, ErrInvalid) || errors.Is(err, ErrNotFound))
}

func (v Volumes) make(ctx context.Context, m making) (rbd.Ensured, error) {
	switch {
	case m.Source.Kind != FromVolume:
		return v.Images.Ensure(ctx, m.want)
	case m.Source.Prepared:
		return v.clonePrepared(ctx, m.want)
	}
	return v.cloneVolume(ctx, m.want)
}

// setUp gives an image that is made the properties of a volume. A clone has its
// parent's metadata from librbd: it gets limits of its own, and not the note of the
// features that its parent lacks. One with many parents is flattened in the background,
// unless it is to be deleted before that would end.
func (v Volumes) setUp(ctx context.Context, m making, done rbd.Ensured) error {
	inherits := m.Source.Kind == FromSnapshot || m.Source.Kind == FromVolume
	if len(m.QoS) > 0 || inherits {
		stray := ""
		if inherits && (done.Created || slices.Contains(done.Info.Features, singleWriter[0])) {
			stray = featuresKey
		}
		if err := v.setQoS(ctx, m.ID, m.QoS, stray); err != nil {
			return err
		}
	}
	if m.Multiattach {
		if _, err := v.SetMultiattach(ctx, m.ID, Multiattach{Enabled: true}); err != nil {
			return err
		}
	}
	if m.depth <= v.Limits.soft() || done.Info.Parent == nil || m.Temporary {
		return nil
	}
	_, err := v.flatten(ctx, done.Info.Spec, m.ID, m.Source)
	return err
}
