package rbd

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
)

// Settled is what a Settle came to.
type Settled struct {
	Ended []string // images whose operations it brought to an end
	Left  int      // operations that are under way, or may yet be gone on with

	Looked time.Duration // that it took to find them; zero when it failed
}

// given is how long an owner of which nothing is known may give no sign of life
// before Settle takes it for dead. It is much longer than a lease: after an outage all
// leases have run out, and owners that live settle what is their own, before others
// fence them for it.
const given = 8 * lease

// Settle brings to an end the operations in a pool whose owners are gone and that
// nobody has come back to, as whoever came next at the image would: what made an
// image is undone unless it is complete; what takes away, renames or reverts is
// carried out. Operations under way are left, and so is what the entity may not
// touch.
//
// What one operation fails with does not keep the others from being settled; an
// answer that the cluster does not give does. Any number of processes may settle
// the same pool at once. The OSDs read the names of all objects in the pool: time
// grows with them.
func (m *Images) Settle(ctx context.Context, pool string) (Settled, error) {
	begin := time.Now()
	found, err := callPolite(ctx, m.cluster, "settle", pool, func(s *scope) (orphans, error) { return s.orphans(ctx, pool) })
	done := Settled{Left: found.left}
	if errors.Is(err, ErrDenied) {
		return done, nil
	}
	if err != nil {
		return done, changedNothing(err)
	}
	done.Looked = time.Since(begin)
	// One that always fails must not keep the same others waiting for ever.
	subjects := found.subjects
	rand.Shuffle(len(subjects), func(i, j int) { subjects[i], subjects[j] = subjects[j], subjects[i] })
	var errs []error
	for _, spec := range subjects {
		err := m.settleOne(ctx, spec)
		var held *heldError
		switch {
		case err == nil:
			done.Ended = append(done.Ended, spec.String())
		case errors.As(err, &held), errors.Is(err, ErrDenied):
			done.Left++
		default:
			done.Left++
			errs = append(errs, err)
		}
		if ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) {
			break
		}
	}
	return done, errors.Join(errs...)
}

// settleOne ends what a dead owner began on spec. A *heldError says that somebody
// is at it by now.
func (m *Images) settleOne(ctx context.Context, spec ImageSpec) error {
	_, err := tryChange(ctx, m, deed{Op: opCheck}, spec, func(*scope, *ioContext) (struct{}, error) { return struct{}{}, nil })
	return err
}

// SettleImage brings to its end what a dead process had begun with an image, and waits
// for what others are at. Nothing begun is success, and so is an image that is gone.
func (m *Images) SettleImage(ctx context.Context, spec ImageSpec) error {
	_, err := change(ctx, m, deed{Op: opCheck}, spec, func(*scope, *ioContext) (struct{}, error) { return struct{}{}, nil })
	return err
}

// orphans are the subjects of a pool's intents whose owners are gone.
type orphans struct {
	subjects []ImageSpec
	left     int // how many other intents there are
}

// orphans looks at all intents of a pool.
func (s *scope) orphans(ctx context.Context, pool string) (orphans, error) {
	var found orphans
	ioctx, err := s.pool(pool, intentNamespace)
	if err != nil {
		return found, err
	}
	oids, err := s.journalObjects(ctx, ioctx)
	if err != nil {
		return found, err
	}
	for _, oid := range oids {
		if isRegister(oid) { // who took its last entry may have been killed before its end
			if err := (register{s, ioctx, oid}).removeEmpty(); err != nil {
				return found, err
			}
		}
		spec, ok := intentSubject(pool, oid)
		if !ok {
			continue
		}
		i := intent{s: s, ioctx: ioctx, oid: oid, spec: spec}
		orphan, err := i.orphan()
		switch {
		case isErrno(err, syscall.ENOENT):
			// finished meanwhile
		case err != nil && errno(err) == 0:
			// none of ours: Fsck tells
		case err != nil:
			return found, err
		case orphan:
			found.subjects = append(found.subjects, spec)
		default:
			found.left++
		}
	}
	return found, nil
}

// journalObjects lists the objects of the pool's intents and registers.
func (s *scope) journalObjects(ctx context.Context, ioctx *ioContext) ([]string, error) {
	return native(s, "rados_nobjects_list", func() ([]string, error) {
		iter, err := ioctx.Iter()
		if err != nil {
			return nil, err
		}
		defer iter.Close()
		var oids []string
		for iter.Next() {
			if ctx.Err() != nil {
				return nil, stopped(ctx)
			}
			if strings.HasPrefix(iter.Value(), intentPrefix) || isRegister(iter.Value()) {
				oids = append(oids, iter.Value())
			}
		}
		return oids, iter.Err()
	})
}

// orphan tells whether the intent's owner is gone, and may be taken for dead
// without anybody waiting for what it was at.
func (i *intent) orphan() (bool, error) {
	theirs, carried, err := i.carried()
	if err != nil || carried {
		return false, err
	}
	if theirs.ours() {
		return false, nil
	}
	if theirs.Released || theirs.gone() {
		return true, nil
	}
	last, err := native(i.s, "rados_stat", func() (rados.ObjectStat, error) { return i.ioctx.Stat(i.oid) })
	return time.Since(last.ModTime) > given, err // each renewal is a write
}

// carried tells whether an owner holds the intent that is not known to be gone.
func (i *intent) carried() (*record, bool, error) {
	theirs, err := i.read()
	if err != nil {
		return nil, false, err
	}
	gone := theirs.gone() // before the lock is seen, which it may be about to give up
	lockers, err := native(i.s, "rados_list_lockers", func() (*rados.LockInfo, error) {
		return i.ioctx.ListLockers(i.oid, lockName)
	})
	if err != nil {
		return nil, false, err
	}
	return theirs, lockers.NumLockers > 0 && !gone, nil
}
