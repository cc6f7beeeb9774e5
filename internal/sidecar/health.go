package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// readyTime is how long /readyz waits for the cluster.
const readyTime = 2 * time.Second

// statusHandler is what the TCP listener serves: nothing that changes anything,
// and nothing that tells names.
func (s *Server) statusHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", s.ready)
	// What is served here is small: a client that takes it slowly is cut off.
	return http.TimeoutHandler(mux, 20*time.Second, "")
}

// ready answers 200 when the cluster does, and else 503 with the reason.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	err := s.probes.wait(ctx)
	select {
	case <-s.stopping:
		err = fault.New(fault.ErrUnavailable, "the sidecar is stopping")
	default:
	}
	if err == nil {
		_, _ = fmt.Fprintln(w, "ok")
		return
	}
	p := problemOf(err)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(http.StatusServiceUnavailable)
	p = p.with("")
	p.Status = http.StatusServiceUnavailable
	_ = json.NewEncoder(w).Encode(p)
}

// prober asks one question at a time, whoever wants to know: with a cluster that
// does not answer, each question holds one of the connection's calls for long.
type prober struct {
	ask func(context.Context) error

	mu      sync.Mutex
	running *probe
}

type probe struct {
	done chan struct{}
	err  error
}

// wait returns the answer of the present probe, or of a new one.
func (p *prober) wait(ctx context.Context) error {
	p.mu.Lock()
	now := p.running
	if now == nil {
		now = &probe{done: make(chan struct{})}
		p.running = now
		go p.run(context.WithoutCancel(ctx), now)
	}
	p.mu.Unlock()
	select {
	case <-now.done:
		return now.err
	case <-ctx.Done():
		return fault.Newf(fault.ErrUnavailable, "the cluster does not answer within %s", readyTime)
	}
}

func (p *prober) run(ctx context.Context, now *probe) {
	now.err = p.ask(ctx)
	p.mu.Lock()
	p.running = nil
	p.mu.Unlock()
	close(now.done)
}

// askCluster asks the pool's OSDs, and the monitors on the way: it looks for an
// image that nobody has, and whether its pool is there.
func (s *Server) askCluster(ctx context.Context) error {
	alone, cancel := s.detached(ctx)
	defer cancel()
	_, err := asked(alone, s, func(ctx context.Context, v cinder.Volumes) (struct{}, error) {
		var none struct{}
		if _, err := v.Images.List(ctx, v.Pool, probeNamespace); err != nil {
			return none, err
		}
		_, err := v.Cluster.MonCommand(ctx, []byte(`{"prefix":"mon dump","format":"json"}`))
		return none, err
	})
	if errors.Is(err, rbd.ErrNotFound) {
		return fault.Newf(fault.ErrNotFound, "%v", err)
	}
	return err
}

// probeNamespace holds no images, so to list them is one small read.
const probeNamespace = "rbdctl"
