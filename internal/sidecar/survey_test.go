package sidecar

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
)

// TestSharedPool: the statistics of a shared pool have the sizes of all images, lately
// added up; one that can't be read is left out and makes nothing else of them.
func TestSharedPool(t *testing.T) {
	pool := labtest.FreshPool(t)
	r := start(t, func(c *Config) {
		c.Pool, c.ImagePool, c.Shared, c.PurgeInterval = pool, pool, true, 100*time.Millisecond
	})
	provisioned := func() any {
		time.Sleep(100 * time.Millisecond) // the log has each request
		stats := r.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil)
		if stats.doc["state"] != "up" {
			t.Fatalf("stats = %s", stats.text)
		}
		return stats.doc["provisioned_bytes"]
	}
	r.volume(mib)
	r.eventually("the volume is counted", func() bool { return provisioned() == float64(mib) })

	broken := pool + "/broken-" + uuid.NewString()
	labtest.RBD(t, "create", "--size", "8M", broken)
	r.eventually("the stranger is counted", func() bool { return provisioned() == float64(9*mib) })
	r.breakImage(broken)
	r.eventually("the stranger is left out", func() bool { return provisioned() == float64(mib) })
	r.eventually("the log tells", func() bool { return strings.Contains(r.log.String(), "can't be read") })
	r.volume(2 * mib)
	r.eventually("the others are counted", func() bool { return provisioned() == float64(3*mib) })
}

// breakImage makes an image one that is listed and can't be opened: its header holds no
// size. image is pool/name.
func (r *running) breakImage(image string) {
	r.Helper()
	pool, _, _ := strings.Cut(image, "/")
	info := string(labtest.RBD(r, "info", "--format", "json", image))
	_, rest, _ := strings.Cut(info, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	labtest.Tool(r, "rados", "-p", pool, "setomapval", "rbd_header."+id, "size", "x")
}
