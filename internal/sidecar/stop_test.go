package sidecar

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"rbdctl/internal/fault"
)

// TestDrain: what runs when a stop is asked for comes to its end, and nothing new
// is taken meanwhile.
func TestDrain(t *testing.T) {
	r := start(t)
	path := r.volume(mib)
	up := r.beginUpload(path+"/data", mib)
	defer up.Close()
	up.send(mib / 2)
	r.underWay()

	var stopped sync.WaitGroup
	stopped.Go(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	r.eventually("no more connections are taken", func() bool {
		conn, err := net.Dial("unix", r.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	up.send(mib / 2)
	if p := up.reply(); p.status != http.StatusOK {
		t.Errorf("the upload: %d %s", p.status, p.text)
	}
	stopped.Wait()
	if _, err := os.Stat(r.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestConnectedBeforeTheStop: a client that has connected has its request answered,
// also when the stop is asked for before it has sent it.
func TestConnectedBeforeTheStop(t *testing.T) {
	r := start(t)
	conn, err := net.Dial("unix", r.socket)
	r.must(err)
	defer func() { _ = conn.Close() }()
	// Connections are taken in their order: when the second is served, so was the first.
	r.wants(http.StatusOK, http.MethodGet, "/v1/jobs", nil)

	var stopped sync.WaitGroup
	stopped.Go(func() { _ = r.stop() }) // the end of the test looks at it
	r.eventually("the stop has begun", func() bool { return strings.Contains(r.log.String(), `"stopping"`) })
	time.Sleep(100 * time.Millisecond)
	_, err = conn.Write([]byte("GET /v1/jobs HTTP/1.1\r\nHost: sidecar\r\n\r\n"))
	r.must(err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("a request on a connection from before the stop: %v", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("a request on a connection from before the stop: %s", answer.Status)
	}
	stopped.Wait()
}

// underWay waits until one request runs.
func (r *running) underWay() {
	r.Helper()
	r.eventually("the request runs", func() bool {
		return strings.Contains(r.statusPage("/metrics").text, "\nrbdctl_http_requests_in_flight 1\n")
	})
}

// TestDrainEnds: what does not come to its end in the drain time is cut off, and
// the stop says so. Another sidecar goes on with it.
func TestDrainEnds(t *testing.T) {
	r := start(t, ownPool(t), func(c *Config) { c.DrainTimeout = 100 * time.Millisecond })
	other := another(t, func(c *Config) { c.Pool, c.ImagePool = r.cfg.Pool, r.cfg.ImagePool })
	path := r.volume(mib)
	up := r.beginUpload(path+"/data", mib)
	defer up.Close()
	up.send(mib / 2)
	r.underWay()
	r.wantStop = fault.ErrOutcomeUnknown
	_ = r.stop() // the end of the test looks at it
	content := strings.Repeat("y", mib)
	other.wants(http.StatusOK, http.MethodPut, path+"/data", content)
	if got := other.wants(http.StatusOK, http.MethodGet, path+"/data", nil); got.text != content {
		t.Error("it reads otherwise than it was written")
	}
	other.leaves(path)
}

// TestSocketTakenOver: a socket whose process is gone is taken over, one that is
// served is not, and neither is a file.
func TestSocketTakenOver(t *testing.T) {
	path := shortDir(t) + "/s"
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	at := func(c *Config) { c.Socket = path }
	first := start(t, at)
	first.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil)

	for _, tt := range []struct {
		name, path string
		want       error
	}{
		{"served", path, fault.ErrInUse},
		{"a file", os.Args[0], fault.ErrExists},
		{"no directory", "/does/not/exist/s", fault.ErrNotFound},
		{"too long", shortDir(t) + "/" + strings.Repeat("s", 200), fault.ErrInvalid},
	} {
		cfg := first.cfg
		cfg.Socket, cfg.Listen = tt.path, ""
		second, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(t.Context()); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: Run = %v, want %v", tt.name, err, tt.want)
		}
	}
	cfg := first.cfg
	cfg.Socket, cfg.Listen = path+"2", first.status
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); !errors.Is(err, fault.ErrInUse) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("an address that is taken: Run = %v", err)
	}
	first.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil)
}

// TestTwoStartAtOnce: of many that find a stale socket, one serves.
func TestTwoStartAtOnce(t *testing.T) {
	path := shortDir(t) + "/s"
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var listeners []net.Listener
	for range 16 {
		group.Go(func() {
			l, err := listenUnix(path, nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				listeners = append(listeners, l)
			case !errors.Is(err, fault.ErrInUse):
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, l := range listeners {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(listeners) != 1 {
		t.Errorf("%d of them serve", len(listeners))
	}
}
