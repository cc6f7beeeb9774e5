package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
)

// daemon is `rbdctl serve` as a process.
type daemon struct {
	*testing.T
	cmd    *exec.Cmd
	socket string
	log    *lockedBuffer
	ended  chan error
}

// startServe runs `rbdctl serve` on a pool of the test's own. shell, if not empty,
// is a command of the shell that runs "$@" with what systemd would give it.
func startServe(t *testing.T, shell string, files []*os.File, env []string, args ...string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "serve-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{T: t, socket: filepath.Join(dir, "s"), log: &lockedBuffer{}, ended: make(chan error, 1)}
	pool := labtest.Pool(t)
	args = append([]string{
		self, "--ceph-conf", labtest.Conf(t), "serve", "--socket", d.socket, "--listen", "",
		"--pool", pool, "--image-pool", pool, "--log-format", "json",
	}, args...)
	if shell != "" {
		args = append([]string{"sh", "-c", shell, "sh"}, args...)
	}
	d.cmd = exec.Command(args[0], args[1:]...)
	d.cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	d.cmd.ExtraFiles, d.cmd.Stderr = files, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	return d
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// logs waits until the log has a message.
func (d *daemon) logs(message string) {
	d.Helper()
	for late := time.After(time.Minute); !strings.Contains(d.log.String(), `"msg":"`+message+`"`); {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			d.Fatalf("no %q in the log: %s", message, d.log)
		}
	}
}

// ends demands an exit status.
func (d *daemon) ends(status int) {
	d.Helper()
	select {
	case err := <-d.ended: // of its status
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			d.Fatal(err)
		}
	case <-time.After(time.Minute):
		d.Fatal("it does not end within a minute")
	}
	if got := d.cmd.ProcessState.ExitCode(); got != status {
		d.Errorf("exit status %d, want %d: %s", got, status, d.log)
	}
}

// answers waits until a request to a socket has its status.
func (d *daemon) answers(socket string, status int, method, path, body string) {
	d.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	for late := time.After(time.Minute); ; {
		req, err := http.NewRequestWithContext(d.Context(), method, "http://sidecar"+path, strings.NewReader(body))
		if err != nil {
			d.Fatal(err)
		}
		answer, err := client.Do(req)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode != status {
				d.Fatalf("%s %s = %d, want %d", method, path, answer.StatusCode, status)
			}
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case err := <-d.ended:
			d.Fatalf("it ended: %v: %s", err, d.log)
		case <-late:
			d.Fatal(err)
		}
	}
}

// TestServe: SIGHUP makes a new connection, SIGTERM a stop that is a success, and
// the log is JSON, line by line, with OpenStack's words.
func TestServe(t *testing.T) {
	d := startServe(t, "", nil, nil)
	path := "/v1/volumes/" + uuid.NewString()
	d.answers(d.socket, http.StatusCreated, http.MethodPut, path, `{"size_bytes":1048576}`)
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.logs("reloaded")
	d.answers(d.socket, http.StatusNoContent, http.MethodDelete, path, "")
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.ends(0)
	if _, err := os.Stat(d.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	messages := map[string]int{}
	for line := range strings.Lines(d.log.String()) {
		var entry struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("a line of the log: %v: %s", err, line)
		}
		messages[entry.Msg]++
	}
	for message, n := range map[string]int{"connected to the cluster": 2, "reloaded": 1, "request": 2, "stopping": 1, "stopped": 1} {
		if messages[message] != n {
			t.Errorf("%d lines %q, want %d: %s", messages[message], message, n, d.log)
		}
	}
}

// TestServeUnderSystemd: it serves the sockets that it is passed, tells when it is
// ready, stays alive to the watchdog, and leaves the sockets when it stops.
func TestServeUnderSystemd(t *testing.T) {
	dir, err := os.MkdirTemp("", "serve-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	api, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/api"})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	status, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	files := []*os.File{mustFile(t, api), mustFile(t, status)}

	d := startServe(t, `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$@"`, files, []string{
		"LISTEN_FDS=2", "NOTIFY_SOCKET=" + dir + "/notify", "WATCHDOG_USEC=200000",
	})
	said := func(want string) {
		t.Helper()
		buffer := make([]byte, 4096)
		for {
			if err := notify.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			n, err := notify.Read(buffer)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if string(buffer[:n]) == want {
				return
			}
		}
	}
	said("READY=1")
	d.answers(dir+"/api", http.StatusOK, http.MethodGet, "/v1/stats", "")
	answer, err := http.Get("http://" + status.Addr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/readyz = %d", answer.StatusCode)
	}
	said("WATCHDOG=1")
	said("WATCHDOG=1")
	if _, err := os.Stat(d.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it made a socket of its own: %v", err)
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said("STOPPING=1")
	d.ends(0)
	if _, err := os.Stat(dir + "/api"); err != nil {
		t.Errorf("systemd's socket: %v", err)
	}
}

// mustFile is a copy of a listener's descriptor, which a child inherits.
func mustFile(t *testing.T, l interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestServeRefusals: what is wrong with the command line is said at once.
func TestServeRefusals(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--allow-uid", "no-such-user"}, 2, "--allow-uid no-such-user"},
		{[]string{"--allow-gid", "no-such-group"}, 2, "--allow-gid no-such-group"},
		{[]string{"--allow-uid", "4294967296"}, 2, "--allow-uid 4294967296"},
		{[]string{"--log-format", "xml"}, 2, "--log-format xml"},
		{[]string{"--log-level", "loud"}, 2, "--log-level loud"},
		{[]string{"--max-requests", "-1"}, 2, "limit"},
		{[]string{"--request-timeout", "-1s"}, 2, "negative"},
		{[]string{"--socket", "/does/not/exist/s"}, 3, "/does/not/exist"},
		{[]string{"--listen", "nowhere"}, 2, "nowhere"},
		{[]string{"operand"}, 2, "operand"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			d := startServe(t, "", nil, nil, tt.args...)
			d.ends(tt.status)
			if !strings.Contains(d.log.String(), tt.says) {
				t.Errorf("it says %q", d.log)
			}
		})
	}
}
