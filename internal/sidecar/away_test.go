package sidecar

import (
	"net/http"
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
	r.isAway()
	up(t, l)
	r.isBack()
	path := r.volume(mib)

	down(t, l)
	r.isAway()
	up(t, l)
	r.isBack()
	r.wants(http.StatusOK, http.MethodPut, path, map[string]any{"size_bytes": mib})
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

// isAway demands what a sidecar without a cluster says.
func (r *running) isAway() {
	r.Helper()
	if p := r.statusPage("/readyz"); p.status != http.StatusServiceUnavailable || p.kind() != "unavailable" {
		r.Errorf("/readyz = %d %s", p.status, p.text)
	}
	if p := r.statusPage("/healthz"); p.status != http.StatusOK {
		r.Errorf("/healthz = %d", p.status)
	}
	p := r.do(http.MethodPut, "/v1/volumes/"+uuid.NewString(), map[string]any{"size_bytes": mib})
	if p.kind() != "unavailable" && p.kind() != "outcome_unknown" {
		r.Errorf("PUT = %d %s", p.status, p.text)
	}
	if p := r.do(http.MethodGet, "/v1/volumes", nil); p.status != http.StatusServiceUnavailable && p.status != http.StatusGatewayTimeout {
		r.Errorf("GET = %d %s", p.status, p.text)
	}
	if p := r.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil); p.doc["state"] != "down" || p.doc["pool"] != "volumes" {
		r.Errorf("stats = %s", p.text)
	}
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
