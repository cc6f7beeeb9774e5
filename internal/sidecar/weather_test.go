package sidecar

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestQuota: in a pool that is at its quota what needs space says so at once, and leaves
// nothing half done; deletes go on, and make the space that is wanted.
func TestQuota(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Pool, c.ImagePool = labtest.FreshPool(t), labtest.Pool(t)
		c.PurgeInterval = time.Second
	})
	pool := r.cfg.Pool
	full, kept := r.volume(8*mib), r.volume(mib)
	r.wants(http.StatusOK, http.MethodPut, full+"/data", strings.Repeat("x", 8*mib))
	snapshot := uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, kept+"/snapshots/"+snapshot, nil)
	labtest.Ceph(t, "osd", "pool", "set-quota", pool, "max_bytes", "4194304")
	r.eventually("the monitors see that the pool is full", func() bool { return strings.Contains(flags(t, pool), "full_quota") })

	refused := "/v1/volumes/" + uuid.NewString()
	p := r.wants(http.StatusServiceUnavailable, http.MethodPut, refused, map[string]any{"size_bytes": mib})
	if p.kind() != "unavailable" || !strings.Contains(p.detail(), "quota") {
		t.Errorf("a create in a full pool: %s", p.text)
	}
	checkProblem(t, p)
	r.wants(http.StatusOK, http.MethodGet, full, nil)
	more := []struct {
		method, path string
		body         any
	}{
		{http.MethodPut, kept + "/data", strings.Repeat("y", mib)},
		{http.MethodPut, kept + "/snapshots/" + uuid.NewString(), nil},
		{http.MethodPost, kept + "/extend", map[string]any{"size_bytes": 2 * mib}},
		{http.MethodPost, kept + "/revert", map[string]any{"snapshot_id": snapshot}},
	}
	for _, m := range more { // some need no space
		if p := r.do(m.method, m.path, m.body); p.status >= 300 && p.kind() != "unavailable" {
			t.Errorf("%s %s in a full pool: %d %s", m.method, m.path, p.status, p.text)
		}
	}
	if p := r.do(more[0].method, more[0].path, more[0].body); p.kind() != "unavailable" || !strings.Contains(p.detail(), "quota") {
		t.Errorf("content for a full pool: %d %s", p.status, p.text)
	}

	r.wants(http.StatusNoContent, http.MethodDelete, full, nil)
	r.eventually("a delete made room", func() bool { return !strings.Contains(flags(t, pool), "full_quota") })
	r.wants(http.StatusNotFound, http.MethodGet, refused, nil)
	r.wants(http.StatusCreated, http.MethodPut, refused, map[string]any{"size_bytes": mib})
	r.wants(http.StatusNoContent, http.MethodDelete, refused, nil)
	for _, m := range more {
		if p := r.do(m.method, m.path, m.body); p.status >= 300 {
			t.Errorf("%s %s with room again: %d %s", m.method, m.path, p.status, p.text)
		}
	}
	if got := r.wants(http.StatusOK, http.MethodGet, kept+"/data", nil); got.text != strings.Repeat("\x00", 2*mib) {
		t.Error("it does not read as the snapshot that it was reverted to")
	}
	r.leaves(kept)
}

// flags are those of a pool.
func flags(t *testing.T, pool string) string {
	t.Helper()
	var dump struct {
		Pools []struct {
			Name  string `json:"pool_name"`
			Flags string `json:"flags_names"`
		}
	}
	if err := json.Unmarshal(labtest.Ceph(t, "osd", "dump", "--format", "json"), &dump); err != nil {
		t.Fatal(err)
	}
	for _, p := range dump.Pools {
		if p.Name == pool {
			return p.Flags
		}
	}
	t.Fatalf("no pool %s", pool)
	return ""
}

// TestOSDKilled: an OSD of three dies in the middle. What is asked for is answered,
// what was not done is done when it is asked for again, and nothing is there twice
// or too much.
func TestOSDKilled(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true, OSDs: 3})
	makePool(t, l)
	r := start(t, func(c *Config) {
		c.Cluster = rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin"}
		c.Pool, c.ImagePool = "volumes", "volumes"
	})
	r.isBack()
	insist := func(method, path string, body any) {
		t.Helper()
		r.eventually(method+" "+path+" is done", func() bool {
			p := r.do(method, path, body)
			if kind := p.kind(); p.status >= 300 && kind != "unavailable" && kind != "outcome_unknown" {
				t.Fatalf("%s %s = %d %s", method, path, p.status, p.text)
			}
			return p.status < 300
		})
	}
	paths := make([]string, 9)
	for i := range paths {
		if i == len(paths)/3 {
			kill(t, l, "osd.1")
		}
		if i == 2*len(paths)/3 {
			up(t, l)
		}
		id, clone := uuid.NewString(), "/v1/volumes/"+uuid.NewString()
		paths[i] = "/v1/volumes/" + id
		insist(http.MethodPut, paths[i], map[string]any{"size_bytes": mib})
		snapshot := uuid.NewString()
		insist(http.MethodPut, paths[i]+"/snapshots/"+snapshot, nil)
		source := map[string]any{"kind": "snapshot", "id": snapshot, "volume_id": id}
		insist(http.MethodPut, clone, map[string]any{"size_bytes": mib, "source": source})
		insist(http.MethodPost, paths[i]+"/extend", map[string]any{"size_bytes": 2 * mib})
		insist(http.MethodPost, paths[i]+"/revert", map[string]any{"snapshot_id": snapshot})
		insist(http.MethodDelete, clone, nil)
		insist(http.MethodDelete, paths[i]+"/snapshots/"+snapshot, nil)
	}
	list := r.wants(http.StatusOK, http.MethodGet, "/v1/volumes", nil)
	if volumes, _ := list.doc["volumes"].([]any); len(volumes) != len(paths) {
		t.Errorf("%d volumes, want %d: %s", len(volumes), len(paths), list.text)
	}
	for _, path := range paths {
		r.wants(http.StatusOK, http.MethodPut, path, map[string]any{"size_bytes": 2 * mib})
	}
	r.leaves(paths...)
}

// kill ends a daemon of a lab as a crash does.
func kill(t *testing.T, l *lab.Lab, part string) {
	t.Helper()
	report, err := lab.Status(t.Context(), l.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Parts {
		if p.Name == part && p.PID != 0 {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no %s runs: %+v", part, report.Parts)
}

// TestSlowClients: who does not get on with sending the head of a request, or a
// body, is told so or cut off, and keeps nobody's place.
func TestSlowClients(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxRequests = 1 })
	path := "/v1/volumes/" + uuid.NewString()
	dial := func(text string) net.Conn {
		conn, err := net.Dial("unix", r.socket)
		r.must(err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn, text)
		r.must(err)
		return conn
	}
	head := dial("PUT " + path + " HTTP/1.1\r\nHost: side")
	body := &upload{dial(fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: sidecar\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", path)), r}

	if p := body.reply(); p.status != http.StatusRequestTimeout || p.kind() != "invalid" {
		t.Errorf("half a body: %d %s", p.status, p.text)
	}
	r.must(head.SetReadDeadline(time.Now().Add(time.Minute)))
	if rest, err := io.ReadAll(head); err != nil {
		t.Errorf("half a head is not cut off: %v after %q", err, rest)
	}
	r.wants(http.StatusNotFound, http.MethodGet, path, nil)
	r.wants(http.StatusCreated, http.MethodPut, path, map[string]any{"size_bytes": mib})
}
