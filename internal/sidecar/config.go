package sidecar

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"rbdctl/backends"
	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// Config says what to serve, where and to whom. Zero values mean defaults.
type Config struct {
	Socket    string   // path of the UNIX socket; empty: /run/rbdctl/rbdctl.sock, or the one that systemd passes
	AllowUIDs []uint32 // users who may use the socket; with no group either: this process's own and root
	AllowGIDs []uint32 // groups whose members may, by their effective group; the first owns the socket
	Listen    string   // TCP address of /metrics, /healthz and /readyz; empty: none, or the one that systemd passes

	Cluster   rbd.Config
	Pool      string // of volumes; empty: volumes
	ImagePool string // of Glance; empty: images

	Delay       time.Duration // how long a deleted volume can be restored
	Depth       cinder.Depth  // limits of chains of clones
	ClusterName string        // in connections; empty: ceph
	SecretUUID  string        // of libvirt, in connections; empty: the cluster's fsid
	Shared      bool          // the pool holds other images, too

	MaxRequests    int           // at a time, of API requests; more are refused; zero means 256
	RequestTimeout time.Duration // bound on a request, but for content on its way; zero means 60s
	DrainTimeout   time.Duration // what runs when a stop is asked for may go on so long; zero means 30s
	PurgeInterval  time.Duration // between two purges of the trash; zero means 60s
	StuckTime      time.Duration // a call of librbd that has not returned so long after it was let go never will; zero means 5m
	PurgeLimit     int           // images that one purge removes at most; zero means 50
	Jobs           int           // worked on at a time; zero means 2

	Version string // of the program
}

// The defaults of what has to be known outside, too.
const (
	DefaultSocket = "/run/rbdctl/rbdctl.sock"
	DefaultListen = "127.0.0.1:9285"

	DefaultRequestTimeout = time.Minute
	DefaultDrainTimeout   = 30 * time.Second
	DefaultPurgeInterval  = time.Minute
)

func (c Config) withDefaults() Config {
	c.Socket = cmp.Or(c.Socket, DefaultSocket)
	c.Pool = cmp.Or(c.Pool, backends.PoolVolumes)
	c.ImagePool = cmp.Or(c.ImagePool, backends.PoolImages)
	c.MaxRequests = cmp.Or(c.MaxRequests, 256)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, DefaultRequestTimeout)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, DefaultDrainTimeout)
	c.PurgeInterval = cmp.Or(c.PurgeInterval, DefaultPurgeInterval)
	c.StuckTime = cmp.Or(c.StuckTime, 5*time.Minute)
	c.PurgeLimit = cmp.Or(c.PurgeLimit, 50)
	c.Jobs = cmp.Or(c.Jobs, 2)
	c.Cluster.MaxCalls = cmp.Or(c.Cluster.MaxCalls, 32)
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.MaxRequests < 1 || c.PurgeLimit < 1 || c.Jobs < 1 {
		errs = append(errs, fault.New(fault.ErrInvalid, "a limit is less than 1"))
	}
	if c.RequestTimeout < 0 || c.DrainTimeout < 0 || c.PurgeInterval < 0 || c.StuckTime < 0 || c.Delay < 0 {
		errs = append(errs, fault.New(fault.ErrInvalid, "a time is negative"))
	}
	if c.Depth.Soft < 0 || c.Depth.Hard < 0 {
		errs = append(errs, fault.New(fault.ErrInvalid, "a limit of the depth is negative"))
	}
	return errors.Join(errs...)
}

// Option replaces one of a Server's collaborators.
type Option func(*Server)

// WithLogger sends the log to l; without it there is none.
func WithLogger(l *slog.Logger) Option { return func(s *Server) { s.log = l } }

// WithRest has rest called whenever the server has come to rest after its start or some
// requests, such as to give memory back. Requests that come meanwhile don't wait for it.
func WithRest(rest func()) Option { return func(s *Server) { s.rest = rest } }
