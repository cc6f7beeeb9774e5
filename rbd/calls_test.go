package rbd

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errStop = errors.New("the caller has had enough")

// TestAbandonedCallKeepsItsSlot: the caller is told at once that the outcome is
// unknown, the call counts until it returns, and its value is not lost.
func TestAbandonedCallKeepsItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalls(1)
		ctx, cancel := context.WithCancelCause(t.Context())
		finish, discarded := make(chan struct{}), make(chan int, 1)
		time.AfterFunc(time.Second, func() { cancel(errStop) })
		_, err := do(ctx, c, func() (int, error) { <-finish; return 7, nil }, func(v int) { discarded <- v })
		if !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, errStop) {
			t.Errorf("abandoned call = %v, want outcome unknown because %v", err, errStop)
		}
		if n, since := c.abandoned(); n != 1 || since != 0 {
			t.Errorf("%d abandoned calls are counted, since %s, want 1, just now", n, since)
		}

		waiting, cancelWaiting := context.WithTimeout(t.Context(), time.Second)
		defer cancelWaiting()
		_, err = do(waiting, c, func() (int, error) { t.Error("ran without a slot"); return 0, nil }, nil)
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("call without a slot = %v, want unavailable: nothing was started", err)
		}

		if n, since := c.abandoned(); n != 1 || since != time.Second {
			t.Errorf("%d abandoned calls are counted, since %s, want 1, for a second", n, since)
		}
		close(finish)
		if v := <-discarded; v != 7 {
			t.Errorf("discarded %d, want 7", v)
		}
		c.running.Wait()
		if n, _ := c.abandoned(); n != 0 {
			t.Errorf("%d abandoned calls are counted after they returned", n)
		}
		if v, err := do(t.Context(), c, func() (int, error) { return 8, nil }, nil); v != 8 || err != nil {
			t.Errorf("the slot did not come back: %d, %v", v, err)
		}
	})
}

// TestLenientContextEndsLater: work that watches its context gets time to undo.
func TestLenientContextEndsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		late, stop := lenient(ctx, time.Minute)
		defer stop()
		begin := time.Now()
		cancel(errStop)
		<-late.Done()
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("ended after %s, want a minute", took)
		}
		if err := context.Cause(late); !errors.Is(err, errStop) {
			t.Errorf("cause = %v, want %v", err, errStop)
		}
	})
}

func TestBareAddress(t *testing.T) {
	for _, tt := range []struct{ from, want string }{
		{"127.0.0.1:0/42", "127.0.0.1:0/42"},
		{"v1:127.0.0.1:0/42", "127.0.0.1:0/42"},
		{"v2:10.1.2.3:0/7", "10.1.2.3:0/7"},
		{"[v2:10.1.2.3:0/7,v1:10.1.2.3:0/7]", "10.1.2.3:0/7"},
		{"[2001:db8::1]:0/9", "[2001:db8::1]:0/9"},
		{"v2:[2001:db8::1]:0/9", "[2001:db8::1]:0/9"},
		{"[v2:[2001:db8::1]:0/9,v1:[2001:db8::1]:0/9]", "[2001:db8::1]:0/9"},
	} {
		if got := bareAddress(tt.from); got != tt.want {
			t.Errorf("bareAddress(%q) = %q, want %q", tt.from, got, tt.want)
		}
	}
}
