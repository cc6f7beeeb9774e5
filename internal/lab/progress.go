package lab

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// oneAtATime is a writer for several goroutines.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// progress writes a line for each phase of Up that succeeds. Phases overlap.
type progress struct {
	w     io.Writer // for several goroutines
	begun time.Time
}

func newProgress(w io.Writer) *progress { return &progress{w: w, begun: time.Now()} }

// phase runs fn and tells how long it took, unless it failed.
func (p *progress) phase(name string, fn func() error) error {
	begun := time.Now()
	err := fn()
	if err == nil {
		p.line(name, time.Since(begun))
	}
	return err
}

func (p *progress) total() { p.line("lab up", time.Since(p.begun)) }

func (p *progress) line(name string, took time.Duration) {
	fmt.Fprintf(p.w, "%-12s %5.1f s\n", name, took.Seconds())
}
