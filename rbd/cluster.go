package rbd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"rbdctl/internal/fault"
)

// Config says which cluster to reach, and as whom. Zero values mean defaults.
type Config struct {
	ConfFile       string        // path of ceph.conf; empty: where librados looks by itself
	Entity         string        // full cephx name, such as "client.cinder"; required
	Key            []byte        // base64 cephx key; nil: the keyring that ceph.conf names
	ConnectTimeout time.Duration // bound on connecting; zero means 10s
	OpTimeout      time.Duration // bound on one RADOS operation or monitor command; zero means 30s
	MaxCalls       int           // native calls in flight; zero means 16
}

func (c Config) withDefaults() Config {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.OpTimeout == 0 {
		c.OpTimeout = 30 * time.Second
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 16
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if kind, id, ok := strings.Cut(c.Entity, "."); !ok || kind != "client" || id == "" {
		errs = append(errs, fault.Newf(ErrInvalid, "entity %q: want a full cephx name such as client.cinder", c.Entity))
	}
	if c.ConnectTimeout < 0 || c.OpTimeout < 0 || c.MaxCalls < 0 {
		errs = append(errs, fault.Newf(ErrInvalid, "a timeout or call limit is negative"))
	}
	if c.ConfFile != "" {
		if _, err := os.Stat(c.ConfFile); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fault.Newf(ErrNotFound, "ceph.conf %s: no such file: name it with --ceph-conf or CEPH_CONF", c.ConfFile))
		} else if err != nil {
			errs = append(errs, fmt.Errorf("%w: ceph.conf: %w", ErrDenied, err))
		}
	}
	return errors.Join(errs...)
}

// Option replaces one of a Cluster's collaborators.
type Option func(*Cluster)

// WithLogger sends what cannot be returned as an error to l.
func WithLogger(l *slog.Logger) Option { return func(c *Cluster) { c.log = l } }

// Cluster is one connection to a Ceph cluster, shared by all who use it. It is
// safe for concurrent use. A connection that was blocklisted is replaced by a
// new one for the calls that come after.
type Cluster struct {
	cfg   Config
	calls *calls
	log   *slog.Logger
	see   func(Attempt) // nil: nobody watches

	dialing singleflight.Group
	mu      sync.Mutex
	current *session   // nil after Close, or while a lost connection is not yet replaced
	retired []*session // given up, and not yet to be fenced
	fences  fences
	parents parents
	closed  bool
}

// Dial connects to the cluster that cfg describes. The caller closes it.
//
// It answers within cfg.ConnectTimeout: ErrUnavailable when no monitor answers,
// ErrDenied for an unknown entity, a wrong key, or an entity without caps.
func Dial(ctx context.Context, cfg Config, opts ...Option) (*Cluster, error) {
	if err := cfg.validate(); err != nil {
		return nil, wrap("connect as", cfg.Entity, err)
	}
	cfg = cfg.withDefaults()
	c := &Cluster{cfg: cfg, calls: newCalls(cfg.MaxCalls), log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(c)
	}
	ses, err := do(ctx, c.calls, func() (*session, error) { return connect(cfg) }, (*session).release)
	if err != nil {
		return nil, wrap("connect as", cfg.Entity, changedNothing(err))
	}
	c.current = ses
	return c, nil
}

// Close waits for the calls in flight, abandoned ones included, and ends the
// connection. A second call does nothing and returns nil.
func (c *Cluster) Close() error {
	c.mu.Lock()
	ses := c.current
	c.current, c.closed = nil, true
	c.mu.Unlock()

	c.calls.running.Wait()
	if ses != nil {
		ses.release()
	}
	return nil
}

// Entity is the cephx name that the connection uses.
func (c *Cluster) Entity() string { return c.cfg.Entity }

// FSID is the identity of the cluster.
func (c *Cluster) FSID(ctx context.Context) (string, error) {
	return callRead(ctx, c, "fsid", "", func(s *scope) (string, error) {
		return s.conn().GetFSID()
	})
}

// MonCommand sends one JSON command to the monitors and returns their JSON
// answer. An error has the monitors' own sentence in its message.
//
// Similar To: ceph <command> --format json
func (c *Cluster) MonCommand(ctx context.Context, cmd []byte) ([]byte, error) {
	ctx, cancel := c.quick(ctx)
	defer cancel()
	return call(ctx, c, "mon command", commandName(cmd), func(s *scope) ([]byte, error) {
		return s.monCommand(cmd)
	})
}

