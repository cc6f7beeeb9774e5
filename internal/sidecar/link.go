package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// backend is one connection to the cluster, and Cinder's volumes on it.
type backend struct {
	cinder.Volumes
	cluster *rbd.Cluster
	users   int  // of the link's leases; guarded by its mutex
	retired bool // ends with its last user
}

// link is the way to the cluster. There may be none: then whoever needs it tries
// to make it, and one attempt serves all who wait. A connection that breaks later
// is mended by package rbd itself.
type link struct {
	dial func(context.Context) (*backend, error)
	log  *slog.Logger

	dialing singleflight.Group
	mu      sync.Mutex
	current *backend
	changed chan struct{}     // closed when current changes
	open    map[*backend]bool // connections that are not closed yet, the retired ones too
	closed  bool
	alive   group // as many as are open
}

func newLink(dial func(context.Context) (*backend, error), log *slog.Logger) *link {
	return &link{dial: dial, log: log, changed: make(chan struct{}), open: map[*backend]bool{}}
}

// lease lends the connection until release is called. When there is none within
// ctx, the error tells why, and is mostly ErrUnavailable.
func (l *link) lease(ctx context.Context) (b *backend, release func(), err error) {
	for {
		if b, err := l.take(); b != nil || err != nil {
			return b, sync.OnceFunc(func() { l.release(b) }), err
		}
		attempt := l.dialing.DoChan("", func() (any, error) { return nil, l.redial(context.WithoutCancel(ctx)) })
		select {
		case done := <-attempt:
			if done.Err != nil {
				return nil, nil, done.Err
			}
		case <-ctx.Done():
			return nil, nil, fault.New(fault.ErrUnavailable, "the cluster does not answer")
		}
	}
}

// take is lease without an attempt; nil when there is no connection.
func (l *link) take() (*backend, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fault.New(fault.ErrUnavailable, "the sidecar is stopping")
	}
	if l.current != nil {
		l.current.users++
	}
	return l.current, nil
}

// stuck is rbd.Cluster.Stuck of the connection that has been stuck for longest. A retired
// one counts as well: it can't end before its calls.
func (l *link) stuck() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var longest time.Duration
	for b := range l.open {
		longest = max(longest, b.cluster.Stuck())
	}
	return longest
}

// calls is the sum of rbd.Cluster.Calls of all connections that are open.
func (l *link) calls() (inFlight, abandoned int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := range l.open {
		n, letGo := b.cluster.Calls()
		inFlight, abandoned = inFlight+n, abandoned+letGo
	}
	return inFlight, abandoned
}

// connected tells whether there is a connection.
func (l *link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current != nil
}

func (l *link) release(b *backend) {
	if b == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b.users--
	l.endUnused(b)
}

// redial makes a connection and puts it in the place of the present one, which
// ends with its last user.
func (l *link) redial(ctx context.Context) error {
	b, err := l.dial(ctx)
	if err != nil {
		return err
	}
	l.alive.add()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[b] = true
	before := l.current
	if l.closed {
		before = b
	} else {
		l.current = b
		close(l.changed)
		l.changed = make(chan struct{})
	}
	if before != nil {
		before.retired = true
		l.endUnused(before)
	}
	return nil
}

// endUnused closes a retired connection that nobody uses. To close waits for
// calls that were let go, so nobody waits here.
func (l *link) endUnused(b *backend) {
	if b.retired && b.users == 0 {
		go func() {
			defer l.alive.done()
			if err := b.cluster.Close(); err != nil {
				l.log.Warn("closing a connection to the cluster", "error", err)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.open, b)
		}()
	}
}

// change is closed when there is another connection than now.
func (l *link) change() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// close ends the connection with its last user, and waits for that as long as ctx
// lasts. There is no other connection after it.
func (l *link) close(ctx context.Context) error {
	l.mu.Lock()
	if b := l.current; b != nil {
		b.retired = true
		l.endUnused(b)
	}
	l.current, l.closed = nil, true
	l.mu.Unlock()

	if !l.alive.wait(ctx) {
		return errors.New("calls to the cluster are still waiting for their end: another sidecar finishes what they began")
	}
	return nil
}

// keepTrying makes the first connection, however long that takes; requests try
// meanwhile, too.
func (l *link) keepTrying(ctx context.Context) {
	const longest = 15 * time.Second
	for pause := time.Second; ; pause = min(2*pause, longest) {
		_, release, err := l.lease(ctx)
		if err == nil {
			release()
			return
		}
		if ctx.Err() != nil {
			return
		}
		l.log.Warn("no connection to the cluster yet", "error", oneLine(err), "again_in", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// dialer is how a link of s makes its connections.
func (s *Server) dialer() func(context.Context) (*backend, error) {
	c := s.cfg
	return func(ctx context.Context) (*backend, error) {
		cluster, err := rbd.Dial(ctx, c.Cluster, rbd.WithLogger(s.log), rbd.WithObserver(s.metrics.observe))
		if err != nil {
			return nil, err
		}
		s.log.Info("connected to the cluster", "entity", cluster.Entity(), "address", cluster.Address())
		return &backend{cluster: cluster, Volumes: c.volumes(cluster)}, nil
	}
}

// volumes are those of the configuration, on a cluster.
func (c Config) volumes(cluster *rbd.Cluster) cinder.Volumes {
	return cinder.Volumes{
		Images: rbd.NewImages(cluster), Cluster: cluster, Pool: c.Pool, ImagePool: c.ImagePool,
		Delay: c.Delay, Limits: c.Depth, ClusterName: c.ClusterName, SecretUUID: c.SecretUUID,
	}
}
