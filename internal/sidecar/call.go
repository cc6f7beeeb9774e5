package sidecar

import (
	"context"
	"errors"
	"time"

	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
)

// graceTime is what an operation has, after its context has ended, to undo what it
// began and to tell how it ended, before its request is answered without it.
const graceTime = 2 * time.Second

// onCluster runs fn on the volumes. Its errors are problems. When ctx and the
// grace are over the answer is that the outcome is not known; fn goes on, keeps
// its connection, and is waited for when the server stops.
func onCluster[T any](ctx context.Context, s *Server, fn func(context.Context, cinder.Volumes) (T, error)) (T, error) {
	var none T
	b, release, err := s.link.lease(ctx)
	if err != nil {
		return none, problemOf(err)
	}
	type result struct {
		value  T
		err    error
		broken any // what it panicked with
	}
	ended := make(chan result, 1)
	s.working.run(func() {
		defer release()
		var r result
		defer func() {
			r.broken = recover()
			ended <- r
		}()
		r.value, r.err = fn(ctx, b.Volumes)
	})

	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(graceTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(ctx))
		case <-late.Done():
		}
	})
	defer stop()
	select {
	case r := <-ended:
		if r.broken != nil {
			panic(r.broken)
		}
		if r.err != nil {
			return none, problemOf(timedOut(ctx, r.err))
		}
		return r.value, nil
	case <-late.Done():
		why := "the cluster did not answer in the time for a request"
		if s.hard.Err() != nil {
			why = "the sidecar was stopped"
		}
		return none, problemOf(fault.Newf(fault.ErrOutcomeUnknown, "%s: what was asked for may still happen; ask again", why))
	}
}

// timedOut gives an error its kind that has none but that of a context.
func timedOut(ctx context.Context, err error) error {
	if ctx.Err() != nil && kindWord(err) == "failed" &&
		(errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return fault.Newf(fault.ErrUnavailable, "no answer from the cluster in the time for a request: %v", err)
	}
	return err
}
