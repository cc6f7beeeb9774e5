package rbd

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// PurgeOptions say what Purge may remove. Zero values: all that is due.
type PurgeOptions struct {
	IDs   []string // only these; empty: all
	Now   bool     // also before their time has come
	Limit int      // images at most; zero means all
}

// Purged is what a Purge came to.
type Purged struct {
	Removed []string // ids of images
	Waiting int      // images that have clones, are open, or whose time has not come
}

// Purge removes for good the images of a pool that Delete took away, once their
// time has come and nothing was cloned from them: clones first, then what they were
// cloned from. With the last clone of a snapshot it removes the snapshot, too, where
// that was taken for the clone ("*.clone_snap") or was deleted meanwhile.
//
// What somebody else moved to the trash is never touched. Any number of processes
// may purge the same pool at once, and each may be killed: the next one goes on.
// What one image fails with, a pool at its quota included, does not keep the others
// from being removed; an answer that the cluster does not give does.
//
// Similar To: rbd snap purge; rbd trash rm --force <pool>/<id>
func (m *Images) Purge(ctx context.Context, pool string, o PurgeOptions) (Purged, error) {
	marks, err := callRead(ctx, m.cluster, opPurge, pool, func(s *scope) ([]mark, error) { return s.marks(pool) })
	if err != nil {
		return Purged{}, err
	}
	p := purging{images: m, ctx: ctx, pool: pool, limit: o.Limit, left: map[string]mark{}}
	for _, m := range marks {
		p.left[m.key()] = m
		if o.allow(m, time.Now()) {
			p.queue = append(p.queue, m)
		}
	}
	if len(p.queue) > 0 {
		total := len(p.queue)
		if p.limit > 0 {
			total = min(total, p.limit)
		}
		var end func()
		p.ctx, p.listing, end = m.list(ctx, pool, total)
		defer end()
	}
	err = p.run()
	return Purged{Removed: p.removed, Waiting: len(p.left)}, err
}

// allow tells whether an image may be removed now.
func (o PurgeOptions) allow(m mark, now time.Time) bool {
	if len(o.IDs) > 0 && !slices.Contains(o.IDs, m.ID) && !slices.Contains(o.IDs, m.key()) {
		return false
	}
	return o.Now || !now.Before(m.Until)
}

// purging is one Purge under way.
type purging struct {
	images  *Images
	ctx     context.Context
	pool    string
	limit   int
	listing *listing // nil: nobody is told
	queue   []mark
	tried   []mark          // wait for their clones
	left    map[string]mark // by key
	removed []string
}

func (p *purging) run() error {
	var errs []error
	for len(p.queue) > 0 && (p.limit == 0 || len(p.removed) < p.limit) {
		m := p.queue[0]
		p.queue = p.queue[1:]
		err := p.one(m)
		var held *heldError
		switch {
		case errors.Is(err, errWaiting), errors.As(err, &held):
			p.tried = append(p.tried, m)
		case err != nil:
			errs = append(errs, err)
		}
		if p.ends(err) {
			return errors.Join(errs...)
		}
	}
	return errors.Join(append(errs, p.sweepNotes())...)
}

// ends tells whether the others would fail with err, too. One that needs space, as what
// somebody had begun to bring back does, waits for the others to make it.
func (p *purging) ends(err error) bool {
	if p.ctx.Err() != nil || errors.Is(err, errShutOut) || errors.Is(err, errNoAnswer) || errors.Is(err, ErrOutcomeUnknown) {
		return true
	}
	return errors.Is(err, ErrUnavailable) && !isErrno(err, syscall.EDQUOT, syscall.ENOSPC)
}

// one removes one image, and looks after what it was cloned from.
func (p *purging) one(m mark) error {
	became, err := tryChange(p.ctx, p.images, deed{Op: opPurge}, m.entry(p.pool), func(s *scope, ioctx *ioContext) (fate, error) {
		return s.purge(p.ctx, ioctx, p.pool, &m)
	})
	if err != nil || became == stays {
		return err
	}
	if became == removed {
		p.removed = append(p.removed, m.ID)
		if p.listing != nil {
			p.listing.done.Add(1)
		}
	}
	if m.Parent != nil { // before the mark is forgotten: nothing else need lead to that snapshot
		p.again(m.Parent)
		n := note{Namespace: m.Parent.Namespace, ImageID: m.Parent.ImageID, snapID: m.Parent.SnapID, child: m.Name}
		if err := p.tryDrop(m.Parent.Pool, n); err != nil {
			return err
		}
	}
	delete(p.left, m.key())
	return p.images.forget(p.ctx, p.pool, trashRegister, m.key(), m)
}

// again puts what waited for its last clone back in front.
func (p *purging) again(parent *lineage) {
	for i, m := range p.tried {
		if m.ID == parent.ImageID && m.Namespace == parent.Namespace && parent.Pool == p.pool {
			p.tried = slices.Delete(p.tried, i, i+1)
			p.queue = slices.Insert(p.queue, 0, m)
			return
		}
	}
}

// forget drops an entry of a register whose intent is finished.
func (m *Images) forget(ctx context.Context, pool, oid, key string, value any) error {
	return m.do(ctx, "forget", pool+"/"+key, func(s *scope) error {
		r, err := s.register(pool, oid)
		if err != nil {
			return err
		}
		return r.dropSame(key, value)
	})
}