// MgrCommand is MonCommand to the active manager.
func (c *Cluster) MgrCommand(ctx context.Context, cmd []byte) ([]byte, error) {
	ctx, cancel := c.quick(ctx)
	defer cancel()
	return call(ctx, c, "mgr command", commandName(cmd), func(s *scope) ([]byte, error) {
		return native(s, "rados_mgr_command", func() ([]byte, error) {
			out, status, err := s.conn().MgrCommand([][]byte{cmd})
			return out, withStatus(err, status)
		})
	})
}

// acquire lends the current session, and makes one when there is none. Those who
// ask meanwhile wait for the one attempt and share its outcome.
func (c *Cluster) acquire() (*session, error) {
	for {
		c.mu.Lock()
		closed, ses := c.closed, c.current
		if ses != nil {
			ses.retain()
		}
		c.mu.Unlock()
		if closed {
			return nil, fault.New(ErrUnavailable, "the connection is closed")
		}
		if ses != nil {
			return ses, nil
		}
		if _, err, _ := c.dialing.Do("", c.redial); err != nil {
			return nil, err
		}
	}
}

// redial makes a session in the place of one that was lost.
func (c *Cluster) redial() (any, error) {
	ses, err := connect(c.cfg)
	if err != nil {
		return nil, fault.Newf(ErrUnavailable, "the connection was lost, and a new one could not be made: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.current != nil {
		ses.release()
	} else {
		c.current = ses
	}
	return nil, nil
}

// call runs fn as one native call of c: the attempt of op on subject. The
// handles that fn opens through its scope are closed, last opened first, when
// fn returns. A failure, abandonment included, is a *fault.Error.
func call[T any](ctx context.Context, c *Cluster, op, subject string, fn func(*scope) (T, error)) (T, error) {
	start := time.Now()
	value, err := do(ctx, c.calls, lent(c, fn), nil)
	return value, c.observed(op, start, wrap(op, subject, err))
}

// lent is fn with a scope of its own on the current session.
func lent[T any](c *Cluster, fn func(*scope) (T, error)) func() (T, error) {
	return func() (value T, err error) {
		ses, err := c.acquire()
		if err != nil {
			return value, err
		}
		s := &scope{ses: ses, fences: &c.fences}
		c.fenceGivenUp(s)
		defer func() {
			err = errors.Join(err, s.close())
			if ses.lost(err) {
				c.retire(ses)
			}
			ses.release()
		}()
		return fn(s)
	}
}

// quick bounds a call that has nothing long to do, where its caller did not: a
// few times what each of its operations may take.
func (c *Cluster) quick(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return context.WithCancel(ctx)
	}
	limit := 4 * c.cfg.OpTimeout
	return context.WithTimeoutCause(ctx, limit, fault.Newf(ErrUnavailable, "no answer from the cluster within %s", limit))
}

// callRead is call for a quick fn that changes nothing: let go, it is unavailable.
func callRead[T any](ctx context.Context, c *Cluster, op, subject string, fn func(*scope) (T, error)) (T, error) {
	ctx, cancel := c.quick(ctx)
	defer cancel()
	value, err := call(ctx, c, op, subject, fn)
	if errors.Is(err, ErrOutcomeUnknown) {
		err = wrap(op, subject, changedNothing(err))
	}
	return value, err
}

// changedNothing turns "outcome unknown" into what it is for a read.
func changedNothing(err error) error {
	if !errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	return fault.Newf(ErrUnavailable, "no answer from the cluster in the time that was given")
}

// callPolite is call for an fn that watches ctx by itself: when ctx ends, fn has
// time to stop and to undo what it began before it is let go.
func callPolite[T any](ctx context.Context, c *Cluster, op, subject string, fn func(*scope) (T, error)) (T, error) {
	start := time.Now()
	if err := c.calls.admit(ctx); err != nil {
		var zero T
		return zero, c.observed(op, start, wrap(op, subject, err))
	}
	late, cancel := lenient(ctx, 2*c.cfg.OpTimeout)
	defer cancel()
	value, err := doAdmitted(late, c.calls, lent(c, fn), nil)
	return value, c.observed(op, start, wrap(op, subject, err))
}

// Address is the connection's address and nonce, "10.0.0.1:0/3141592653": what
// the monitors blocklist to fence it. It changes when the connection is made
// anew, and is empty while there is none.
func (c *Cluster) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return ""
	}
	return c.current.address
}
