package rbd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/google/uuid"

	"rbdctl/internal/fault"
)

// An intent is the journal of one operation that changes an image: one RADOS
// object, in the namespace rbdctl of the image's pool. It is made before the
// first change and removed after the last was verified, so that whoever finds an
// image beside an intent knows that it may be half made or half changed. The
// object, its record and its lock appear in one write; every later write carries
// the lock's assertion.
//
// The lock is a lease: 15 s by the OSD's clock, renewed every 5 s. A lease that
// ran out, or an owner on this machine that is dead or, in this process, done, may be
// taken over: the
// owner's librados instance is blocklisted first, so that it can write nothing
// any more, and if that fails there is no takeover.
const (
	intentNamespace = "rbdctl"
	intentPrefix    = "intent."
	intentKey       = "record"
	lease           = 15 * time.Second
	renewal         = 5 * time.Second
)

// intent is one that this process holds.
type intent struct {
	s      *scope
	ioctx  *ioContext
	oid    string
	spec   ImageSpec
	record record
	tookOn bool    // from an owner that did not finish
	done   bool    // finished, or released
	before remains // what that owner may have left
	stop   chan struct{}
	ended  chan struct{}
}

// afterOthers makes attempts until none is held up by another operation on the
// same image, or ctx ends; then it is ErrInUse, and says by whom.
func afterOthers[T any](ctx context.Context, attempt func() (T, error)) (T, error) {
	for wait := 50 * time.Millisecond; ; {
		done, err := attempt()
		var held *heldError
		if !errors.As(err, &held) {
			return done, err
		}
		select {
		case <-ctx.Done():
			return done, err
		case <-time.After(wait):
			wait = min(2*wait, time.Second)
		}
	}
}

func intentObject(spec ImageSpec) string {
	return intentPrefix + inNamespace(spec.Namespace, spec.Image)
}

// begin makes the intent of op, which makes an image, on spec.
func (s *scope) begin(op string, spec ImageSpec) (*intent, error) {
	return s.beginDeed(deed{Op: op}, spec)
}

// beginDeed makes the intent of d on spec, or takes over one whose owner is gone;
// what that owner had begun is then brought to an end, unless both make an image:
// then it is the caller's to clear away. A *heldError says that the owner is at
// work.
func (s *scope) beginDeed(d deed, spec ImageSpec) (*intent, error) {
	ioctx, err := s.pool(spec.Pool, intentNamespace)
	if err != nil {
		return nil, err
	}
	i := &intent{s: s, ioctx: ioctx, oid: intentObject(spec), spec: spec, record: record{
		Version: 1, deed: d, Subject: spec.String(), Owner: self(s.ses), Cookie: uuid.NewString(),
		Since: time.Now().UTC().Truncate(time.Second),
	}}
	atWork.Store(i.record.Cookie, true)
	if err := i.obtain(); err != nil {
		atWork.Delete(i.record.Cookie)
		return nil, err
	}
	i.keep()
	if i.tookOn && (!d.makes() || !i.record.makes()) {
		return i, i.inherit(d)
	}
	return i, nil
}

// obtain makes the object, or takes it over.
func (i *intent) obtain() error {
	for {
		err := i.create()
		if isErrno(err, syscall.EEXIST) {
			err = i.takeOver()
		}
		if !isErrno(err, syscall.ENOENT) {
			return err
		} // finished meanwhile
	}
}

// intentOf reads the intent of spec; nil when there is none.
func (s *scope) intentOf(spec ImageSpec) (*record, error) {
	ioctx, err := s.pool(spec.Pool, intentNamespace)
	if err != nil {
		return nil, err
	}
	i := intent{s: s, ioctx: ioctx, oid: intentObject(spec)}
	r, err := i.read()
	if isErrno(err, syscall.ENOENT) {
		return nil, nil
	}
	return r, err
}

