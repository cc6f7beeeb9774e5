package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	monPart = "mon.a"
	mgrPart = "mgr.x"
)

// monMade reports whether the cluster exists: its monitor's store appears under
// its name in one step, complete.
func (l *Lab) monMade() bool {
	_, err := os.Stat(l.monDir())
	return err == nil
}

// makeMon makes the cluster: keys and the monitor's store. What an interrupted
// attempt left is of no use, since its keys are unknown to the new store.
func (l *Lab) makeMon(ctx context.Context) error {
	if err := l.writeKeys(); err != nil {
		return err
	}
	fresh, monmap := l.monDir()+".new", l.file("monmap")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if _, err := l.tool(ctx, "", "monmaptool", "--create", "--clobber", "--fsid", l.state.FSID,
		"--addv", "a", l.monAddrs(), monmap); err != nil {
		return err
	}
	if _, err := l.tool(ctx, "", "ceph-mon", "--conf", l.ConfFile(), "--mkfs", "-i", "a",
		"--mon-data", fresh, "--monmap", monmap, "--keyring", l.file("mon.keyring")); err != nil {
		return err
	}
	return os.Rename(fresh, l.monDir())
}

// startMon brings the monitor up, made first if need be. If somebody has its
// ports meanwhile it gets others, and the daemons that know it by the old ones
// are started again.
func (l *Lab) startMon(ctx context.Context) error {
	if !l.monMade() {
		if err := l.makeMon(ctx); err != nil {
			return err
		}
	}
	const attempts = 5
	for try := 1; ; try++ {
		err := l.ensure(ctx, monPart, func() (*daemon, error) {
			free, err := portsBecomeFree(ctx, l.state.MonPorts)
			if err == nil && !free {
				err = l.moveMon(ctx)
			}
			if err != nil {
				return nil, err
			}
			return l.spawn(monPart, nil, nil, "ceph-mon", "-f", "-i", "a", "--conf", l.ConfFile())
		})
		// A port that was free at the look above can be gone at the bind.
		if !errors.Is(err, errEnded) || portsFree(l.state.MonPorts) || try == attempts {
			return err
		}
	}
}

// keepMon runs fn, which needs the monitor, and starts that again if it ends
// meanwhile: 16.2.15 has an assertion that a cluster with all OSDs down can fail.
func (l *Lab) keepMon(ctx context.Context, fn func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var result error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result = fn(ctx)
	}()
	const attempts = 3
	for try := 0; ; {
		select {
		case <-done:
			return result
		case <-time.After(10 * poll):
		}
		alive, err := l.state.running(monPart)
		if err == nil && len(alive) == 0 && try < attempts {
			try++
			fmt.Fprintf(l.opts.Log, "%s has ended and is started again: see %s/%s.log\n", monPart, l.logDir(), monPart)
			err = l.startMon(ctx)
		}
		if err != nil {
			stop()
			<-done
			return err
		}
	}
}

// moveMon gives the monitor other ports: in its store, in lab.json and in
// ceph.conf.
func (l *Lab) moveMon(ctx context.Context) error {
	ports, err := freePorts()
	if err != nil {
		return err
	}
	fmt.Fprintf(l.opts.Log, "port %d or %d is taken, the monitor moves to %d\n",
		l.state.MonPorts[0], l.state.MonPorts[1], ports[0])
	if err := l.state.stop(ctx, func(part string) bool { return part == mgrPart || isOSD(part) }, stopGrace); err != nil {
		return err
	}
	l.state.MonPorts = ports
	if err := l.state.save(l.dir); err != nil {
		return err
	}
	if err := l.writeConf(); err != nil {
		return err
	}
	monmap := l.file("monmap")
	for _, argv := range [][]string{
		{"ceph-mon", "--conf", l.ConfFile(), "-i", "a", "--extract-monmap", monmap},
		{"monmaptool", "--rm", "a", monmap},
		{"monmaptool", "--addv", "a", l.monAddrs(), monmap},
		{"ceph-mon", "--conf", l.ConfFile(), "-i", "a", "--inject-monmap", monmap},
	} {
		if _, err := l.tool(ctx, "", argv...); err != nil {
			return err
		}
	}
	return nil
}

// startMgr brings the manager up, which needs seconds, most of them Python's.
func (l *Lab) startMgr(ctx context.Context) error {
	if err := os.MkdirAll(l.mgrDir(), 0o700); err != nil {
		return err
	}
	if err := l.writeBcrypt(); err != nil {
		return err
	}
	return l.ensure(ctx, mgrPart, func() (*daemon, error) {
		return l.spawn(mgrPart, nil, []string{"PYTHONPATH=" + l.file("python")}, "ceph-mgr", "-f", "-i", "x", "--conf", l.ConfFile())
	})
}

// writeBcrypt gives the manager's Python a bcrypt that can be imported. Debian 13's
// cannot: it is a PyO3 module, which refuses the sub-interpreter that each module
// of the manager has, and with it goes every module that imports mgr_util, the
// autoscaler among them. Only the dashboard and the restful module hash passwords,
// and a lab has neither.
func (l *Lab) writeBcrypt() error {
	const text = "def _absent(*_args):\n    raise NotImplementedError('no bcrypt in a lab')\n\nhashpw = gensalt = checkpw = _absent\n"
	if err := os.MkdirAll(l.file("python"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(l.file("python/bcrypt.py"), []byte(text), 0o644)
}

// wipe removes what attempts to make the cluster left before it existed.
func (l *Lab) wipe(ctx context.Context) error {
	if err := l.state.stop(ctx, everyPart, 0); err != nil {
		return err
	}
	left, err := filepath.Glob(l.file("osd.*"))
	if err != nil {
		return err
	}
	for _, path := range append(left, l.mgrDir()) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
