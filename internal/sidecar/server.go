package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"rbdctl/internal/fault"
)

// Server serves one pool of volumes. It serves once.
type Server struct {
	cfg     Config
	log     *slog.Logger
	link    *link
	metrics *metrics
	notify  notifier

	deleted  chan struct{}      // an event for each delete, unless one waits already
	stopping chan struct{}      // closed when no more requests are taken
	hard     context.Context    // ends when those that run have had their time
	cut      context.CancelFunc // ends hard
	working  group              // operations on the cluster, also those whose client has gone
	probes   prober
	traffic  traffic
	rest     func() // nil: there is nothing to be done at rest

	provisioned atomic.Uint64 // bytes, of the last complete survey of a shared pool
}

// New prepares a server; it opens nothing.
func New(cfg Config, opts ...Option) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: slog.New(slog.DiscardHandler), deleted: make(chan struct{}, 1), stopping: make(chan struct{})}
	for _, opt := range opts {
		opt(s)
	}
	s.hard, s.cut = context.WithCancel(context.Background())
	s.metrics = newMetrics(cfg.Version)
	s.link = newLink(s.dialer(), s.log)
	s.probes.ask = s.askCluster
	s.metrics.watch(s.link)
	return s, nil
}

// settleTime is how long a start waits for the cluster, before it goes on without.
const settleTime = 2 * time.Second

// Run listens, connects, tells systemd that it is ready, and serves until ctx
// ends. Then it takes no more requests, lets those that run come to their end
// within the drain time, and returns nil if they did.
//
// It starts without a cluster that does not answer. What does not go away by
// itself is an error: a ceph.conf or keyring that is not there, a socket that
// another process serves, a call of librbd that never returns.
func (s *Server) Run(ctx context.Context) error {
	at, err := listen(s.cfg)
	if err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		at.close()
		return errors.Join(err, s.link.close(ctx))
	}
	handler, err := s.apiHandler()
	if err != nil {
		at.close()
		return err
	}
	ended := make(chan error, 3)
	fronts := []*front{s.serve(at.api, handler, ended)}
	if at.status != nil {
		fronts = append(fronts, s.serve(at.status, s.statusHandler(), ended))
		s.log.Info("serving status", "address", at.status.Addr().String())
	}
	s.log.Info("serving", "socket", at.api.Addr().String(), "pool", s.cfg.Pool, "version", s.cfg.Version)

	background, stopBackground := context.WithCancel(s.hard)
	defer stopBackground()
	var chores group
	s.startChores(background, &chores, ended) //nolint:contextcheck // they end after what ctx asks to stop has begun to
	s.notify.ready()
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	stopBackground()
	return errors.Join(err, s.drain(fronts, &chores)) //nolint:contextcheck // ctx is over: the drain has a time of its own
}

// connect makes the first connection. Only what cannot be mended without a change
// is an error.
func (s *Server) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	_, release, err := s.link.lease(ctx)
	switch {
	case err == nil:
		release()
	case errors.Is(err, fault.ErrInvalid), errors.Is(err, fault.ErrNotFound):
		return err
	default:
		s.log.Warn("starting without the cluster", "error", oneLine(err))
	}
	return nil
}

// cutTime is how long what was cut off has to clear up after itself.
const cutTime = 5 * time.Second

// drain ends everything, in the order in which it depends on each other.
func (s *Server) drain(fronts []*front, chores *group) error {
	s.log.Info("stopping", "drain", s.cfg.DrainTimeout.String())
	s.notify.stopping()
	close(s.stopping)
	soft, cancelSoft := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancelSoft()

	api := fronts[0].Shutdown(soft)
	s.working.wait(soft)
	s.cut()
	late, cancelLate := context.WithTimeout(context.Background(), cutTime)
	defer cancelLate()
	if api != nil {
		s.log.Warn("cutting off the requests that still run")
		s.working.wait(late)
	}
	for _, f := range fronts {
		_ = f.Close()
	}
	chores.wait(late)
	err := s.link.close(late)
	if err != nil {
		s.log.Warn("stopped", "error", oneLine(err))
	} else {
		s.log.Info("stopped")
	}
	if api != nil {
		err = errors.Join(fault.New(fault.ErrOutcomeUnknown, "requests were cut off at the end of the drain time: another sidecar finishes what they began"), err)
	}
	return err
}

// Reload reads ceph.conf and the keyring again, and connects by them. What runs
// goes on with the connection that it has, which ends with its last call. When
// no connection can be made, the present one stays.
func (s *Server) Reload(ctx context.Context) error {
	s.log.Info("reloading")
	if err := s.link.redial(ctx); err != nil {
		if ctx.Err() != nil {
			return err // asked to stop meanwhile
		}
		s.log.Error("reload failed: the present connection stays", "error", oneLine(err))
		return err
	}
	s.log.Info("reloaded")
	return nil
}