func (i *intent) read() (*record, error) {
	values, err := native(i.s, "rados_omap_get", func() (map[string][]byte, error) {
		return i.ioctx.GetOmapValues(i.oid, "", intentKey, 1)
	})
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(values[intentKey], &r); err != nil {
		return nil, fmt.Errorf("intent %s is not one of ours: %w", i.oid, err)
	}
	return &r, nil
}

// takeOver takes the intent from an owner that is gone. ENOENT: it is finished.
func (i *intent) takeOver() error {
	theirs, err := i.read()
	if err != nil {
		return err
	}
	gone := theirs.gone() // before the lock is seen, which it may be about to give up
	lockers, err := native(i.s, "rados_list_lockers", func() (*rados.LockInfo, error) {
		return i.ioctx.ListLockers(i.oid, lockName)
	})
	if err != nil {
		return err
	}
	fenced := lockers.NumLockers > 0
	if fenced {
		// The lock must be that of the record: another one is of somebody who has
		// taken over since it was read.
		if lockers.Cookies[0] != theirs.Cookie || !gone {
			return &heldError{*theirs}
		}
		if err := i.fence(*theirs); err != nil {
			return err
		}
		if err := run(i.s, "rados_break_lock", func() error {
			_, err := i.ioctx.BreakLock(i.oid, lockName, lockers.Clients[0], lockers.Cookies[0])
			return err
		}); err != nil {
			return err
		}
	}
	if theirs.ours() {
		return &heldError{*theirs}
	}
	return i.takeFree(*theirs, fenced)
}

// takeFree takes an intent whose lock nobody holds. Under the lock the record is
// read again: its owner is the one to fence.
func (i *intent) takeFree(seen record, fenced bool) error {
	err := i.operate("intent lock", func(w *rados.WriteOp) {
		w.AssertExists()
		addLock(w, i.record.Cookie, lease, false)
	})
	if isErrno(err, syscall.EBUSY) {
		return &heldError{seen} // somebody else was quicker
	}
	if err != nil {
		return err
	}
	theirs, err := i.read()
	if err == nil && theirs.Cookie != seen.Cookie {
		err = &heldError{*theirs}
	}
	if err == nil && !theirs.Released && !fenced {
		err = i.fence(*theirs)
	}
	if err != nil {
		return errors.Join(err, i.unlock())
	}
	if !i.record.makes() || !theirs.makes() {
		i.record.deed = theirs.deed // until it is brought to an end
	}
	i.record.Made, i.record.Begun, i.tookOn = theirs.Made, theirs.Begun, true
	i.before = remains{made: theirs.Made, owner: theirs.Owner.Address, op: theirs.Op}
	return i.write("intent take over")
}

// fence keeps the owner of an unfinished intent from writing. This connection needs
// no fence against itself: what it sends arrives in order. One of a process that is
// dead is fenced so that what it has sent cannot arrive late; one of a process that may
// be merely stalled, or that this one gave up, for good.
func (i *intent) fence(theirs record) error {
	if theirs.Owner.Address == i.s.ses.address {
		return nil
	}
	span := fencedStalled
	if theirs.Owner.dead() {
		span = fencedDead
	}
	if err := i.s.fence(theirs.Owner.Address, span); err != nil {
		return fmt.Errorf("an unfinished %s by %s is in the way, and it cannot be fenced: %w", theirs.Op, theirs.Owner, err)
	}
	return nil
}

// create makes the object, its record and its lock in one write; EEXIST when it
// is there.
func (i *intent) create() error {
	text, err := json.Marshal(i.record)
	if err != nil {
		return err
	}
	return i.operate("intent create", func(w *rados.WriteOp) {
		w.Create(rados.CreateExclusive)
		addLock(w, i.record.Cookie, lease, false)
		w.SetOmap(map[string][]byte{intentKey: text})
	})
}

// write stores the record, if this process still holds the lock.
func (i *intent) write(step string) error {
	text, err := json.Marshal(i.record)
	if err != nil {
		return err
	}
	return i.held(i.operate(step, func(w *rados.WriteOp) {
		assertLocked(w, i.record.Cookie)
		w.SetOmap(map[string][]byte{intentKey: text})
	}))
}

