package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"rbdctl/backends"
	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
	"rbdctl/internal/heap"
	"rbdctl/internal/sidecar"
)

func serveCommand(e *env) *cli.Command {
	var opts serveOptions
	return &cli.Command{
		Name:  "serve",
		Usage: "serve Cinder's volumes over a UNIX socket: the sidecar",
		Description: "Runs until SIGTERM, which lets what runs come to its end. SIGHUP reads\n" +
			"ceph.conf and the keyring again. It starts without a cluster that does not\n" +
			"answer, and finds it by itself. Any number may serve the same pool. Under\n" +
			"systemd it takes the sockets that it is passed, and tells when it is ready.\n" +
			"The API is described by /openapi.json on the socket.",
		Flags: append(opts.flags(), opts.limitFlags()...),
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			if opts.printOpenAPI {
				return runPrintOpenAPI(e)
			}
			if err := opts.resolve(e, c); err != nil {
				return err
			}
			return runServe(c.Context, e, opts)
		},
	}
}

type serveOptions struct {
	sidecar.Config
	logFormat, logLevel string
	printOpenAPI        bool
	logger              *slog.Logger
}

// flags say what is served, where and to whom.
func (o *serveOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "socket", Usage: "serve the API on the UNIX socket `PATH`", Value: sidecar.DefaultSocket, Destination: &o.Socket},
		&cli.StringFlag{
			Name: "listen", Usage: "serve /metrics, /healthz and /readyz on `HOST:PORT`; empty: nowhere",
			Value: sidecar.DefaultListen, Destination: &o.Listen,
		},
		&cli.StringSliceFlag{Name: "allow-uid", Usage: "let the user `UID`, a number or a name, use the socket; repeat it for more (default: root and who runs this)"},
		&cli.StringSliceFlag{Name: "allow-gid", Usage: "let processes of the group `GID`, a number or a name, use it; the first owns the socket"},
		&cli.StringFlag{Name: "pool", Value: backends.PoolVolumes, Usage: "keep volumes in `POOL`", Destination: &o.Pool},
		&cli.StringFlag{Name: "image-pool", Value: backends.PoolImages, Usage: "find Glance's images in `POOL`", Destination: &o.ImagePool},
		&cli.BoolFlag{Name: "shared-pool", Usage: "the pool holds other images than Cinder's: count them, too", Destination: &o.Shared},
		&cli.StringFlag{Name: "secret-uuid", Usage: "libvirt knows the entity's key as `UUID` (default: the cluster's fsid)", Destination: &o.SecretUUID},
		&cli.StringFlag{Name: "cluster-name", Usage: "compute nodes know the cluster as `NAME`", Value: "ceph", Destination: &o.ClusterName},
		&cli.StringFlag{Name: "log-format", Usage: "log as `FORM`: text or json", Value: "text", Destination: &o.logFormat},
		&cli.StringFlag{Name: "log-level", Usage: "log from `LEVEL` on: debug, info, warn or error", Value: "info", Destination: &o.logLevel},
		&cli.BoolFlag{Name: "print-openapi", Hidden: true, Destination: &o.printOpenAPI},
	}
}

// limitFlags say how much and how long.
func (o *serveOptions) limitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "delete-delay", Usage: "keep deleted volumes for `DURATION`, in which they can be restored", Destination: &o.Delay},
		&cli.IntFlag{Name: "soft-depth", Usage: "flatten clones with more than `N` parents in the background", Value: cinder.SoftDepth, Destination: &o.Depth.Soft},
		&cli.IntFlag{Name: "hard-depth", Usage: "refuse clones with more than `N` parents", Value: cinder.HardDepth, Destination: &o.Depth.Hard},
		&cli.IntFlag{Name: "max-requests", Usage: "refuse more than `N` requests at a time", Value: 256, Destination: &o.MaxRequests},
		&cli.DurationFlag{Name: "request-timeout", Usage: "answer each request within `DURATION`, but for content and reverts", Value: sidecar.DefaultRequestTimeout, Destination: &o.RequestTimeout},
		&cli.DurationFlag{Name: "drain-timeout", Usage: "let what runs go on for `DURATION` when asked to stop", Value: sidecar.DefaultDrainTimeout, Destination: &o.DrainTimeout},
		&cli.DurationFlag{Name: "purge-interval", Usage: "purge the trash, and end what dead sidecars began, about every `DURATION`", Value: sidecar.DefaultPurgeInterval, Destination: &o.PurgeInterval},
		&cli.IntFlag{Name: "purge-limit", Usage: "remove at most `N` images in one purge", Value: 50, Destination: &o.PurgeLimit},
		&cli.IntFlag{Name: "jobs", Usage: "work on `N` jobs at a time", Value: 2, Destination: &o.Jobs},
	}
}

// resolve reads what the flag library cannot.
func (o *serveOptions) resolve(e *env, c *cli.Context) error {
	var err error
	if o.AllowUIDs, err = numbers("allow-uid", c.StringSlice("allow-uid"), userNumber); err != nil {
		return err
	}
	if o.AllowGIDs, err = numbers("allow-gid", c.StringSlice("allow-gid"), groupNumber); err != nil {
		return err
	}
	o.logger, err = newLogger(e.err, o.logFormat, o.logLevel)
	return err
}

// newLogger logs to out.
func newLogger(out io.Writer, format, level string) (*slog.Logger, error) {
	var from slog.Level
	if err := from.UnmarshalText([]byte(level)); err != nil {
		return nil, fault.Newf(errUsage, "--log-level %s: want debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: from}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(out, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, options)), nil
	}
	return nil, fault.Newf(errUsage, "--log-format %s: want text or json", format)
}

func runServe(ctx context.Context, e *env, opts serveOptions) error {
	opts.Version = version
	opts.Cluster.ConfFile, opts.Cluster.Entity = e.confFile, e.entity
	server, err := sidecar.New(opts.Config, sidecar.WithLogger(opts.logger), sidecar.WithRest(heap.Trim))
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	reloads, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			select {
			case <-hangups:
				_ = server.Reload(reloads) // it logs how that went
			case <-reloads.Done():
				return
			}
		}
	}()
	return server.Run(ctx)
}

// runPrintOpenAPI prints the description of the API, for docs/openapi.json.
func runPrintOpenAPI(e *env) error {
	text, err := sidecar.OpenAPI()
	if err != nil {
		return err
	}
	_, err = e.out.Write(append(text, '\n'))
	return err
}
