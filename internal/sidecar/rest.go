package sidecar

import (
	"context"
	"sync/atomic"
	"time"
)

// restTime is how long there has been nothing to do when a server has come to rest.
const restTime = 5 * time.Second

// traffic counts requests.
type traffic struct{ begun, running atomic.Int64 }

func (t *traffic) begin() {
	t.running.Add(1)
	t.begun.Add(1)
}

func (t *traffic) end() { t.running.Add(-1) }

// atRest calls what is to be done when no request has come for a while, once after the start
// and after each time that some had, until ctx ends.
func (s *Server) atRest(ctx context.Context, restTime time.Duration) {
	tick := time.NewTicker(restTime)
	defer tick.Stop()
	var seen int64
	worked := true
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		begun := s.traffic.begun.Load()
		switch {
		case begun != seen || s.traffic.running.Load() > 0:
			seen, worked = begun, true
		case worked:
			worked = false
			s.rest()
		}
	}
}
