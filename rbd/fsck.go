package rbd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Finding is one thing in a pool that should not be there, or not as it is.
type Finding struct {
	Pool       string
	Object     string // the RADOS object, or the spec of an image or snapshot
	Class      string // one of the classes below
	Image      string // the image that it belongs to, or belonged to; may be empty
	Detail     string
	Repairable bool // it is ours, and repair takes it away
}

// The classes of findings.
const (
	ClassOrphanData   = "orphan-data"       // data of an image that is not there
	ClassOrphanHeader = "orphan-header"     // header of an image that has no name, and is not in the trash
	ClassOrphanMap    = "orphan-object-map" // object map of an image that is not there
	ClassHalfMade     = "half-made"         // a name without an image, or an image without its parts
	ClassHalfRemoved  = "half-removed"      // an entry of the trash without an image
	ClassDoubleName   = "double-name"       // an image with two names
	ClassLostParent   = "lost-parent"       // a clone whose parent is not there
	ClassOrphanIntent = "orphan-intent"     // an operation whose owner is gone
	ClassStaleMark    = "stale-mark"        // a note of a deleted image that is not in the trash
	ClassStaleNote    = "stale-note"        // a note of a snapshot that is not there
	ClassOrphanSnap   = "orphan-clone-snap" // a snapshot that was taken for a clone which is gone
	ClassHalfSnap     = "half-removed-snap" // a snapshot whose removal was cut short
	ClassUnknown      = "unknown-object"    // nothing that RBD or we put there
)

// settling is how long Fsck waits before it looks again: images come and go while
// it looks, and what it finds once may be one of them.
const settling = 2 * time.Second

// Fsck attributes every object in the pools to an image, an entry of the trash, an
// operation that is under way or RBD's own records, and returns the rest, sorted;
// nothing when all is well. Images of other pools whose data is in these count. What
// is found is looked at twice, so that what is just being made or removed is left
// out.
//
// Without repair it changes nothing. With it, the findings that are repairable are
// taken away, and returned like the others: call it again to see what is left. Only
// what our own journal accounts for is repairable.
//
// It reads the names of all objects in the pools, and opens each image: time grows
// with both.
func (m *Images) Fsck(ctx context.Context, pools []string, repair bool) ([]Finding, error) {
	var all []Finding
	for _, pool := range pools {
		found, err := m.fsck(ctx, pool)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			select {
			case <-ctx.Done():
				return nil, wrap("fsck", pool, stopped(ctx))
			case <-time.After(settling):
			}
			again, err := m.fsck(ctx, pool)
			if err != nil {
				return nil, err
			}
			found = slices.DeleteFunc(again, func(f Finding) bool { return !slices.ContainsFunc(found, f.same) })
		}
		all = append(all, found...)
	}
	if !repair {
		return all, nil
	}
	return all, m.repair(ctx, all)
}

// same tells whether two looks found the same.
func (f Finding) same(g Finding) bool {
	return f.Pool == g.Pool && f.Object == g.Object && f.Class == g.Class
}

// fsck looks at one pool once: at its objects, and then at each image in a call of
// its own, which holds no handles for longer.
func (m *Images) fsck(ctx context.Context, pool string) ([]Finding, error) {
	j, err := callPolite(ctx, m.cluster, "fsck", pool, func(s *scope) (*judging, error) {
		seen, err := s.survey(ctx, pool)
		if err != nil {
			return nil, err
		}
		j := &judging{s: s, v: seen}
		return j, j.judge()
	})
	if err != nil {
		return nil, err
	}
	for _, l := range j.images {
		found, err := callRead(ctx, m.cluster, "fsck", l.String(), func(s *scope) ([]Finding, error) { return s.judgeImage(l, j.notes) })
		if errors.Is(err, ErrNotFound) {
			continue // a snapshot went while we looked
		}
		if err != nil {
			return nil, err
		}
		j.found = append(j.found, found...)
	}
	slices.SortFunc(j.found, func(a, b Finding) int {
		return strings.Compare(a.Class+"\x00"+a.Object, b.Class+"\x00"+b.Object)
	})
	return j.found, nil
}

// repair ends what our journal says was begun, and drops its records of what is no
// more. It goes on after a failure, and returns them all.
func (m *Images) repair(ctx context.Context, found []Finding) error {
	var errs []error
	for _, f := range found {
		if f.Class != ClassOrphanIntent {
			continue
		}
		spec, ok := intentSubject(f.Pool, f.Object)
		if !ok {
			continue
		}
		errs = append(errs, m.settleOne(ctx, spec))
	}
	for _, pool := range poolsOf(found) {
		p := purging{images: m, ctx: ctx, pool: pool, left: map[string]mark{}}
		errs = append(errs, p.dropStale(found), p.sweepNotes())
	}
	return errors.Join(errs...)
}

// poolsOf are the pools where a mark, a note or a snapshot is to be repaired.
func poolsOf(found []Finding) []string {
	var pools []string
	for _, f := range found {
		if f.Repairable && f.Class != ClassOrphanIntent && !slices.Contains(pools, f.Pool) {
			pools = append(pools, f.Pool)
		}
	}
	return pools
}

// dropStale drops the marks of images that are not in the trash, and finishes the
// removal of those that were half removed.
func (p *purging) dropStale(found []Finding) error {
	marks, err := callRead(p.ctx, p.images.cluster, "fsck", p.pool, func(s *scope) ([]mark, error) { return s.marks(p.pool) })
	if err != nil {
		return err
	}
	trash, err := p.images.TrashList(p.ctx, p.pool, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range marks {
		waits := slices.ContainsFunc(trash, func(e TrashEntry) bool { return e.ID == m.ID && time.Now().Before(e.Expires) })
		if waits {
			continue // it was deleted since, and may be restored for a time
		}
		if slices.ContainsFunc(found, func(f Finding) bool {
			return f.Pool == p.pool && f.Repairable && f.Object == m.entry(p.pool).String()
		}) {
			if err := p.one(m); !errors.Is(err, errWaiting) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// intentSubject is the image that the intent object is about.
func intentSubject(pool, oid string) (ImageSpec, bool) {
	name, ok := strings.CutPrefix(oid, intentPrefix)
	spec := ImageSpec{Pool: pool, Image: name}
	if namespace, image, inside := strings.Cut(name, "/"); inside {
		spec.Namespace, spec.Image = namespace, image
	}
	return spec, ok && spec.validate() == nil
}
