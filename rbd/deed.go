package rbd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"rbdctl/internal/fault"
)

// The operations that take an intent. Those that make an image leave one that is
// to be removed when they don't come to their end; what the others leave is an
// image that is whole, or that whoever comes next brings to the end that was
// asked for.
const (
	opCreate   = "create"
	opClone    = "clone"
	opImport   = "import"
	opSnapshot = "snap create"
	opUnsnap   = "snap rm"
	opExtend   = "resize"
	opRename   = "rename"
	opRenameTo = "rename to" // at the new name, which the rename also takes
	opRevert   = "snap rollback"
	opDelete   = "delete"
	opUndelete = "undelete" // at the entry of the trash
	opPurge    = "purge"    // at the entry of the trash
	opMetadata = "metadata"
	opWrite    = "write"
	opFeatures = "features"
	opResnap   = "snap rename"
	opRelease  = "snap unprotect"
	opFlatten  = "flatten"
	opMigrate  = "migrate"      // at the job
	opMoveAway = "migrate from" // at the image, which goes
	opMoveTo   = "migrate to"   // at the copy, which is to take its place
	opImportTo = "import to"    // at the image that an import job makes
	opImporter = "import job"   // at the job
	opCheck    = "check"        // changes nothing: takes the intent to end what others began

	opGroupCreate   = "group create"
	opGroupDelete   = "group rm"
	opGroupChange   = "group image add"
	opGroupSnapshot = "group snap create" // of the images in Snaps; none: it has not begun
	opGroupMember   = "group member"      // at each of these images
	opJoin          = "group join"        // at the image that is put in
	opLeave         = "group leave"       // at the image that is taken out
)

// deed is what an operation does, as its record tells it to whoever must finish
// it.
type deed struct {
	Op    string        `json:"op"`
	Snap  string        `json:"snap,omitempty"`
	Size  uint64        `json:"size,omitempty"`  // bytes
	Other string        `json:"other,omitempty"` // the image's other name; its group; of a migration its job, or where that is
	Delay time.Duration `json:"delay,omitempty"`
	Snaps []string      `json:"snaps,omitempty"` // image@snap, of a group's; pool id/image id, of one that is deleted
}

// equal tells whether d and other are the same.
func (d deed) equal(other deed) bool {
	return d.Op == other.Op && d.Snap == other.Snap && d.Size == other.Size && d.Other == other.Other &&
		d.Delay == other.Delay && slices.Equal(d.Snaps, other.Snaps)
}

// makes tells whether d makes an image.
func (d deed) makes() bool {
	return d.Op == opCreate || d.Op == opClone || d.Op == opImport || d.Op == opMoveTo || d.Op == opImportTo
}

// harmless tells whether d, cut short anywhere, leaves nothing that is to be carried out: an
// image that is whole, or one in the trash, of which the mark says what was begun.
func (d deed) harmless() bool {
	switch d.Op {
	case opSnapshot, opExtend, opPurge, opMetadata, opWrite, opFeatures, opResnap, opRelease, opFlatten, opMigrate, opImporter, opCheck,
		opGroupCreate, opGroupChange, opGroupMember:
		return true
	}
	return false
}

// ungroups tells whether d takes a group away of which its images have snapshots: cut short,
// the group can be gone and they not.
func (d deed) ungroups() bool { return d.Op == opGroupDelete && len(d.Snaps) > 0 }

// subject is what an error of d on spec is about.
func (d deed) subject(spec ImageSpec) string {
	switch {
	case strings.HasPrefix(spec.Image, groupPrefix) && strings.HasPrefix(d.Op, "group "):
		return strings.TrimSuffix(groupOfHolder(spec).String()+"@"+d.Snap, "@")
	case d.Snap != "":
		return spec.At(d.Snap).String()
	case d.Op == opRename:
		return spec.String() + " to " + d.Other
	}
	return spec.String()
}

// change runs fn while this process holds the intent of d on spec, and waits for
// other operations on the same image as long as ctx lasts. fn must be fit to be
// run again after it was cut short anywhere.
func change[T any](ctx context.Context, m *Images, d deed, spec ImageSpec, fn func(*scope, *ioContext) (T, error)) (T, error) {
	value, err := afterOthers(ctx, func() (T, error) { return tryChange(ctx, m, d, spec, fn) })
	return value, d.heldByItself(spec, err)
}

// heldByItself is err, but of d held up by the same operation on spec, which somebody is at or
// had begun: that may come to its end yet, so that "in use" would not be true.
func (d deed) heldByItself(spec ImageSpec, err error) error {
	var held *heldError
	if !errors.As(err, &held) || d.Op == opWrite || // which is of other content
		held.record.Op != d.Op || held.record.Snap != d.Snap || held.record.Subject != spec.String() {
		return err
	}
	return wrap(d.Op, d.subject(spec), fault.New(ErrUnavailable, held.Error()))
}

// tryChange is change that does not wait: a *heldError tells of another operation.
func tryChange[T any](ctx context.Context, m *Images, d deed, spec ImageSpec, fn func(*scope, *ioContext) (T, error)) (T, error) {
	var none T
	if err := spec.validate(); err != nil {
		return none, wrap(d.Op, d.subject(spec), err)
	}
	return callPolite(ctx, m.cluster, d.Op, d.subject(spec), func(s *scope) (T, error) {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return none, err
		}
		i, err := s.beginDeed(d, spec)
		if err != nil {
			return none, err
		}
		value, err := fn(s, ioctx)
		return value, i.end(err)
	})
}

// end finishes the intent after an operation that ended with err, or leaves it to
// the next one where something may be half changed.
func (i *intent) end(err error) error {
	err = errors.Join(err, i.s.closeImages())
	var held *heldError                     // at the second name: nothing was changed yet
	carryOn := i.record.Op == opGroupMember // until the group's comes to its end
	heldUp := errors.As(err, &held) && !i.record.ungroups()
	if err == nil || (i.record.harmless() && !carryOn) || i.refused(err) || heldUp {
		return errors.Join(err, i.finish())
	}
	return errors.Join(err, i.release(err))
}

// refused tells whether an operation that ended with err leaves nothing that is to be
// carried out. A revert that has begun does, whatever is in its way now, unless there is
// nothing any more to carry it out with.
func (i *intent) refused(err error) bool {
	if i.record.halfReverts() {
		return errors.Is(err, ErrNotFound) || isErrno(err, syscall.ENOENT)
	}
	return refusal(err)
}

// refusal tells whether err says that an operation changed nothing, or undid what it had
// changed. One that is past that point has to give its errors another kind.
func refusal(err error) bool {
	var held *heldError
	return cmp.Or(ownKind(err), kindOf(err)) != nil && !unsure(err) && !errors.As(err, &held)
}

// halfDone is err, as that of an operation that has changed something and is to be carried on
// with: then nothing is a refusal.
func halfDone(err error) error {
	if err == nil || !refusal(err) {
		return err
	}
	return fault.Newf(ErrUnavailable, "it is half done: try again (%s)", err.Error())
}

// unsure tells whether err leaves open what became of an operation, of which a part may have
// been refused.
func unsure(err error) bool {
	kind := cmp.Or(ownKind(err), kindOf(err))
	return errors.Is(kind, ErrUnavailable) || errors.Is(kind, ErrOutcomeUnknown) ||
		errors.Is(err, errNoAnswer) || errors.Is(err, errShutOut)
}
