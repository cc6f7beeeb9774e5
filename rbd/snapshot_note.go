package rbd

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	librbd "github.com/ceph/go-ceph/rbd"
)

// note is an entry of the snaps register: a snapshot that is to go with its last
// clone.
type note struct {
	Namespace string    `json:"namespace,omitempty"`
	ImageID   string    `json:"image_id"`
	Snap      string    `json:"snap"`
	Since     time.Time `json:"since"`

	// How long it waits for its clone, in nanoseconds; 0: as long as usual.
	Wait time.Duration `json:"wait,omitempty"`

	snapID uint64 // instead of Snap, when that is empty: it may have got another name
	child  string // the name of a clone that was just removed; may be empty
}

func (n note) key() string { return inNamespace(n.Namespace, n.ImageID) + "@" + n.Snap }

// usualWait is how long a snapshot that was taken for a clone waits for it, and groupWait
// how long one that was taken with those of other images does: it can't be taken again,
// and its clone comes after those of the others.
const (
	usualWait = 10 * time.Minute
	groupWait = 24 * time.Hour
)

// waits tells whether a snapshot of this age, without a clone, may be about to get it.
func (n note) waits(age time.Duration) bool { return age < cmp.Or(n.Wait, usualWait) }

// noteSnapshot notes, before it is made, a snapshot that is to go with its last
// clone, and waits for the first as long as wait, 0 for as long as usual. Others are
// not noted.
func (s *scope) noteSnapshot(img *openImage, spec SnapSpec, wait time.Duration) error {
	if !passing(spec.Snap) {
		return nil
	}
	id, err := native(s, "rbd_get_id", img.GetId)
	if err != nil {
		return err
	}
	notes, err := s.register(spec.Pool, snapsRegister)
	if err != nil {
		return err
	}
	n := note{Namespace: spec.Namespace, ImageID: id, Snap: spec.Snap, Since: time.Now().UTC(), Wait: wait}
	return notes.put(n.key(), n)
}

// noteParent notes the snapshot that a clone is about to be cut from, if it is to go with
// its last clone and is not noted: afterwards nothing of the clone leads to it.
func (s *scope) noteParent(p *Parent) error {
	if !passing(p.Snap) {
		return nil
	}
	notes, err := s.register(p.Pool, snapsRegister)
	if err != nil {
		return err
	}
	n := note{Namespace: p.Namespace, ImageID: p.ImageID, Snap: p.Snap, Since: time.Now().UTC()}
	var old note
	there, err := notes.get(n.key(), &old)
	if err == nil && !there {
		err = notes.put(n.key(), n)
	}
	return ignore(err, syscall.EPERM, syscall.EACCES) // somebody else's pool
}

