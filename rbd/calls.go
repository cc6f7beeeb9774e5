package rbd

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// calls bounds the native calls in flight. An abandoned call counts until the
// library returns from it.
type calls struct {
	slots   chan struct{}
	running sync.WaitGroup
	mu      sync.Mutex
	begun   map[*flight]struct{}
}

// flight is a call that has not returned.
type flight struct{ letGo time.Time } // zero while its caller waits

func newCalls(limit int) *calls {
	return &calls{slots: make(chan struct{}, limit), begun: map[*flight]struct{}{}}
}

func (c *calls) begin() *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &flight{}
	c.begun[f] = struct{}{}
	return f
}

func (c *calls) end(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.begun, f)
}

func (c *calls) abandon(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.letGo = time.Now()
}

// abandoned counts the calls that their callers have let go, and tells for how long
// the oldest of them has not returned since.
func (c *calls) abandoned() (n int, oldest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.begun {
		if !f.letGo.IsZero() {
			n++
			oldest = max(oldest, time.Since(f.letGo))
		}
	}
	return n, oldest
}

// admit waits for a slot. When ctx ends first nothing was started.
func (c *calls) admit(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case c.slots <- struct{}{}:
			c.running.Add(1)
			return nil
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("%w: not started: %w", ErrUnavailable, context.Cause(ctx))
}

func (c *calls) release() {
	<-c.slots
	c.running.Done()
}

// do runs fn, which cannot be interrupted, and waits for it or for ctx.
//
// When ctx ends first the caller gets an error of kind ErrOutcomeUnknown at
// once. fn goes on: it keeps its slot, so abandoned calls count against the
// limit, and a value that it still produces goes to discard. fn must own every
// handle and lock that it uses, and must not write to variables of the caller's.
func do[T any](ctx context.Context, c *calls, fn func() (T, error), discard func(T)) (T, error) {
	if err := c.admit(ctx); err != nil {
		var zero T
		return zero, err
	}
	return doAdmitted(ctx, c, fn, discard)
}

// doAdmitted is do for a caller that has its slot.
func doAdmitted[T any](ctx context.Context, c *calls, fn func() (T, error), discard func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	// Unbuffered on purpose: a value is either received or discarded, never both
	// and never neither.
	done := make(chan result)
	f := c.begin()
	go func() {
		defer c.release()
		v, err := fn()
		c.end(f)
		select {
		case done <- result{v, err}:
		case <-ctx.Done():
			if err == nil && discard != nil {
				discard(v)
			}
		}
	}()

	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		c.abandon(f)
		var zero T
		return zero, fmt.Errorf("%w: %w", ErrOutcomeUnknown, context.Cause(ctx))
	}
}

// lenient returns a context that ends d after ctx has ended. Work that watches
// ctx itself runs under it, so that it can undo what it began and tell how it
// ended instead of being let go.
func lenient(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var timer *time.Timer
	var mu sync.Mutex
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		timer = time.AfterFunc(d, func() { cancel(context.Cause(ctx)) })
	})
	return late, func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
		cancel(context.Canceled)
	}
}
