package sidecar

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"rbdctl/internal/fault"
)

// sockets are where requests come in.
type sockets struct {
	api    net.Listener
	status net.Listener // nil: none
}

func (s sockets) close() {
	_ = s.api.Close()
	if s.status != nil {
		_ = s.status.Close()
	}
}

// listen takes the sockets that systemd passed, and makes those that it did not.
func listen(c Config) (s sockets, err error) {
	defer func() {
		if err != nil && s.api != nil {
			s.close()
		}
	}()
	passed, err := activation.Listeners()
	if err != nil {
		return s, fmt.Errorf("sockets from systemd: %w", err)
	}
	for _, l := range passed {
		switch {
		case l == nil: // not a stream
		case l.Addr().Network() == "unix" && s.api == nil:
			s.api = l
		case l.Addr().Network() == "tcp" && s.status == nil:
			s.status = l
		default:
			return s, fault.Newf(fault.ErrInvalid, "systemd passed one socket too many: %s", l.Addr())
		}
	}
	if s.api == nil {
		if s.api, err = listenUnix(c.Socket, c.AllowGIDs); err != nil {
			return s, fmt.Errorf("socket %s: %w", c.Socket, err)
		}
	}
	if s.status == nil && c.Listen != "" {
		if s.status, err = listenTCP(c.Listen); err != nil {
			return s, err
		}
	}
	return s, nil
}

func listenTCP(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, fault.Newf(fault.ErrInUse, "address %s is taken: choose another --listen, or none", address)
	case err != nil:
		return nil, fault.Newf(fault.ErrInvalid, "listen on %q: %v", address, err)
	}
	return l, nil
}

// listenUnix makes a UNIX socket, mode 0660, of the first group. A socket that is
// there is taken over if nobody answers; anything else stays, and is an error.
func listenUnix(path string, groups []uint32) (net.Listener, error) {
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.Newf(fault.ErrInvalid, "%v", err)
	}
	if len(groups) > 0 {
		err = os.Chown(path, -1, int(groups[0]))
	}
	if err == nil {
		err = os.Chmod(path, 0o660)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("%w: %w", fault.ErrDenied, err)
	}
	return l, nil
}

// clearStale removes a socket that its process has left behind.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fault.New(fault.ErrExists, "there is a file of that name, and it is no socket")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return fault.New(fault.ErrInUse, "another process serves it")
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fault.Newf(fault.ErrInUse, "it is there, and not for certain unused: %v", err)
	}
	return os.Remove(path)
}

// lockDirectory keeps two that start at once from taking one socket over, each
// after the other had bound its own. The lock goes with its holder.
func lockDirectory(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Newf(fault.ErrNotFound, "directory %s does not exist: make it, with access for the users of the socket", dir)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, err
	}
	return func() { _ = d.Close() }, nil
}