// sweepNotes removes the noted snapshots of the pool that have no clones any more:
// those whose last clone was flattened, or removed by somebody else.
func (p *purging) sweepNotes() error {
	notes, err := callRead(p.ctx, p.images.cluster, opPurge, p.pool, func(s *scope) ([]note, error) {
		return s.notes(p.pool)
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range notes {
		err := p.dropIfChildless(p.pool, n)
		if errs = append(errs, err); p.ends(err) {
			break
		}
	}
	return errors.Join(errs...)
}

func (s *scope) notes(pool string) ([]note, error) {
	r, err := s.register(pool, snapsRegister)
	if err != nil {
		return nil, err
	}
	values, err := r.entries()
	if err != nil {
		return nil, err
	}
	var notes []note
	for key, text := range values {
		var n note
		if err := r.decode(key, text, &n); err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// DropUnused removes a snapshot that was taken for one clone ("*.clone_snap") which is
// not there, and was not made after all. It stays, for Purge to find, while somebody is
// at work with it: at the clone, or at the snapshot's image. Gone is success.
//
// Similar To: rbd snap unprotect <spec>; rbd snap rm <spec>
func (m *Images) DropUnused(ctx context.Context, spec SnapSpec, clone string) error {
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	info, err := m.Stat(ctx, spec.ImageSpec)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := callRead(ctx, m.cluster, opUnsnap, spec.String(), func(s *scope) (note, error) {
		n := note{Namespace: spec.Namespace, ImageID: info.ID, Snap: spec.Snap}
		notes, err := s.register(spec.Pool, snapsRegister)
		if err == nil {
			_, err = notes.get(n.key(), &n)
		}
		return n, err
	})
	if err != nil {
		return err
	}
	n.child = clone
	p := purging{images: m, ctx: ctx, pool: spec.Pool}
	return p.dropIfChildless(spec.Pool, n)
}

// dropIfChildless removes a snapshot that is to go with its last clone, if that is
// gone. An image that another operation is at is left for the next time.
func (p *purging) dropIfChildless(pool string, n note) error {
	err := p.tryDrop(pool, n)
	var held *heldError
	if errors.As(err, &held) {
		return nil
	}
	return err
}

// tryDrop is dropIfChildless where a *heldError tells of another operation at the image.
func (p *purging) tryDrop(pool string, n note) error {
	entry := n // as it is in the register, if it is
	holder, err := callRead(p.ctx, p.images.cluster, opUnsnap, pool+"/"+n.key(), func(s *scope) (ImageSpec, error) {
		return s.mayDrop(pool, n)
	})
	if err != nil || holder.Image == "" {
		if errors.Is(err, ErrDenied) || errors.Is(err, ErrNotFound) {
			return nil // somebody else's pool, or somebody was quicker
		}
		return err
	}
	_, err = tryChange(p.ctx, p.images, deed{Op: opCheck}, holder, func(s *scope, ioctx *ioContext) (struct{}, error) {
		return struct{}{}, s.dropNoted(ioctx, pool, n)
	})
	var held *heldError
	if errors.As(err, &held) {
		return err
	}
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrInUse) || errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || entry.Snap == "" {
		return err // sweepNotes drops its note
	}
	return p.images.forget(p.ctx, pool, snapsRegister, entry.key(), entry)
}

// mayDrop finds the intent's name of the image whose snapshot may go now; empty
// when none may. A note whose snapshot is gone is to be dropped, under that intent,
// too.
func (s *scope) mayDrop(pool string, n note) (ImageSpec, error) {
	holder := ImageSpec{Pool: pool, Namespace: n.Namespace, Image: trashPrefix + n.ImageID}
	ioctx, err := s.pool(pool, n.Namespace)
	if err != nil {
		return ImageSpec{}, err
	}
	img, err := s.imageByIDReadOnly(ioctx, n.ImageID, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT) {
		if n.Snap == "" {
			return ImageSpec{}, nil
		}
		return holder, nil
	}
	if err != nil {
		return ImageSpec{}, err
	}
	name, err := s.listedAs(ioctx, n.ImageID)
	if err != nil {
		return ImageSpec{}, err
	}
	if name != "" {
		holder.Image = name
	}
	snap, there, err := img.noted(n)
	if err != nil {
		return ImageSpec{}, err
	}
	if !there && n.Snap != "" {
		return holder, nil
	}
	if !there {
		there, err = img.unsnapping(n.snapID)
		snap.ID = n.snapID
	} else {
		there = passing(snap.Name)
	}
	if err != nil || !there {
		return ImageSpec{}, err
	}
	needed, err := s.needed(ioctx, n.ImageID, snap)
	if err == nil && !needed && name != "" && snap.Name != "" {
		needed, err = s.stillWanted(ioctx, img, n, holder, snap)
	}
	if err != nil || needed {
		return ImageSpec{}, err
	}
	return holder, nil
}

// noted finds the snapshot of a note by name or id.
func (o *openImage) noted(n note) (Snapshot, bool, error) {
	snaps, err := o.snapshots()
	for _, s := range snaps {
		if s.Name == n.Snap || n.Snap == "" && s.ID == n.snapID {
			return s, true, err
		}
	}
	return Snapshot{}, false, err
}

// stillWanted tells whether a snapshot that was taken for one clone, and has none,
// may be about to get it.
func (s *scope) stillWanted(ioctx *ioContext, img *openImage, n note, of ImageSpec, snap Snapshot) (bool, error) {
	child, ok := strings.CutSuffix(snap.Name, cloneSnap)
	if !ok || child == "" {
		return false, nil
	}
	of.Image = child
	if making, err := s.intentOf(of); err != nil || making != nil {
		return true, err
	}
	if child == n.child {
		return false, nil // it had it, and it is gone
	}
	there, err := s.taken(ioctx, child)
	if err != nil || there {
		return false, err // it has it, and was flattened
	}
	stamp, err := native(s, "rbd_snap_get_timestamp", func() (librbd.Timespec, error) { return img.GetSnapTimestamp(snap.ID) })
	if err != nil {
		return true, err
	}
	return n.waits(time.Since(time.Unix(stamp.Sec, stamp.Nsec))), nil
}

// dropNoted removes a snapshot that may go. This process holds the intent of its
// image. ErrInUse: it may not any more, so that its note stays.
func (s *scope) dropNoted(ioctx *ioContext, pool string, n note) error {
	holder, err := s.mayDrop(pool, n)
	if err == nil && holder.Image == "" {
		err = errWaiting
	}
	if err != nil {
		return err
	}
	img, err := s.imageByID(ioctx, n.ImageID)
	if isErrno(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	snap, there, err := img.noted(n)
	switch {
	case err != nil:
		return err
	case there:
		return img.dropSnapshot(snap)
	}
	return errors.Join(img.close(), s.endUnsnapsByID(ioctx, n.ImageID))
}
