package rbd

import "time"

// Attempt is one native call as its caller saw it.
type Attempt struct {
	Op   string        // in the words of the Ceph tools, as in errors: "snap create"
	Took time.Duration // the wait for a slot included
	Err  error         // nil; or what the caller got, ErrOutcomeUnknown for a call that was let go
}

// WithObserver calls see after each native call, from the goroutine that made it.
// It must be quick, and safe for concurrent use.
func WithObserver(see func(Attempt)) Option { return func(c *Cluster) { c.see = see } }

// observed tells the observer of a call that began at start, and returns its
// error as it was.
func (c *Cluster) observed(op string, start time.Time, err error) error {
	if c.see != nil {
		c.see(Attempt{Op: op, Took: time.Since(start), Err: err})
	}
	return err
}

// Calls counts the native calls in flight, and among them those that their
// callers have let go.
func (c *Cluster) Calls() (inFlight, abandoned int) {
	n, _ := c.calls.abandoned()
	return len(c.calls.slots), n
}

// Stuck is how long ago the oldest of the calls was let go that have not returned;
// zero when there is none. Each wait in a call is bounded by the OpTimeout: one that is
// stuck for many of these will not return.
func (c *Cluster) Stuck() time.Duration {
	_, oldest := c.calls.abandoned()
	return oldest
}
