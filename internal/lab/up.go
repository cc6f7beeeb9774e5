package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"rbdctl/internal/fault"
)

// upTimeout bounds Up, whose parts together need about ten seconds.
const upTimeout = 3 * time.Minute

// Lab is a lab in a directory. It holds nothing: a Lab may be dropped, and one
// from [Open] is as good as one from [Up].
type Lab struct {
	dir   string
	state *state
	opts  Options
}

// Dir is the lab's directory, absolute and without symbolic links.
func (l *Lab) Dir() string { return l.dir }

// Up makes the lab that o describes, or completes it: parts that run stay as
// they are, dead ones are started again on their data, and missing OSDs are
// added. It returns when every part does its work. Two Ups of one directory take
// turns.
//
// After a failure, and when ctx ends, what was started stays: call Up again, or
// [Down]. Errors are fault.ErrInvalid for options that the lab cannot take,
// fault.ErrUnsupported with the packages to install, fault.ErrDenied for the lab
// of another user, and fault.ErrUnavailable for a part that does not get up.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkPackages(needs(o)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upTimeout, fmt.Errorf("not up after %v", upTimeout))
	defer cancel()
	if err := mayTouch(o.Dir); err != nil {
		return nil, err
	}
	if err := mayBecomeLab(o.Dir); err != nil {
		return nil, err
	}
	held, err := lockNew(ctx, o.Dir, o.Log)
	if err != nil {
		return nil, err
	}
	defer held.Close()

	l := &Lab{dir: o.Dir, opts: o}
	if err := l.prepare(ctx); err != nil {
		return nil, wrapUp(l, err)
	}
	if err := l.start(ctx); err != nil {
		return nil, wrapUp(l, err)
	}
	return l, nil
}

func needs(o Options) []requirement {
	if o.NoLibvirt {
		return cephNeeds()
	}
	return slices.Concat(cephNeeds(), libvirtNeeds())
}

func wrapUp(l *Lab, err error) error {
	return &fault.Error{Op: "lab up", Subject: l.dir, Err: err}
}

// mayBecomeLab refuses a directory that has other things in it: Down is going to
// remove it.
func mayBecomeLab(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return fault.Newf(fault.ErrInvalid, "%s is not a directory: name another", dir)
	}
	if err != nil {
		return err
	}
	foreign := ""
	for _, e := range entries {
		switch e.Name() {
		case stateFile:
			return nil
		case lockFile, stateFile + ".tmp":
		default:
			foreign = e.Name()
		}
	}
	if foreign != "" {
		return fault.Newf(fault.ErrInvalid,
			"%s is not a lab and not empty (%s): name another directory", dir, foreign)
	}
	return nil
}

// prepare settles the lab's identity and writes its files. From save on, Down
// knows whatever Up has begun.
func (l *Lab) prepare(ctx context.Context) error {
	s, err := load(l.dir)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		if s, err = newState(l.opts); err != nil {
			return err
		}
		if s.MonPorts, err = freePorts(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := s.refuses(l.opts); err != nil {
			return err
		}
		s.take(l.opts)
	}
	l.state = s
	if err := s.save(l.dir); err != nil {
		return err
	}
	// Helpers of an Up that was killed may still be writing.
	if err := s.stop(ctx, isPart(toolPart), 0); err != nil {
		return err
	}
	if !l.monMade() {
		if err := l.wipe(ctx); err != nil {
			return err
		}
	}
	for _, dir := range []string{l.logDir(), l.file("crash")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := l.makeRuntime(); err != nil {
		return err
	}
	return l.writeConf()
}

// start brings the parts up, side by side where they do not need each other.
func (l *Lab) start(ctx context.Context) error {
	progress := newProgress(l.opts.Log)
	group, ctx := errgroup.WithContext(ctx)
	if l.state.Libvirt {
		group.Go(func() error {
			return progress.phase("libvirtd", func() error { return l.startLibvirt(ctx) })
		})
	}
	var fresh []int // OSDs that are new
	stores := make(chan struct{})
	group.Go(func() error {
		return progress.phase("OSD stores", func() (err error) {
			defer close(stores)
			fresh, err = l.makeOSDs(ctx)
			return err
		})
	})
	group.Go(func() error {
		if err := progress.phase("monitor", func() error { return l.startMon(ctx) }); err != nil {
			return err
		}
		return l.keepMon(ctx, func(ctx context.Context) error {
			rest, ctx := errgroup.WithContext(ctx)
			rest.Go(func() error {
				return progress.phase("manager", func() error { return l.startMgr(ctx) })
			})
			rest.Go(func() error {
				<-stores
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return progress.phase("OSDs", func() error { return l.startOSDs(ctx, fresh) })
			})
			return rest.Wait()
		})
	})
	if err := group.Wait(); err != nil {
		return err
	}
	progress.total()
	return nil
}
