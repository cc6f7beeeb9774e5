package sidecar

import (
	"context"
	"sync"
)

// group counts what goes on. Unlike a sync.WaitGroup it may be added to while
// somebody waits for it, and a wait has an end.
type group struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0 again
}

func (g *group) add() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n == 0 {
		g.idle = make(chan struct{})
	}
	g.n++
}

func (g *group) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 {
		close(g.idle)
	}
}

// run runs fn as a part of the group.
func (g *group) run(fn func()) {
	g.add()
	go func() {
		defer g.done()
		fn()
	}()
}

// wait waits until nothing goes on, or ctx ends; it tells which.
func (g *group) wait(ctx context.Context) bool {
	g.mu.Lock()
	n, idle := g.n, g.idle
	g.mu.Unlock()
	if n == 0 {
		return true
	}
	select {
	case <-idle:
		return true
	case <-ctx.Done():
		return false
	}
}
