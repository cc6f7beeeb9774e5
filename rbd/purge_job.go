package rbd

import (
	"context"
	"sync/atomic"
	"time"
)

// A purge is begun by any process, gone on with by any other, and needs no job for
// that. One that takes longer than a beat is listed as one while it runs, so that it
// can be watched and stopped; the next purge goes on where it was. Its entry goes with
// its end, and one that a dead process left goes a minute after that.

// silence is how long a purge that runs can go without telling how far it is.
const silence = time.Minute

// listing is a purge as the list of jobs shows it.
type listing struct {
	images *Images
	job    Job
	done   atomic.Int64 // images
	listed atomic.Bool
	ended  chan struct{}
}

// list lists a purge of this many images until end is called. The context that it
// returns ends when the purge is cancelled.
func (m *Images) list(ctx context.Context, pool string, images int) (inner context.Context, l *listing, end func()) {
	inner, stop := context.WithCancel(ctx)
	l = &listing{images: m, ended: make(chan struct{}), job: newJob(opPurge, m.cluster.Address(), ImageSpec{Pool: pool})}
	l.job.Subject, l.job.State, l.job.Total = pool, JobRunning, uint64(images)
	over := make(chan struct{})
	go func() {
		defer close(l.ended)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-inner.Done():
				return
			case <-tick.C:
				l.beat(inner, stop)
			}
		}
	}()
	return inner, l, func() {
		close(over)
		<-l.ended
		stop()
		l.unlist(context.WithoutCancel(ctx))
	}
}

// beat tells how far the purge is, and stops one that is to be cancelled. What fails
// is told by the next one.
func (l *listing) beat(ctx context.Context, stop func()) {
	_ = l.images.do(ctx, opPurge, l.job.Subject, func(s *scope) error {
		r, err := s.register(l.job.Subject, jobsRegister)
		if err != nil {
			return err
		}
		var wanted bool
		if there, err := r.get(wish(l.job.ID), &wanted); err == nil && there {
			stop()
		}
		l.listed.Store(true)
		j := l.job
		j.Done, j.Updated = uint64(l.done.Load()), time.Now().UTC().Truncate(time.Millisecond)
		return r.put(j.ID, j)
	})
}

// unlist takes the entry away.
func (l *listing) unlist(ctx context.Context) {
	if !l.listed.Load() {
		return
	}
	_ = l.images.dropJob(ctx, l.job) // WorkJobs drops it, else
}

// dropJob takes a job that holds no intent out of the register.
func (m *Images) dropJob(ctx context.Context, j Job) error {
	return m.do(ctx, "forget", j.Subject, func(s *scope) error {
		r, err := s.register(j.Subject, jobsRegister)
		if err != nil {
			return err
		}
		if err := r.drop(wish(j.ID)); err != nil {
			return err
		}
		return r.drop(j.ID)
	})
}

// silent tells whether the process of a purge has gone.
func (j Job) silent() bool { return j.Kind == opPurge && time.Since(j.Updated) > silence }
