package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// sidecar is a running `rbdctl serve`, with what it needs but its defaults, and a
// client of its socket.
type sidecar struct {
	cmd    *exec.Cmd
	dir    string // of the socket and the log; goes with it
	client http.Client
	ended  chan struct{}
}

// serve starts a sidecar and returns when it has answered from the cluster. The
// caller stops it.
func (b *bench) serve(ctx context.Context) (*sidecar, error) {
	dir, err := os.MkdirTemp("", "rbdctl-bench-") // a socket's path is short
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer log.Close()
	socket := filepath.Join(dir, "socket")
	s := &sidecar{dir: dir, ended: make(chan struct{}), client: http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: requests,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
	s.cmd = exec.CommandContext(ctx, b.rbdctl, "--ceph-conf", b.conf, "serve", "--socket", socket, "--listen", "127.0.0.1:0")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	if err := s.ready(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		s.stop()
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return s, nil
}

// ready waits until the sidecar serves from the cluster.
func (s *sidecar) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := s.ask(ctx, http.MethodGet, "/v1/volumes", "", http.StatusOK)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-s.ended:
			return fmt.Errorf("rbdctl serve has ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("rbdctl serve does not answer: %w", err)
		}
	}
}

// stop ends the sidecar as systemd does, and waits for it.
func (s *sidecar) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
	s.client.CloseIdleConnections()
	_ = os.RemoveAll(s.dir)
}

// ask makes a request and demands the status of its answer, which is read whole.
func (s *sidecar) ask(ctx context.Context, method, path, body string, status int) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://sidecar"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != status {
		err = fmt.Errorf("%s %s = %d, want %d: %s", method, path, answer.StatusCode, status, text)
	}
	return err
}

// create asks for a new volume.
func (s *sidecar) create(ctx context.Context, id string, size uint64, kind, source string) error {
	body := fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":%q,"id":%q}}`, size, kind, source)
	return s.ask(ctx, http.MethodPut, "/v1/volumes/"+id, body, http.StatusCreated)
}

func (s *sidecar) delete(ctx context.Context, id string) error {
	return s.ask(ctx, http.MethodDelete, "/v1/volumes/"+id, "", http.StatusNoContent)
}