// held explains the failure of a write that asserts the lock.
func (i *intent) held(err error) error {
	if isErrno(err, syscall.EBUSY, syscall.ENOENT) {
		return fault.Newf(ErrUnavailable, "the lease on %s was lost: try again", i.record.Subject)
	}
	return err
}

func (i *intent) operate(step string, fill func(*rados.WriteOp)) error {
	return run(i.s, step, func() error {
		w := rados.CreateWriteOp()
		defer w.Release()
		fill(w)
		return plain(w.Operate(i.ioctx, i.oid, spaceOrNot))
	})
}

// plain is the errno of a write operation without the per-step report that
// go-ceph wraps around it.
func plain(err error) error {
	var op rados.OperationError
	if errors.As(err, &op) && op.OpError != nil {
		return op.OpError
	}
	return err
}

// free tells whether the image's name is free, and writes that down: whoever finds an
// image beside an intent that does not say so knows that it was there before. EEXIST when
// it is taken.
func (i *intent) free(ioctx *ioContext) error {
	taken, err := i.s.taken(ioctx, i.spec.Image)
	if err == nil && taken {
		err = &nativeError{syscall.EEXIST}
	}
	if err != nil {
		return err
	}
	return i.begun()
}

// begun writes down that the operation is about to make its first change.
func (i *intent) begun() error {
	if i.record.Begun {
		return nil
	}
	i.record.Begun = true
	return i.write("intent begun")
}

// made writes down the id of the image that the operation made, so that what a
// killed import left can be told from somebody else's image.
func (i *intent) made(id string) error {
	i.record.Made = id
	return i.write("intent made")
}

// still is nil while this process holds the intent: before a step that only its
// owner may take.
func (i *intent) still() error { return i.write("intent still") }

// finish removes the intent: the operation is done, or undone. ErrUnavailable
// when the lease was lost: somebody else looks after the image now; or when it could not be
// removed: whoever comes next carries it out.
func (i *intent) finish() error {
	i.done = true
	err := i.held(i.operate("intent finish", func(w *rados.WriteOp) {
		assertLocked(w, i.record.Cookie)
		w.Remove()
	}))
	if err != nil && !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: its record stays: %w", ErrUnavailable, err)
	}
	return err
}

// release leaves the intent to whoever comes next, who need not fence us, unless cause
// says that a call ended without an answer: what it sent may still arrive.
func (i *intent) release(cause error) error {
	i.record.Released, i.done = !errors.Is(cause, errNoAnswer), true
	if err := i.write("intent release"); err != nil {
		return err
	}
	return i.unlock()
}

// leave ends the intent after a sweep that failed with err: an image that is not
// ours needs none, remains that could not be removed do.
func (i *intent) leave(err error) error {
	if errors.Is(err, errNotOurs) {
		return i.finish()
	}
	return i.release(err)
}

func (i *intent) unlock() error {
	return run(i.s, "rados_unlock", func() error {
		_, err := i.ioctx.Unlock(i.oid, lockName, i.record.Cookie)
		return err
	})
}

// keep renews the lease until the scope ends.
func (i *intent) keep() {
	i.stop, i.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(i.ended)
		tick := time.NewTicker(renewal)
		defer tick.Stop()
		for {
			select {
			case <-i.stop:
				return
			case <-tick.C:
				// A failure shows in the next write, which asserts the lock.
				_ = i.operate("intent renew", func(w *rados.WriteOp) {
					assertLocked(w, i.record.Cookie)
					addLock(w, i.record.Cookie, lease, true)
				})
			}
		}
	}()
	i.s.intents = append(i.s.intents, i)
	i.s.closers = append(i.s.closers, func() error {
		close(i.stop)
		<-i.ended
		atWork.Delete(i.record.Cookie)
		return nil
	})
}
