package sidecar

import (
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestClusterAway: a sidecar starts without its cluster, answers that it is away,
// and finds it by itself, at first and after an outage.
func TestClusterAway(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true})
	makePool(t, l)
	down(t, l)
	r := start(t, func(c *Config) {
		c.Cluster = rbd.Config{
			ConfFile: l.ConfFile(), Entity: "client.admin",
			ConnectTimeout: 3 * time.Second, OpTimeout: 3 * time.Second,
		}
		c.Pool, c.ImagePool, c.RequestTimeout = "volumes", "volumes", 5*time.Second
	})
	before := r.isAway()
	up(t, l)
	r.isBack()
	path := r.volume(mib)

	down(t, l)
	during := r.isAway()
	up(t, l)
	r.isBack()
	r.wants(http.StatusOK, http.MethodPut, path, map[string]any{"size_bytes": mib})
	for _, asked := range []string{before, during} { // they may have been made
		r.wants(http.StatusNoContent, http.MethodDelete, asked, nil)
	}
	r.leaves(path)
}

// TestMonitorsAway: the monitors do not answer, and the OSDs do. A sidecar answers within
// its bound, whether it is connected or not, says that the cluster is down, and goes on
// by itself when they are back.
func TestMonitorsAway(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true})
	makePool(t, l)
	const outage, bound = time.Minute, 5*time.Second + 10*time.Second
	configure := func(c *Config) {
		c.Cluster = rbd.Config{
			ConfFile: l.ConfFile(), Entity: "client.admin",
			ConnectTimeout: 3 * time.Second, OpTimeout: 3 * time.Second,
		}
		c.Pool, c.ImagePool, c.RequestTimeout = "volumes", "volumes", 5*time.Second
	}
	r := start(t, configure)
	r.isBack()
	path := r.volume(mib)
	asked := []string{path}

	monitor, err := l.PID("mon.a")
	r.must(err)
	r.must(syscall.Kill(monitor, syscall.SIGSTOP))
	goOn := sync.OnceFunc(func() { r.must(syscall.Kill(monitor, syscall.SIGCONT)) })
	t.Cleanup(goOn)
	answered := func(what string, begun time.Time) {
		if took := time.Since(begun); took > bound {
			t.Errorf("%s is answered after %s, want %s at most", what, took, bound)
		}
	}
	late := another(t, configure) // finds no cluster
	for end := time.Now().Add(outage); time.Now().Before(end); {
		volume := "/v1/volumes/" + uuid.NewString()
		for _, s := range []*running{r, late} {
			for _, change := range []struct{ method, path string }{{http.MethodPut, volume}, {http.MethodPost, path + "/extend"}} {
				begun := time.Now()
				p := s.do(change.method, change.path, map[string]any{"size_bytes": mib})
				// One that is connected does without the monitors what OSDs can do.
				if kind := p.kind(); s == late && p.status < 300 || p.status >= 300 && kind != "unavailable" && kind != "outcome_unknown" {
					t.Errorf("%s = %d %s", change.path, p.status, p.text)
				}
				answered(change.path, begun)
			}
			begun := time.Now()
			if p := s.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil); p.doc["state"] != "down" {
				t.Errorf("stats = %s", p.text)
			}
			answered("stats", begun)
		}
		asked = append(asked, volume)
	}
	goOn()
	r.isBack()
	late.isBack()
	for _, path := range asked {
		r.eventually("the volume is made", func() bool { return r.do(http.MethodPut, path, map[string]any{"size_bytes": mib}).status < 300 })
	}
	r.leaves(asked...)
}

// makePool makes the pool volumes of a lab.
func makePool(t *testing.T, l *lab.Lab) {
	t.Helper()
	admin, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.MonCommand(t.Context(), []byte(`{"prefix":"osd pool create","pool":"volumes","pg_num":8}`)); err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(); err != nil {
		t.Fatal(err)
	}
}

// isAway demands what a sidecar without a cluster says, and returns the path of the
// volume that it was asked for.
func (r *running) isAway() string {
	r.Helper()
	if p := r.statusPage("/readyz"); p.status != http.StatusServiceUnavailable || p.kind() != "unavailable" {
		r.Errorf("/readyz = %d %s", p.status, p.text)
	}
	if p := r.statusPage("/healthz"); p.status != http.StatusOK {
		r.Errorf("/healthz = %d", p.status)
	}
	path := "/v1/volumes/" + uuid.NewString()
	p := r.do(http.MethodPut, path, map[string]any{"size_bytes": mib})
	if p.kind() != "unavailable" && p.kind() != "outcome_unknown" {
		r.Errorf("PUT = %d %s", p.status, p.text)
	}
	if p := r.do(http.MethodGet, "/v1/volumes", nil); p.status != http.StatusServiceUnavailable && p.status != http.StatusGatewayTimeout {
		r.Errorf("GET = %d %s", p.status, p.text)
	}
	if p := r.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil); p.doc["state"] != "down" || p.doc["pool"] != "volumes" {
		r.Errorf("stats = %s", p.text)
	}
	return path
}

func (r *running) isBack() {
	r.Helper()
	r.eventually("it is ready", func() bool { return r.statusPage("/readyz").status == http.StatusOK })
	r.eventually("the statistics say up", func() bool {
		return r.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil).doc["state"] == "up"
	})
}

func down(t *testing.T, l *lab.Lab) {
	t.Helper()
	if err := lab.Down(t.Context(), lab.DownOptions{Dir: l.Dir(), KeepData: true}); err != nil {
		t.Fatal(err)
	}
}

func up(t *testing.T, l *lab.Lab) {
	t.Helper()
	if _, err := lab.Up(t.Context(), lab.Options{Dir: l.Dir(), NoLibvirt: true}); err != nil {
		t.Fatal(err)
	}
}
