package lab

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"

	"rbdctl/internal/fault"
)

func notEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}

// Part is one daemon of a lab, as it is now.
type Part struct {
	Name  string `json:"name"`  // "mon.a", "mgr.x", "osd.0", "libvirtd", "guest"
	State string `json:"state"` // "up", "not ready" (it starts, or hangs), "down"
	PID   int    `json:"pid,omitempty"`
}

// Report is the state of a lab.
type Report struct {
	Dir     string `json:"dir"`
	FSID    string `json:"fsid"`
	Store   Store  `json:"store"`
	Conf    string `json:"ceph_conf"`
	Libvirt string `json:"libvirt_uri,omitempty"`
	Up      bool   `json:"up"` // every part does its work
	Parts   []Part `json:"parts"`
}

// Open returns the lab in dir, whether it runs or not; fault.ErrNotFound if
// there is none.
func Open(dir string) (*Lab, error) {
	dir, err := cleanDir(dir)
	if err != nil {
		return nil, err
	}
	s, err := load(dir)
	if err != nil {
		return nil, err
	}
	return &Lab{dir: dir, state: s, opts: Options{Dir: dir, Log: io.Discard}}, nil
}

// Status looks at the processes of the lab in dir and asks each how it is. It
// takes no lock: during an Up it shows how far that is.
func Status(ctx context.Context, dir string) (*Report, error) {
	l, err := Open(dir)
	if err != nil {
		return nil, err
	}
	if err := mayTouch(l.dir); err != nil {
		return nil, err
	}
	found, err := l.state.processes()
	if err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for _, p := range found {
		if p.main {
			pids[p.part] = p.pid
		}
	}
	r := &Report{
		Dir: l.dir, FSID: l.state.FSID, Store: l.state.Store,
		Conf: l.ConfFile(), Libvirt: l.LibvirtURI(), Up: true,
	}
	for _, name := range l.parts() {
		part := Part{Name: name, State: "down", PID: pids[name]}
		if part.PID != 0 {
			part.State = "not ready"
			if l.up(ctx, name) == nil {
				part.State = "up"
			}
		}
		r.Up = r.Up && part.State == "up"
		r.Parts = append(r.Parts, part)
	}
	for _, p := range found {
		if p.part == guestPart {
			r.Parts = append(r.Parts, Part{Name: guestPart, State: "up", PID: p.pid})
		}
	}
	return r, nil
}

// parts are the names of what a complete lab runs.
func (l *Lab) parts() []string {
	names := []string{monPart, mgrPart}
	for i := range l.state.OSDs {
		names = append(names, osdPart(i))
	}
	if l.state.Libvirt {
		names = append(names, libvirtPart)
	}
	return names
}

// PID returns the process of a part that runs, for a test that stops or kills
// it; fault.ErrNotFound if it does not run.
func (l *Lab) PID(part string) (int, error) {
	found, err := l.state.running(part)
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		known := l.parts()
		if !slices.Contains(known, part) {
			return 0, fault.Newf(fault.ErrNotFound, "no part %q: want one of %s", part, strings.Join(known, ", "))
		}
		return 0, fault.New(fault.ErrNotFound, part+" does not run")
	}
	return found[0].pid, nil
}
