package sidecar

import (
	"net/http"
	"testing"
	"time"

	"rbdctl/internal/fault"
	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestStuckCall: a server of which a call does not return ends by itself, in bounded
// time, and says why.
func TestStuckCall(t *testing.T) {
	r := stuck(t, 20*time.Second, 2*time.Second)
	r.endsWithin(15 * time.Second) // before the call returns
}

// TestStuckCallOfARetiredConnection: a call that does not return is seen also when its
// connection was replaced meanwhile.
func TestStuckCallOfARetiredConnection(t *testing.T) {
	r := stuck(t, 40*time.Second, 8*time.Second)
	r.must(r.Reload(t.Context()))
	if _, abandoned := r.link.calls(); abandoned == 0 {
		t.Error("the call of the retired connection is not counted")
	}
	r.endsWithin(25 * time.Second) // before the call returns
}

// stuck starts a server with a call that returns after the timeout of an operation, and
// was let go.
func stuck(t *testing.T, operation, after time.Duration) *running {
	t.Helper()
	l := labtest.Lab(t, lab.Options{NoLibvirt: true, OSDs: 1})
	makePool(t, l)
	r := start(t, func(c *Config) {
		c.Cluster = rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin", OpTimeout: operation}
		c.Pool, c.ImagePool = "volumes", "volumes"
		c.RequestTimeout, c.StuckTime, c.DrainTimeout = time.Second, after, time.Second
	})
	r.isBack()
	r.wantStop = fault.ErrUnavailable
	kill(t, l, "osd.0")
	if p := r.do(http.MethodGet, "/v1/volumes", nil); p.kind() != "unavailable" {
		t.Errorf("GET = %d %s", p.status, p.text)
	}
	return r
}

func (r *running) endsWithin(limit time.Duration) {
	r.Helper()
	select {
	case <-r.ended:
	case <-time.After(limit):
		r.Error("the server goes on")
	}
}
