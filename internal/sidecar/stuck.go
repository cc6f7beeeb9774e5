package sidecar

import (
	"context"
	"time"

	"rbdctl/internal/fault"
)

// watchCalls ends the server when a call of librbd never returns. Such a call holds its
// slot and its lease for good, and has mostly been followed by others: the process would
// answer less and less. One that is started anew takes over what this one had begun, as
// from any other that has died.
func (s *Server) watchCalls(ctx context.Context, ended chan<- error) {
	tick := time.NewTicker(s.cfg.StuckTime / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if stuck := s.link.stuck(); stuck > s.cfg.StuckTime {
			err := fault.Newf(fault.ErrUnavailable, "a call of librbd has not returned %s after it was given up: the process ends, and is to be started anew", stuck.Round(time.Second))
			s.log.Error("stuck", "error", err)
			ended <- err
			return
		}
	}
}
