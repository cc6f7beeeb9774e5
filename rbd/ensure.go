package rbd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"rbdctl/internal/fault"
)

// Want is an image that there should be.
type Want struct {
	Image   ImageSpec
	Size    uint64    // bytes; for a clone at least the parent's
	Parent  *SnapSpec // nil: all zeroes
	Options CloneOptions

	// Check sees the first 4 KiB of the parent, or all of it, and may refuse it.
	Check func(head []byte) error

	// Protected demands that the parent is protected, as it is when an import of
	// it is complete.
	Protected bool
}

// Ensured is how a Want was met.
type Ensured struct {
	Info    Info
	Created bool // false: it was there already, just as wanted
}

// Ensure makes want true: a clone of want.Parent grown to want.Size, or a blank
// image. It is idempotent, and safe to be killed at any instruction and called
// again, by any process of any host:
//
//   - an image that is there is accepted by its properties (the parent's pool,
//     image and snapshot ids; the size), never because it exists; other
//     properties are ErrExists, with the difference in the message;
//   - what a dead caller left half made is removed and made again, so that the
//     image is blank or reads as its parent whenever Ensure has returned nil;
//   - while another caller is at it, Ensure waits for the other's end as long as
//     ctx lasts, and is then ErrInUse.
//
// A failure leaves nothing behind, unless the message says so; after
// ErrUnavailable and ErrOutcomeUnknown call Ensure again.
func (m *Images) Ensure(ctx context.Context, want Want) (Ensured, error) {
	op, subject := "create", want.Image.String()
	if want.Parent != nil {
		op, subject = "clone", want.Parent.String()+" to "+subject
	}
	if err := want.validate(); err != nil {
		return Ensured{}, wrap(op, subject, err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	return afterOthers(ctx, func() (Ensured, error) {
		return callPolite(ctx, m.cluster, op, subject, func(s *scope) (Ensured, error) {
			e := ensuring{scope: s, ctx: ctx, want: want, op: op, parents: &m.cluster.parents}
			done, err := e.ensure()
			if e.recalled && (errors.Is(err, ErrInvalid) || errors.Is(err, ErrExists) || errors.Is(err, ErrNotFound)) {
				// Perhaps the parent is another one by now.
				e.parents.forget(*want.Parent)
				done, err = e.ensure()
			}
			return done, err
		})
	})
}

func (w Want) validate() error {
	if w.Parent != nil {
		if err := w.Parent.validate(); err != nil {
			return err
		}
	}
	return checkCreate(w.Image, w.Size, w.Options.ObjectSize)
}

// ensuring is one attempt at a Want.
type ensuring struct {
	*scope
	ctx      context.Context
	want     Want
	op       string
	parents  *parents
	from, to *ioContext // the pools of the parent and of the image
	facts    parentFacts
	recalled bool // facts come from an earlier look
}

func (e *ensuring) ensure() (Ensured, error) {
	var err error
	if e.to, err = e.poolOf(e.want.Image); err != nil {
		return Ensured{}, err
	}
	if err := e.lookAtParent(); err != nil {
		return Ensured{}, err
	}
	taken, err := e.taken(e.to, e.want.Image.Image)
	if err != nil {
		return Ensured{}, err
	}
	if taken {
		if done, still, err := e.undisturbed(e.compare); still || err != nil {
			return done, err
		}
	}
	i, err := e.begin(e.op, e.want.Image)
	if err != nil {
		return Ensured{}, err
	}
	return e.under(i)
}

// undisturbed is what look came to, if no operation was at the image before it nor is
// after it: another one may be half made in its place meanwhile. Otherwise still is
// false.
func (e *ensuring) undisturbed(look func() (Ensured, error)) (done Ensured, still bool, err error) {
	if unfinished, err := e.intentOf(e.want.Image); err != nil || unfinished != nil {
		return Ensured{}, false, err
	}
	done, differs := look()
	if unfinished, err := e.intentOf(e.want.Image); err != nil || unfinished != nil {
		return Ensured{}, false, err
	}
	return done, true, differs
}

// lookAtParent learns what must hold of the parent, before anything is made.
func (e *ensuring) lookAtParent() error {
	p := e.want.Parent
	if p == nil {
		return nil
	}
	var err error
	if e.from, err = e.poolOf(p.ImageSpec); err != nil {
		return err
	}
	if e.facts, e.recalled = e.parents.get(*p); !e.recalled {
		if e.facts, err = e.parentFacts(e.from, *p); err != nil {
			return err
		}
	}
	if e.want.Check != nil {
		if err := e.want.Check(e.facts.head); err != nil {
			return err
		}
	}
	if e.want.Protected && !e.facts.protected {
		return fault.Newf(ErrUnavailable, "%s is not protected: it is not complete yet, or has to be protected first (`rbd snap protect %s`)", p, p)
	}
	if err := e.facts.allow(e.want.Options); err != nil {
		return err
	}
	if e.want.Size < e.facts.size {
		return fault.Newf(ErrInvalid, "size %s is smaller than the image, %s: ask for at least that",
			humanize.IBytes(e.want.Size), humanize.IBytes(e.facts.size))
	}
	if !e.recalled && e.facts.protected {
		e.parents.put(*p, e.facts)
	}
	return nil
}

// under makes the image while this process holds the intent.
func (e *ensuring) under(i *intent) (Ensured, error) {
	if i.record.Begun { // by who was at it before
		err := e.clear(i)
		if errors.Is(err, errNotOurs) { // whatever it is, the image is complete
			return e.accept(i)
		}
		if err != nil {
			return Ensured{}, errors.Join(err, i.release(err))
		}
	}
	err := i.free(e.to)
	if err != nil && !isErrno(err, syscall.EEXIST) {
		return Ensured{}, errors.Join(err, i.release(err))
	}
	if err == nil {
		err = e.make()
	}
	if isErrno(err, syscall.EEXIST) {
		// It was there before us, or is a stranger's: it stays as it is.
		return e.accept(i)
	}
	if err == nil {
		err = e.ctx.Err()
	}
	if err != nil {
		return Ensured{}, e.undo(i, err)
	}
	info, err := e.complete(i)
	return Ensured{Info: info, Created: true}, err
}

// accept compares the image that is there, and ends the intent that keeps others from
// changing it meanwhile.
func (e *ensuring) accept(i *intent) (Ensured, error) {
	done, err := e.compare()
	if finishing := i.finish(); finishing != nil {
		return Ensured{}, errors.Join(err, finishing)
	}
	return done, err
}

// clear removes what the dead owner of i left half made; errNotOurs when it was
// complete, or nothing of its own.
func (e *ensuring) clear(i *intent) error {
	left := remains{owner: i.before.owner, op: i.before.op}
	if i.before.op == opImport { // it has data, and can have a snapshot
		left.made = i.before.made
		complete, err := e.dropUnprotected(e.to, e.want.Image, left.made)
		if err == nil && complete {
			err = errNotOurs
		}
		if err != nil {
			return err
		}
	}
	return e.sweepImage(e.to, e.want.Image, left)
}

// make makes the image; it may be left half made.
func (e *ensuring) make() error {
	if e.want.Parent == nil {
		return e.create(e.to, e.want.Image.Image, e.want.Size, e.want.Options.CreateOptions)
	}
	opts := e.want.Options
	if opts.ObjectSize != 0 {
		opts.ObjectSize = max(opts.ObjectSize, e.facts.objectSize)
	}
	return e.clone(e.from, *e.want.Parent, e.to, e.want.Image.Image, opts)
}

// complete grows the image, verifies what it became, and ends the intent.
func (e *ensuring) complete(i *intent) (Info, error) {
	img, err := e.grow()
	if err != nil {
		return Info{}, e.undo(i, err)
	}
	info, err := img.info()
	info.Spec = e.want.Image
	if err == nil {
		err = e.differs(info)
	}
	if err != nil {
		return Info{}, e.undo(i, err)
	}
	// The image is verified: closing it and ending the intent need not wait for
	// each other.
	closed := make(chan error, 1)
	go func() { closed <- img.close() }()
	err = i.finish()
	return info, errors.Join(err, <-closed)
}

// grow gives the new image its size, and opens it as it then is.
func (e *ensuring) grow() (*openImage, error) {
	if e.want.Parent != nil {
		err := e.growUnopened(e.to, e.want.Image.Image, e.want.Size)
		if errors.Is(err, errUnusual) {
			img, err := e.image(e.to, e.want.Image.Image)
			if err != nil {
				return nil, err
			}
			return img, img.resize(e.want.Size, false)
		}
		if err != nil {
			return nil, err
		}
	}
	return e.imageReadOnly(e.to, e.want.Image.Image, "")
}

// undo removes what a failed attempt made, and ends the intent. What it cannot
// undo it leaves to the next caller, and says so.
func (e *ensuring) undo(i *intent, cause error) error {
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		cause = fault.Newf(ErrUnavailable, "stopped on request; what it had begun is removed")
	}
	if err := e.closeImages(); err != nil {
		return errors.Join(cause, err, i.release(errors.Join(cause, err)))
	}
	if err := i.still(); err != nil {
		return errors.Join(cause, err)
	}
	err := e.sweepImage(e.to, e.want.Image, remains{owner: i.record.Owner.Address, op: i.record.Op})
	if err != nil {
		return errors.Join(cause, fmt.Errorf("left half made, for the next attempt to clear away: %w", err), i.leave(err))
	}
	return errors.Join(cause, i.finish())
}

// compare accepts the image that is there, or tells how it differs.
func (e *ensuring) compare() (Ensured, error) {
	img, err := e.imageReadOnly(e.to, e.want.Image.Image, "")
	if isErrno(err, syscall.ENOENT) {
		if there, look := e.taken(e.to, e.want.Image.Image); look == nil && !there {
			return Ensured{}, &heldError{record{deed: deed{Op: e.op}, Since: time.Now()}} // it was just removed: begin again
		}
	}
	if err != nil {
		return Ensured{}, fmt.Errorf("an image of this name is listed but does not open (`rbd rm %s` clears it away): %w", e.want.Image, err)
	}
	info, err := img.info()
	info.Spec = e.want.Image
	if err != nil {
		return Ensured{}, err
	}
	return Ensured{Info: info}, e.differs(info)
}

// differs is nil when have is what is wanted, and else ErrExists with how not.
func (e *ensuring) differs(have Info) error {
	switch p := e.want.Parent; {
	case p == nil && have.Parent != nil:
		return fault.Newf(ErrExists, "it exists as a clone of %s; wanted a blank image", have.Parent)
	case p != nil && have.Parent == nil:
		return fault.Newf(ErrExists, "it exists without a parent; wanted a clone of %s", p)
	case p != nil && !e.facts.is(have.Parent):
		return fault.Newf(ErrExists, "it exists as a clone of %s (snapshot id %d); wanted a clone of %s (snapshot id %d)",
			have.Parent, have.Parent.SnapID, p, e.facts.snapID)
	case have.Size != e.want.Size:
		return fault.Newf(ErrExists, "it exists with %d bytes (%s); wanted %d (%s)",
			have.Size, humanize.IBytes(have.Size), e.want.Size, humanize.IBytes(e.want.Size))
	}
	return nil
}
