package rbd

import (
	"errors"
	"time"
)

// retire makes the next call use a new connection instead of ses, which is given up:
// it was blocklisted, or answers no more.
func (c *Cluster) retire(ses *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == ses {
		c.log.Warn("connection was lost or blocklisted; the next call makes a new one", "address", ses.address)
		c.current, c.retired = nil, append(c.retired, ses)
		ses.release()
	}
}

// retryFence is how long a fence waits that could not be made.
const retryFence = 10 * time.Second

// fenceGivenUp fences, through s, the connections that were given up, and makes the
// fences anew that have ended too early.
//
// A connection that was given up and has ended sends nothing more, but an OSD can count
// it as watching an image for ever (see dropWatches), which makes that image be in use
// when the connection was not blocklisted, or that is over. One that was blocklisted
// must stay so while something hangs on it, too: what was begun there may be taken on
// here. One that only did not answer is let end first: what runs on it may be well.
//
// It has no say in how the call ends: whoever takes an operation over fences the one
// who was at it before, and fails if that fails.
func (c *Cluster) fenceGivenUp(s *scope) {
	c.mu.Lock()
	retired := c.retired
	c.retired = nil
	for _, ses := range retired {
		switch {
		case ses.shutOut.Load():
			c.fences.again(ses.address, fencedStalled, -time.Second)
		case ses.users.Load() == 0:
			c.fences.again(ses.address, fencedDead, -time.Second) // in an outage there are many
		default:
			c.retired = append(c.retired, ses)
		}
	}
	c.mu.Unlock()
	answered := true // one that is not answered is enough of waiting for this call
	for address, span := range c.fences.take() {
		if !answered {
			c.fences.again(address, span, retryFence)
			continue
		}
		_, err := s.blocklistFor(address, span)
		if err == nil {
			continue
		}
		c.log.Warn("a client could not be fenced", "address", address, "error", err)
		if kind := kindOf(err); !errors.Is(kind, ErrDenied) && !errors.Is(kind, ErrInvalid) {
			c.fences.again(address, span, retryFence)
			answered = false
		}
	}
}
