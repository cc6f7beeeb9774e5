package cinder

import (
	"context"
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"

	"rbdctl/backends"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// ofSnapshot makes m a clone of a snapshot that Cinder made.
func (v Volumes) ofSnapshot(ctx context.Context, m *making) error {
	s := m.Source
	err := backends.CheckID("snapshot", s.ID)
	if err == nil && s.VolumeID == "" {
		s.VolumeID, err = v.volumeOf(ctx, s.ID)
	}
	if err != nil {
		return err
	}
	info, err := v.lookAt(ctx, s.VolumeID)
	if err != nil {
		return err
	}
	parent := info.Spec.At(snapshotPrefix + s.ID)
	snap, ok := info.Snapshot(parent.Snap)
	if !ok {
		return fault.Newf(ErrNotFound, "volume %s has no snapshot %s", s.VolumeID, s.ID)
	}
	if err := v.Images.CheckSnapshot(ctx, parent); err != nil {
		return err
	}
	if !snap.Protected { // whoever made it was killed in between
		if _, err := v.Images.EnsureSnapshot(ctx, parent, rbd.SnapOptions{Protect: true}); err != nil {
			return err
		}
	}
	m.want.Parent, m.want.Protected = &parent, true
	return v.fit(ctx, m, parent, snap.Size)
}

// ofVolume makes m a clone of another volume, from a snapshot that is to be made
// for it.
func (v Volumes) ofVolume(ctx context.Context, m *making) error {
	if m.Source.ID == m.ID {
		return fault.Newf(ErrInvalid, "volume %s cannot be made of itself", m.ID)
	}
	info, err := v.lookAt(ctx, m.Source.ID)
	if err != nil {
		return err
	}
	parent := cloneSnapshot(info.Spec, m.ID)
	m.want.Parent, m.want.Protected = &parent, true
	snap, there := info.Snapshot(parent.Snap)
	if there && !m.Source.Prepared {
		dropped, err := v.Images.DropOutlived(ctx, parent, m.want.Image.Image)
		if err != nil {
			return err
		}
		there = !dropped
	}
	if there { // of the attempt that is to be gone on with: the source may have grown since
		return v.fit(ctx, m, parent, snap.Size)
	}
	return v.fit(ctx, m, info.Spec.At(""), info.Size)
}

// fit makes m large enough for its source, of size bytes, to have a LUKS header.
// It refuses a size that would cut off the source's end, and one parent too many.
func (v Volumes) fit(ctx context.Context, m *making, source rbd.SnapSpec, size uint64) error {
	var err error
	if m.want.Size, err = v.withHeader(ctx, source, size, m.Size); err != nil {
		return err
	}
	if m.want.Size < size {
		return fault.Newf(ErrInvalid, "size %s (%d bytes) is smaller than the source, %s (%d bytes): ask for at least that",
			humanize.IBytes(m.Size), m.Size, humanize.IBytes(size), size)
	}
	below, err := v.Images.Depth(ctx, source.ImageSpec)
	if err != nil {
		return err
	}
	m.depth = below + 1
	return v.Limits.allows(m.depth, source.ImageSpec.String())
}

// outlived accepts a volume that was made as c wants it of what has been deleted
// since; missing is what else there is to say.
func (v Volumes) outlived(ctx context.Context, c Create, missing error) (rbd.Ensured, error) {
	info, err := v.lookAt(ctx, c.ID)
	if err != nil || info.Size != c.Size {
		return rbd.Ensured{}, missing
	}
	if made := v.sourceOf(info); made.Kind == Empty || made.Kind != c.Source.Kind || made.ID != c.Source.ID {
		return rbd.Ensured{}, missing
	}
	return rbd.Ensured{Info: info}, nil
}

// attempts is how often a clone of a volume is tried when its snapshot goes away
// meanwhile: a purge takes one that has no clone yet for debris.
const attempts = 5

// cloneVolume makes the snapshot want.Parent, and the clone. A failure takes the
// snapshot back.
func (v Volumes) cloneVolume(ctx context.Context, want rbd.Want) (rbd.Ensured, error) {
	for n := 1; ; n++ {
		if _, err := v.Images.EnsureSnapshot(ctx, *want.Parent, rbd.SnapOptions{Protect: true}); err != nil {
			return rbd.Ensured{}, err
		}
		done, err := v.Images.Ensure(ctx, want)
		if err == nil {
			return done, nil
		}
		if n < attempts && v.lost(ctx, *want.Parent) {
			continue
		}
		return rbd.Ensured{}, errors.Join(err, v.dropUnused(context.WithoutCancel(ctx), want, err))
	}
}

// clonePrepared makes the clone of a snapshot that was taken before, at one moment with
// others. It takes none, and leaves the one that there is.
func (v Volumes) clonePrepared(ctx context.Context, want rbd.Want) (rbd.Ensured, error) {
	done, err := v.Images.Ensure(ctx, want)
	if errors.Is(err, ErrNotFound) {
		err = fault.Newf(ErrNotFound, "the snapshot %s, of one moment with those of other volumes, is gone, and one of another moment is of no use: delete what was made of the others, and begin anew (%v)", want.Parent, err)
	}
	return done, err
}

// lost tells whether a snapshot that was made and protected is so no more.
func (v Volumes) lost(ctx context.Context, spec rbd.SnapSpec) bool {
	info, err := v.Images.Stat(ctx, spec.ImageSpec)
	snap, ok := info.Snapshot(spec.Snap)
	return err == nil && (!ok || !snap.Protected)
}

// dropUnused removes the snapshot of a clone that cause kept from being made. It
// stays where somebody may be at work with it, or the outcome is not known: then
// the next attempt uses it, or a purge finds it without a clone.
func (v Volumes) dropUnused(ctx context.Context, want rbd.Want, cause error) error {
	if errors.Is(cause, ErrInUse) || errors.Is(cause, fault.ErrOutcomeUnknown) {
		return nil
	}
	clone, err := v.Images.Stat(ctx, want.Image)
	if err == nil && clone.Parent != nil && clone.Parent.SnapSpec == *want.Parent {
		return nil // it is there, and differs in something else
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil // not known
	}
	if err := v.Images.DropUnused(ctx, *want.Parent, want.Image.Image); err != nil {
		return fmt.Errorf("the snapshot made for the clone is left: %w", err)
	}
	return nil
}
