package kill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

// sidecar is one `rbdctl serve` process.
type sidecar struct {
	cmd    *exec.Cmd
	client *http.Client
	arm    string // the file that arms its failpoints
	log    string
	ended  chan struct{}
	once   sync.Once
}

// serve starts a sidecar and waits until its socket answers. It is killed at the
// end of the test.
func (s *stage) serve(t testing.TB, environment ...string) *sidecar {
	t.Helper()
	return s.serveWith(t, nil, environment...)
}

// serveWith is serve with more flags.
func (s *stage) serveWith(t testing.TB, flags []string, environment ...string) *sidecar {
	t.Helper()
	dir, err := os.MkdirTemp("", "serve") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	c := &sidecar{arm: filepath.Join(dir, "arm"), log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := []string{"serve", "--socket", socket, "--listen", "127.0.0.1:0", "--pool", s.volumes, "--image-pool", s.images}
	c.cmd = lab.Command(context.Background(), s.conf, s.binary, append(args, flags...)...)
	c.cmd.Env = append(append(c.cmd.Env, "RBDCTL_FAILPOINT_ARM="+c.arm), environment...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.cmd.Wait(); close(c.ended) }()
	t.Cleanup(func() {
		if t.Failed() {
			c.keepLog(t)
		}
		c.kill()
	})
	c.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline) && !c.over(); {
		if a, err := c.ask(t.Context(), http.MethodGet, "/openapi.json", ""); err == nil && a.status == http.StatusOK {
			return c
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(c.log)
	t.Fatalf("the sidecar does not answer: %s", text)
	return nil
}

// tidy starts a sidecar that looks every other second for what dead ones began.
func (s *stage) tidy(t testing.TB) *sidecar {
	t.Helper()
	return s.serveWith(t, []string{"--purge-interval", "2s"})
}

// kill ends the sidecar as a power cut would.
func (c *sidecar) kill() {
	c.once.Do(func() { _ = c.cmd.Process.Kill() })
	<-c.ended
}

// keepLog keeps the log of a sidecar for whoever looks for the cause of a failure (go test
// -artifacts), and has one that lives write there what its goroutines do.
func (c *sidecar) keepLog(t testing.TB) {
	c.signal(syscall.SIGCONT)
	c.signal(syscall.SIGQUIT)
	c.dead()
	text, err := os.ReadFile(c.log)
	if err == nil {
		name := fmt.Sprintf("sidecar-%d.log", c.cmd.Process.Pid)
		err = os.WriteFile(filepath.Join(t.ArtifactDir(), name), text, 0o600)
	}
	if err != nil {
		t.Log(err)
	}
}

func (c *sidecar) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

// dead tells whether the process has ended, and waits for it: its socket is closed
// first, and the rest of a process that was killed takes its time on a busy machine.
func (c *sidecar) dead() bool {
	select {
	case <-c.ended:
		return true
	case <-time.After(time.Minute):
		return false
	}
}

// over tells whether the process has ended by now.
func (c *sidecar) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// connected is the line of the log that tells the address by which the monitors
// know a sidecar.
var connected = regexp.MustCompile(`connected to the cluster.* address=(\S+)`)

// address is that of the sidecar's newest connection; "" before the first.
func (c *sidecar) address() string {
	text, _ := os.ReadFile(c.log)
	all := connected.FindAllSubmatch(text, -1)
	if len(all) == 0 {
		return ""
	}
	return string(all[len(all)-1][1])
}

// answer is what a request got.
type answer struct {
	status int
	body   map[string]any
}

func (a answer) String() string { return fmt.Sprintf("%d %v", a.status, a.body) }

// askUntil asks again, as the driver does, while the answer is to do so.
func (c *sidecar) askUntil(ctx context.Context, method, path, body string) (answer, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		a, err := c.ask(ctx, method, path, body)
		later := a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout
		if err != nil || !later || time.Now().After(deadline) {
			return a, err
		}
	}
}

func (c *sidecar) ask(ctx context.Context, method, path, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://sidecar"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	a := answer{status: res.StatusCode}
	if err == nil && len(bytes.TrimSpace(text)) > 0 {
		err = json.Unmarshal(text, &a.body)
	}
	return a, err
}

// must asks, and fails the test unless the answer has one of the statuses.
func (c *sidecar) must(t testing.TB, method, path, body string, statuses ...int) answer {
	t.Helper()
	a, err := c.ask(t.Context(), method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if !slices.Contains(statuses, a.status) {
		t.Fatalf("%s %s %s: %s, want one of %v", method, path, body, a, statuses)
	}
	return a
}

// nothingLeft fails the test unless a pool has neither images nor trash nor
// unfinished business.
func (s *stage) nothingLeft(t testing.TB, pool string) {
	t.Helper()
	for _, object := range s.left(pool) {
		t.Errorf("left in %s: %s", pool, object)
		// One that is gone stays for a snapshot.
		out, _ := lab.Command(context.Background(), s.conf, "rados", "-p", pool, "listsnaps", strings.TrimPrefix(object, "/")).CombinedOutput()
		t.Logf("%s", out)
	}
}

// left are the objects of a pool that are not RBD's own lists.
func (s *stage) left(pool string) []string {
	s.Helper()
	lists := []string{"/rbd_directory", "/rbd_info", "/rbd_children", "/rbd_trash", "/rbd_group_directory"}
	return slices.DeleteFunc(s.objects(pool), func(object string) bool { return slices.Contains(lists, object) })
}

// fsck fails the test if rbdctl fsck finds anything that a living sidecar does not end
// within a minute: one that is killed right after its answer may have begun a purge.
func (s *stage) fsck(t testing.TB) {
	t.Helper()
	findings := s.findings(t)
	for deadline := time.Now().Add(time.Minute); len(findings) > 0 && time.Now().Before(deadline); findings = s.findings(t) {
		time.Sleep(time.Second)
	}
	for _, f := range findings {
		t.Errorf("fsck finds %s", f)
	}
}

// findings are those of rbdctl fsck.
func (s *stage) findings(t testing.TB) []json.RawMessage {
	t.Helper()
	cmd := lab.Command(context.Background(), s.conf, s.binary, "fsck", "--output", "json", s.volumes, s.images)
	out, err := cmd.Output()
	var report struct {
		Findings []json.RawMessage `json:"findings"`
	}
	if len(out) == 0 {
		t.Fatalf("rbdctl fsck: %v", err)
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("rbdctl fsck printed %q: %v", out, err)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return report.Findings
}

// digest is the SHA-256 of an image's content.
func (s *stage) digest(t testing.TB, image string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "content")
	labtest.RBD(t, "export", "--no-progress", s.volumes+"/"+image, file)
	return sum(t, file)
}
