package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The marks that every process of a lab carries in its environment.
const (
	markLab  = "RBDCTL_LAB"      // the lab's id
	markPart = "RBDCTL_LAB_PART" // the part, or toolPart
)

const (
	toolPart  = "tool"  // a helper that Up started
	guestPart = "guest" // a QEMU that the lab's libvirtd started
)

// process is one running process of a lab.
type process struct {
	pid  int
	part string
	main bool // the part's daemon itself, not a child of it
}

// processes returns what runs of the lab now. A zombie has no environment, and
// so counts as ended.
func (s *state) processes() ([]process, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []process
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if part, ok := s.partOf(pid); ok {
			found = append(found, process{pid: pid, part: part, main: leadsSession(pid)})
		}
	}
	return found, nil
}

// leadsSession tells the daemon, which was started in a session of its own, from
// the children that inherit its mark: a monitor forks to try a CRUSH map.
func leadsSession(pid int) bool {
	session, err := unix.Getsid(pid)
	return err == nil && session == pid
}

// partOf tells whether pid is a process of the lab, and which. A process that
// cannot be read belongs to another user, and so not to this lab.
func (s *state) partOf(pid int) (string, bool) {
	proc := "/proc/" + strconv.Itoa(pid)
	environ := environOf(proc)
	if len(environ) == 0 {
		return "", false
	}
	mine, part := false, ""
	for _, entry := range bytes.Split(environ, []byte{0}) {
		name, value, _ := strings.Cut(string(entry), "=")
		switch {
		case name == markLab:
			mine = value == s.ID
		case name == markPart:
			part = value
		}
	}
	if mine {
		return part, true
	}
	return guestPart, s.isGuest(proc, environ)
}

// environOf reads the environment of a process, which it has until the last of its threads
// has ended: as long it has its sockets and locks, too, though the first thread has none any
// more.
func environOf(proc string) []byte {
	environ, err := os.ReadFile(proc + "/environ")
	if err != nil || len(environ) > 0 {
		return environ
	}
	threads, _ := filepath.Glob(proc + "/task/*/environ")
	for _, thread := range threads {
		if environ, _ = os.ReadFile(thread); len(environ) > 0 {
			break
		}
	}
	return environ
}

// isGuest recognizes a QEMU of the lab's libvirtd. libvirt gives it an
// environment of its own making, without the mark but with directories inside
// the lab; the name of the program guards what else may mention these.
func (s *state) isGuest(proc string, environ []byte) bool {
	if !bytes.Contains(environ, []byte("="+s.libvirtHome()+"/")) {
		return false
	}
	cmdline, err := os.ReadFile(proc + "/cmdline")
	if err != nil {
		return false
	}
	program, _, _ := bytes.Cut(cmdline, []byte{0})
	return strings.HasPrefix(filepath.Base(string(program)), "qemu-")
}

// running returns the daemon of the given part, if it runs.
func (s *state) running(part string) ([]process, error) {
	all, err := s.processes()
	if err != nil {
		return nil, err
	}
	var found []process
	for _, p := range all {
		if p.part == part && p.main {
			found = append(found, p)
		}
	}
	return found, nil
}

// signal sends sig to p, if p is still what it was. The handle is taken before
// the look, so the process that is looked at is the one that gets the signal.
func (s *state) signal(p process, sig syscall.Signal) error {
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	defer handle.Release()
	if part, ok := s.partOf(p.pid); !ok || part != p.part {
		return nil
	}
	if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// stop ends every process of the lab that want selects and returns when none is
// left, those included that start meanwhile. With a grace they are asked first
// and killed after it; without, killed at once.
func (s *state) stop(ctx context.Context, want func(part string) bool, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	asked := map[int]bool{}
	for {
		all, err := s.processes()
		if err != nil {
			return err
		}
		left := 0
		for _, p := range all {
			if !want(p.part) {
				continue
			}
			left++
			sig := syscall.SIGKILL
			if time.Now().Before(deadline) {
				sig = syscall.SIGTERM
				if asked[p.pid] {
					continue
				}
			}
			if err := s.signal(p, sig); err != nil {
				return err
			}
			asked[p.pid] = true
		}
		if left == 0 {
			return nil
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func everyPart(string) bool { return true }

func isPart(names ...string) func(string) bool {
	return func(part string) bool {
		for _, name := range names {
			if part == name {
				return true
			}
		}
		return false
	}
}
