package sidecar

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"rbdctl/backends/glance"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// startChores begins what goes on in the background until ctx ends; ended is told why
// the server has to end.
func (s *Server) startChores(ctx context.Context, chores *group, ended chan<- error) {
	chores.run(func() { s.watchCalls(ctx, ended) })
	chores.run(func() { s.link.keepTrying(ctx) })
	chores.run(func() { s.notify.watchdog(ctx) })
	chores.run(func() { s.every(ctx, s.cfg.PurgeInterval, s.deleted, s.purgeTrash) })
	chores.run(func() { s.looking(ctx, settleRest, s.settle) })
	if s.cfg.Shared {
		chores.run(func() { s.looking(ctx, surveyRest, s.survey) })
	}
	chores.run(func() { s.every(ctx, jobLookTime, nil, s.countJobs) })
	chores.run(func() { s.workJobs(ctx) })
	if s.rest != nil {
		chores.run(func() { s.atRest(ctx, restTime) })
	}
}

// settling is how long a chore waits for more of the events that bring it on.
const settling = 250 * time.Millisecond

// every runs chore again and again, with a pause of about interval: sidecars that
// started together do not stay in step. An event brings it on at once.
func (s *Server) every(ctx context.Context, interval time.Duration, events <-chan struct{}, chore func(context.Context, *backend)) {
	for {
		pause := time.After(about(interval))
		select {
		case <-pause:
		case <-events:
			select {
			case <-time.After(settling):
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
		b, err := s.link.take()
		if b == nil || err != nil {
			continue // requests and keepTrying see to the connection
		}
		chore(ctx, b)
		s.link.release(b)
	}
}

// about is a time from 3/4 to 5/4 of d.
func about(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + 0.5*rand.Float64()))
}

// looking looks at the whole pool, at the start and then about once in a purge interval.
// After each look there is none for rest times as long as it took.
func (s *Server) looking(ctx context.Context, rest time.Duration, look func(context.Context, *backend) time.Duration) {
	for ctx.Err() == nil {
		changed := s.link.change()
		b, _ := s.link.take()
		if b == nil { // not connected yet
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		took := look(ctx, b)
		s.link.release(b)
		select {
		case <-time.After(about(max(s.cfg.PurgeInterval, rest*took))):
		case <-ctx.Done():
		}
	}
}

// surveyRest is for surveys, which open every image.
const surveyRest = 4

// survey adds up the sizes of all images of the pool, for the statistics, and returns how
// long that took. While it fails, they have the sum of the one before.
func (s *Server) survey(ctx context.Context, b *backend) time.Duration {
	start := time.Now()
	ctx, cancel := until(ctx, s.link.change()) // it must not keep a connection that is retired
	defer cancel()
	sum, err := b.Provisioned(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.log.Warn("adding up the sizes of images: the sum before stays", "error", oneLine(err))
	default:
		s.provisioned.Store(sum.Size)
	}
	if err == nil && sum.Unreadable > 0 {
		s.log.Warn("images that can't be read are left out of the statistics", "images", sum.Unreadable, "one", oneLine(sum.Why))
	}
	return time.Since(start)
}

// settleRest is for looks at the journal, which read the names of all objects in the
// pool.
const settleRest = 50

// settle ends what sidecars began that are gone, and returns how long it looked for it.
func (s *Server) settle(ctx context.Context, b *backend) time.Duration {
	settled, err := b.Images.Settle(ctx, b.Pool)
	if ctx.Err() != nil {
		return 0
	}
	s.metrics.settles.WithLabelValues(outcome(err)).Inc()
	s.metrics.settled.Add(float64(len(settled.Ended)))
	switch {
	case errors.Is(err, fault.ErrUnavailable):
		s.log.Info("unfinished operations put off", "error", oneLine(err))
	case err != nil:
		s.log.Warn("unfinished operations", "error", oneLine(err))
	}
	if err == nil {
		s.metrics.unfinished.Set(float64(settled.Left))
	}
	if len(settled.Ended) > 0 {
		s.log.Info("ended what others had begun", "images", settled.Ended)
	}
	return settled.Looked
}

// purgeTrash removes some of what nothing needs any more. As it is done by every
// sidecar, in small portions, it needs no owner.
func (s *Server) purgeTrash(ctx context.Context, b *backend) {
	purged, err := b.Images.Purge(ctx, b.Pool, rbd.PurgeOptions{Limit: s.cfg.PurgeLimit})
	if ctx.Err() != nil {
		return
	}
	s.metrics.purges.WithLabelValues(outcome(err)).Inc()
	s.metrics.purged.Add(float64(len(purged.Removed)))
	switch {
	case errors.Is(err, fault.ErrUnavailable):
		s.log.Info("purge put off", "error", oneLine(err))
	case err != nil:
		s.log.Warn("purge", "error", oneLine(err))
	default:
		s.metrics.waiting.Set(float64(purged.Waiting))
	}
	if len(purged.Removed) > 0 {
		s.log.Info("purged", "images", purged.Removed, "waiting", purged.Waiting)
	}
}

// jobLookTime is between two counts of jobs.
const jobLookTime = 15 * time.Second

func (s *Server) countJobs(ctx context.Context, b *backend) {
	jobs, err := b.Images.Jobs(ctx, b.Pool)
	if err == nil {
		s.metrics.counted(jobs)
	}
}

// workJobs does jobs, on whichever connection there is.
func (s *Server) workJobs(ctx context.Context) {
	const pause = 5 * time.Second
	for ctx.Err() == nil {
		changed := s.link.change()
		if b, _ := s.link.take(); b != nil {
			s.workOn(ctx, b, changed)
			s.link.release(b)
		}
		select {
		case <-time.After(pause):
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// workOn does jobs on one connection until there is another one.
func (s *Server) workOn(ctx context.Context, b *backend, changed <-chan struct{}) {
	ctx, cancel := until(ctx, changed)
	defer cancel()
	if err := b.Images.WorkJobs(ctx, b.Pool, rbd.WorkOptions{Parallel: s.cfg.Jobs, Open: glance.OpenDisk}); err != nil && ctx.Err() == nil {
		s.log.Warn("working on jobs", "error", oneLine(err))
	}
}

// until is ctx, which ends also when the channel is closed.
func until(ctx context.Context, closed <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
