package rbd

import (
	"context"
	"errors"
	"sync"
	"time"
)

// WorkOptions say how jobs are worked on.
type WorkOptions struct {
	Parallel int    // jobs at a time; zero means 1
	Open     Opener // of the files of imports; nil: those are left to others
}

// lookOut is how often a process looks for jobs, and beat is how often it tells how
// far one has come and whether it is to be cancelled.
const (
	lookOut = 2 * time.Second
	beat    = time.Second
)

// WorkJobs works on the jobs of a pool until ctx ends: then it stops those that it
// is at, leaves them to others, and returns nil. Any number of processes may work on
// the same pool; a job whose process dies is gone on with by another one. While the
// cluster does not answer it waits.
func (m *Images) WorkJobs(ctx context.Context, pool string, o WorkOptions) error {
	w := working{images: m, pool: pool, opener: o.Open, slots: make(chan struct{}, max(1, o.Parallel)), busy: map[string]bool{}}
	defer w.all.Wait()
	tick := time.NewTicker(lookOut)
	defer tick.Stop()
	for {
		jobs, err := m.Jobs(ctx, pool)
		if errors.Is(err, ErrDenied) || errors.Is(err, ErrNotFound) {
			return err
		}
		for _, j := range jobs {
			w.see(ctx, j)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// working is one WorkJobs under way.
type working struct {
	images *Images
	pool   string
	opener Opener
	slots  chan struct{}
	all    sync.WaitGroup
	mu     sync.Mutex
	busy   map[string]bool // ids of the jobs that this process is at
}

// see begins a job if there is room, and drops one that ended long ago.
func (w *working) see(ctx context.Context, j Job) {
	if j.final() {
		if time.Since(j.Updated) > kept {
			w.drop(ctx, j)
		}
		return
	}
	if j.Kind == opPurge { // whoever lists it is at it
		if j.silent() {
			w.note(j, w.images.dropJob(ctx, j))
		}
		return
	}
	if !w.can(j) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy[j.ID] {
		return
	}
	select {
	case w.slots <- struct{}{}:
	default:
		return
	}
	w.busy[j.ID] = true
	w.all.Go(func() {
		w.run(ctx, j)
		<-w.slots
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.busy, j.ID)
	})
}

// drop takes a job out of the register, and before that its intent, if one was left.
// What fails is done the next time.
func (w *working) drop(ctx context.Context, j Job) {
	_, err := tryChange(ctx, w.images, deed{Op: opCheck}, jobEntry(w.pool, j.ID), func(*scope, *ioContext) (struct{}, error) {
		return struct{}{}, nil
	})
	if err == nil {
		err = w.images.forget(ctx, w.pool, jobsRegister, j.ID, j)
	}
	w.note(j, err)
}

// note logs what failed: nobody waits for it.
func (w *working) note(j Job, err error) {
	var held *heldError
	if err != nil && !errors.As(err, &held) && !errors.Is(err, ErrNotFound) {
		w.images.cluster.log.Warn("a job was left for later", "job", j.ID, "kind", j.Kind, "error", err)
	}
}

// can tells whether this process knows how to do a job.
func (w *working) can(j Job) bool {
	switch j.Kind {
	case opFlatten, opMigrate:
		return true
	case opImport:
		return w.opener != nil
	}
	return false // of a later version
}

// op is what is recorded at a job while somebody is at it.
func (j Job) op() string {
	if j.Kind == opImport { // at an image, that makes it
		return opImporter
	}
	return j.Kind
}

// run does one job, under its intent, and then looks after the snapshot that its
// image was a clone of.
func (w *working) run(ctx context.Context, j Job) {
	parent, err := tryChange(ctx, w.images, deed{Op: j.op()}, jobEntry(w.pool, j.ID), func(s *scope, _ *ioContext) (*Parent, error) {
		r, err := s.register(w.pool, jobsRegister)
		if err != nil {
			return nil, err
		}
		if j, err = r.job(j.ID); err != nil || j.final() {
			return nil, err
		}
		return s.work(ctx, &atJob{register: r, job: j, opener: w.opener})
	})
	switch j.Kind {
	case opMigrate:
		err = errors.Join(err, w.images.purgeCopies(ctx, j.Target))
	case opImport:
		err = errors.Join(err, w.images.purgeCopies(ctx, w.pool))
	}
	if err == nil && parent != nil && passing(parent.Snap) {
		p := purging{images: w.images, ctx: ctx, pool: w.pool}
		err = p.dropIfChildless(parent.Pool, note{Namespace: parent.Namespace, ImageID: parent.ImageID, snapID: parent.SnapID})
	}
	w.note(j, err)
}
