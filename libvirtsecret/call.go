package libvirtsecret

import (
	"context"
	"errors"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"rbdctl/internal/fault"
)

// Bounds of the calls of one Store. A call has callLimit even when its context
// has no end: libvirt itself waits for ever for a daemon that has stopped.
const (
	callLimit  = 30 * time.Second
	closeLimit = 5 * time.Second
	maxCalls   = 8
)

// calls bounds the native calls in flight. A call that was let go counts until
// libvirt returns from it.
type calls struct {
	slots   chan struct{}
	mu      sync.Mutex // orders running.Add against closed
	closed  bool
	running sync.WaitGroup
}

func newCalls() *calls { return &calls{slots: make(chan struct{}, maxCalls)} }

// admit waits for a slot. When it fails nothing was started.
func (c *calls) admit(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case c.slots <- struct{}{}:
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.closed {
				<-c.slots
				return fault.New(ErrUnavailable, "the connection is closed")
			}
			c.running.Add(1)
			return nil
		case <-ctx.Done():
		}
	}
	return ended(ctx, ErrUnavailable)
}

func (c *calls) release() {
	<-c.slots
	c.running.Done()
}

// shut refuses further calls, and tells whether this is the first time.
func (c *calls) shut() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = !c.closed
	c.closed = true
	return first
}

// do runs fn, which cannot be interrupted, and waits for it or for ctx. When ctx
// ends first the caller gets ErrOutcomeUnknown at once; fn goes on with its slot,
// and a value that it still produces goes to discard. fn must own what it uses.
func do[T any](ctx context.Context, c *calls, fn func() (T, error), discard func(T)) (T, error) {
	var zero T
	if err := c.admit(ctx); err != nil {
		return zero, err
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result) // unbuffered: a value is either received or discarded
	go func() {
		defer c.release()
		value, err := fn()
		select {
		case done <- result{value, err}:
		case <-ctx.Done():
			if err == nil && discard != nil {
				discard(value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return zero, ended(ctx, ErrOutcomeUnknown)
	}
}

// bounded gives ctx the limit of one call.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, callLimit, errors.New("libvirt did not answer within "+callLimit.String()))
}

// change runs fn, which changes something. fn asks ctx between its native calls,
// so that no change is begun after the caller has gone. The error is a
// *fault.Error; ErrOutcomeUnknown means that the change may have been made.
func change[T any](ctx context.Context, s *Store, op, subject string, fn func(context.Context, *libvirt.Connect) (T, error)) (T, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	value, err := do(ctx, s.calls, func() (T, error) { return fn(ctx, s.conn) }, nil)
	return value, wrap(op, subject+" at "+s.name, err)
}

// drop overwrites the key in a value that nobody waits for any more.
func drop[T any](value T) {
	if stored, ok := any(value).(storedKey); ok {
		wipe(stored.key)
	}
}

// look runs fn, which changes nothing: a call that was let go is ErrUnavailable,
// because there is no outcome to be unsure of.
func look[T any](ctx context.Context, s *Store, op, subject string, fn func(context.Context, *libvirt.Connect) (T, error)) (T, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	value, err := do(ctx, s.calls, func() (T, error) { return fn(ctx, s.conn) }, drop)
	if errors.Is(err, ErrOutcomeUnknown) {
		err = ended(ctx, ErrUnavailable)
	}
	return value, wrap(op, subject+" at "+s.name, err)
}
