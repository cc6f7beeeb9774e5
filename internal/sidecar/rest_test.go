package sidecar

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAtRest: what is to be done at rest is done once after the start and each time of work,
// and never during it.
func TestAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rested atomic.Int64
		s := &Server{rest: func() { rested.Add(1) }}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.atRest(ctx, time.Second)
		rests := func(want int64, when string) {
			t.Helper()
			if got := rested.Swap(0); got != want {
				t.Errorf("%s: %d times, want %d", when, got, want)
			}
		}
		time.Sleep(10*time.Second + time.Millisecond)
		rests(1, "after the start")
		s.traffic.begin()
		time.Sleep(10 * time.Second)
		rests(0, "during a request")
		s.traffic.end()
		time.Sleep(10 * time.Second)
		rests(1, "after it")
		for range 10 {
			s.traffic.begin()
			s.traffic.end()
			time.Sleep(time.Second)
		}
		rests(0, "while one comes each second")
		time.Sleep(10 * time.Second)
		rests(1, "after the last")
	})
}
