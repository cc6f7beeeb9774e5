package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const mib = 1 << 20

// running is a server of a test's own, and a client of it.
type running struct {
	*testing.T
	*Server
	socket, status string // status: HOST:PORT
	client         *http.Client
	log            *logBuffer
	wantStop       error        // what Run is to return
	stop           func() error // ends Run, and is what it returned
	ended          chan struct{}
}

// start runs a server on the cluster of the tests, with one pool for volumes and
// images. It is stopped when the test ends, and must then leave no goroutine.
func start(t *testing.T, edit ...func(*Config)) *running {
	t.Helper()
	before := goleak.IgnoreCurrent()
	var r *running
	t.Cleanup(func() {
		if r != nil {
			r.noGoroutines(before)
		}
	})
	r = another(t, edit...)
	return r
}

// another is start for one more server in a test that has started one: the check
// for goroutines is the first one's, and comes last.
func another(t *testing.T, edit ...func(*Config)) *running {
	t.Helper()
	dir := shortDir(t)
	cfg := Config{Socket: filepath.Join(dir, "s"), Listen: freeAddress(t), PurgeInterval: time.Hour}
	for _, e := range edit {
		e(&cfg)
	}
	if cfg.Cluster.ConfFile == "" {
		cfg.Cluster = rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"}
	}
	if cfg.Pool == "" {
		cfg.Pool, cfg.ImagePool = labtest.Pool(t), labtest.Pool(t)
	}
	r := &running{T: t, socket: cfg.Socket, status: cfg.Listen, log: &logBuffer{}}
	server, err := New(cfg, WithLogger(slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	r.must(err)
	r.Server = server
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.socket)
	}}
	r.client = &http.Client{Transport: transport}

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.ended = make(chan struct{})
	var returned error
	go func() {
		defer close(r.ended)
		returned = server.Run(ctx)
	}()
	r.stop = func() error {
		cancel()
		<-r.ended
		return returned
	}
	t.Cleanup(func() {
		if err := r.stop(); !errors.Is(err, r.wantStop) {
			t.Errorf("Run = %v", err)
		}
		transport.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the log:\n%s", r.log)
		}
	})
	r.eventually("the socket answers", func() bool {
		select {
		case <-r.ended:
			t.Fatalf("Run = %v", returned)
		default:
		}
		conn, err := net.Dial("unix", r.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return r
}

// noGoroutines waits until the server has none any more.
func (r *running) noGoroutines(before goleak.Option) {
	r.Helper()
	var left error
	defer func() {
		if left != nil {
			r.Log(left)
		}
	}()
	r.eventually("no goroutine is left", func() bool {
		left = goleak.Find(before, goleak.IgnoreAnyFunction("rbdctl/internal/lab.(*Lab).spawn.func1"))
		return left == nil
	})
}

// shortDir is a directory whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sidecar-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (r *running) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// eventually looks until it is so; a minute without is a failure.
func (r *running) eventually(what string, so func() bool) {
	r.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			r.Fatalf("not within a minute: %s", what)
		}
	}
}

// reply is the answer to a request.
type reply struct {
	status int
	header http.Header
	text   string
	doc    map[string]any // nil: not JSON
}

func (p reply) kind() string   { return text(p.doc["kind"]) }
func (p reply) detail() string { return text(p.doc["detail"]) }

func text(v any) string {
	s, _ := v.(string)
	return s
}

// do makes a request to the API. body is a string as it is sent, an io.Reader,
// something to encode, or nil.
func (r *running) do(method, path string, body any) reply {
	r.Helper()
	p, err := r.try(method, path, body)
	r.must(err)
	return p
}

func (r *running) try(method, path string, body any) (reply, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case io.Reader:
		in = b
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return reply{}, err
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), method, "http://sidecar"+path, in)
	if err != nil {
		return reply{}, err
	}
	answer, err := r.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	return readReply(answer)
}

func readReply(answer *http.Response) (reply, error) {
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	p := reply{status: answer.StatusCode, header: answer.Header, text: string(data)}
	_ = json.Unmarshal(data, &p.doc)
	return p, err
}

// wants makes a request and demands its status.
func (r *running) wants(status int, method, path string, body any) reply {
	r.Helper()
	p := r.do(method, path, body)
	if p.status != status {
		r.Fatalf("%s %s = %d, want %d: %s", method, path, p.status, status, p.text)
	}
	return p
}

// statusPage gets a page of the TCP listener.
func (r *running) statusPage(path string) reply {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+r.status+path, nil)
	r.must(err)
	req.Close = true
	answer, err := http.DefaultClient.Do(req)
	r.must(err)
	p, err := readReply(answer)
	r.must(err)
	return p
}

// volume makes a blank volume and returns its path in the API.
func (r *running) volume(size uint64) string {
	r.Helper()
	path := "/v1/volumes/" + uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, path, map[string]any{"size_bytes": size})
	return path
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
