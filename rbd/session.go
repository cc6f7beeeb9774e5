package rbd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rados"
)

// session is one librados connection, counted: librados aborts the process when
// a connection ends under an open handle, so the last user ends it.
type session struct {
	conn    *rados.Conn
	address string // as the monitors blocklist it: "127.0.0.1:0/3141592653"
	users   atomic.Int64
	silent  atomic.Int64 // calls in a row that ended without an answer
	shutOut atomic.Bool  // it was blocklisted
}

// maxSilent is how many calls in a row may end without an answer before the
// connection is given up: librados can stay stuck after the cluster is back.
const maxSilent = 3

// lost tells from how a call ended whether the connection is of no more use.
func (s *session) lost(err error) bool {
	switch {
	case isErrno(err, syscall.ESHUTDOWN), errors.Is(err, errShutOut):
		s.shutOut.Store(true)
		return true
	case isErrno(err, syscall.ETIMEDOUT):
		return s.silent.Add(1) >= maxSilent
	}
	s.silent.Store(0)
	return false
}

func (s *session) retain() { s.users.Add(1) }

func (s *session) release() {
	if s.users.Add(-1) == 0 {
		s.conn.Shutdown()
		handles.closed(s)
	}
}

// connect makes a session that one user holds.
func connect(cfg Config) (*session, error) {
	conn, err := rados.NewConnWithClusterAndUser("ceph", cfg.Entity)
	if err != nil {
		return nil, err
	}
	if err := configure(conn, cfg); err != nil {
		return nil, err // go-ceph's finalizer frees a connection that never was one
	}
	if err := conn.Connect(); err != nil {
		return nil, explainConnect(cfg, translate(err))
	}
	ses := &session{conn: conn}
	ses.users.Store(1)
	handles.opened(ses, "connection as "+cfg.Entity)
	if ses.address, err = clientAddress(conn); err != nil {
		ses.release()
		return nil, err
	}
	return ses, nil
}

// configure reads ceph.conf and bounds what would wait for ever.
func configure(conn *rados.Conn, cfg Config) error {
	read := func() error { return conn.ReadConfigFile(cfg.ConfFile) }
	if cfg.ConfFile == "" {
		read = conn.ReadDefaultConfigFile
	}
	if err := read(); err != nil {
		return fmt.Errorf("ceph.conf %s: %w", cfg.ConfFile, err)
	}
	if cfg.Key != nil {
		if err := conn.SetConfigOption("key", string(cfg.Key)); err != nil {
			return err
		}
	}
	for option, value := range map[string]string{
		// Images are read and written here in pieces of megabytes, once: a cache only
		// copies them.
		"rbd_cache": "false",
		// A look at an image changes nothing of it: see headerVersion.
		"rbd_atime_update_interval": "0",
	} {
		if err := conn.SetConfigOption(option, value); err != nil {
			return err
		}
	}
	// The defaults are 300 s, for ever and for ever. What ceph.conf says stays.
	for _, bound := range []struct {
		option    string
		byDefault float64
		want      time.Duration
	}{
		{"client_mount_timeout", 300, cfg.ConnectTimeout},
		{"rados_mon_op_timeout", 0, cfg.OpTimeout},
		{"rados_osd_op_timeout", 0, cfg.OpTimeout},
	} {
		if err := setUnlessChanged(conn, bound.option, bound.byDefault, bound.want); err != nil {
			return err
		}
	}
	return nil
}

func setUnlessChanged(conn *rados.Conn, option string, byDefault float64, want time.Duration) error {
	text, err := conn.GetConfigOption(option)
	if err != nil {
		return fmt.Errorf("reading %s: %w", option, err)
	}
	if now, err := strconv.ParseFloat(text, 64); err == nil && now != byDefault {
		return nil
	}
	seconds := strconv.Itoa(max(1, int(want.Round(time.Second)/time.Second)))
	if err := conn.SetConfigOption(option, seconds); err != nil {
		return fmt.Errorf("setting %s: %w", option, err)
	}
	return nil
}

// explainConnect says what to do about a failed connect.
func explainConnect(cfg Config, err error) error {
	switch kind := kindOf(err); {
	case errors.Is(kind, ErrDenied):
		return fmt.Errorf("%w: the monitors refused %s: wrong key, unknown entity, or no caps: compare with `ceph auth get %s`", err, cfg.Entity, cfg.Entity)
	case errors.Is(kind, ErrUnavailable):
		return fmt.Errorf("%w: no monitor answered within %s: check mon_host in ceph.conf and the network", err, cfg.ConnectTimeout)
	case errors.Is(kind, ErrNotFound):
		return fmt.Errorf("%w: no keyring with a key for %s: ceph.conf's keyring, or /etc/ceph/ceph.%s.keyring, must hold it", err, cfg.Entity, cfg.Entity)
	}
	return err
}

// clientAddress is the connection's address without the messenger's version.
func clientAddress(conn *rados.Conn) (string, error) {
	addrs, err := conn.GetAddrs()
	if err != nil {
		return "", fmt.Errorf("own address: %w", err)
	}
	return bareAddress(addrs), nil
}

// withStatus adds the sentence that a daemon gave with its refusal.
func withStatus(err error, status string) error {
	if err == nil || status == "" {
		return err
	}
	return &refusalError{translate(err), status}
}

// refusalError is an errno that a daemon has explained.
type refusalError struct {
	error
	sentence string
}

func (r *refusalError) Error() string { return strings.TrimSpace(r.sentence) }
func (r *refusalError) Unwrap() error { return r.error }

// commandName is the words of a JSON command, for messages. Nothing else of the
// command is shown: arguments may hold keys.
func commandName(cmd []byte) string {
	var c struct {
		Prefix string `json:"prefix"`
	}
	if err := json.Unmarshal(cmd, &c); err != nil || c.Prefix == "" {
		return "(malformed)"
	}
	return strconv.Quote(c.Prefix)
}
