package rbd

import "errors"

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

// fenceRetired fences for good, through s, the connections that were given up and have
// ended. They send nothing more, but an OSD can count one as watching an image for ever
// (see dropWatches), which makes that image be in use when the connection was not
// blocklisted, or that is over.
//
// It has no say in how the call ends: whoever takes an operation over fences the one
// who was at it before, and fails if that fails.
func (c *Cluster) fenceRetired(s *scope) {
	for _, ses := range c.takeRetired() {
		err := s.fence(ses.address, true)
		if err == nil {
			continue
		}
		c.log.Warn("a connection that was given up could not be fenced", "address", ses.address, "error", err)
		if kind := kindOf(err); !errors.Is(kind, ErrDenied) && !errors.Is(kind, ErrInvalid) {
			c.mu.Lock()
			c.retired = append(c.retired, ses) // by the next call
			c.mu.Unlock()
		}
	}
}

// takeRetired takes those out of the list that have ended.
func (c *Cluster) takeRetired() []*session {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ready, rest []*session
	for _, ses := range c.retired {
		if ses.users.Load() == 0 {
			ready = append(ready, ses)
		} else {
			rest = append(rest, ses)
		}
	}
	c.retired = rest
	return ready
}
