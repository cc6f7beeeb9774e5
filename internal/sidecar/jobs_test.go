package sidecar

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
)

// clone makes a clone of a blank volume; it returns both paths.
func (r *running) clone(size uint64) (source, clone string) {
	r.Helper()
	source = r.volume(size)
	clone = "/v1/volumes/" + uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, clone, map[string]any{
		"size_bytes": size,
		"source":     map[string]any{"kind": "volume", "id": strings.TrimPrefix(source, "/v1/volumes/")},
	})
	return source, clone
}

// TestFlatten: a volume is cut from its parent by a job, which events follow to its
// end.
func TestFlatten(t *testing.T) {
	r := start(t)
	source, clone := r.clone(16 * mib)
	job := r.wants(http.StatusAccepted, http.MethodPost, clone+"/flatten", nil)
	id := text(job.doc["id"])
	if id == "" || job.doc["kind"] != "flatten" || !strings.HasSuffix(text(job.doc["subject"]), "/volume-"+strings.TrimPrefix(clone, "/v1/volumes/")) {
		t.Errorf("flatten = %s", job.text)
	}
	states := r.events("/v1/jobs/" + id + "/events")
	if len(states) == 0 || states[len(states)-1] != "done" {
		t.Errorf("the events end with %q", states)
	}
	if got := r.wants(http.StatusOK, http.MethodGet, clone, nil); got.doc["parent"] != nil || got.doc["depth"] != float64(0) {
		t.Errorf("after the job: %s", got.text)
	}
	r.wants(http.StatusOK, http.MethodGet, "/v1/jobs", nil)
	r.wants(http.StatusNotFound, http.MethodPost, "/v1/volumes/"+uuid.NewString()+"/flatten", nil)
	r.wants(http.StatusBadRequest, http.MethodPost, "/v1/volumes/x/flatten", nil)
	r.wants(http.StatusNoContent, http.MethodDelete, source, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, clone, nil)
}

// events reads a stream of events to its end, and returns the states in it.
func (r *running) events(path string) []string {
	r.Helper()
	var states []string
	for _, job := range r.follow(path) {
		states = append(states, job.State)
	}
	return states
}

// follow reads a stream of events to its end.
func (r *running) follow(path string) []Job {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://sidecar"+path, nil)
	r.must(err)
	answer, err := r.client.Do(req)
	r.must(err)
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != "text/event-stream" {
		r.Fatalf("GET %s = %d %s", path, answer.StatusCode, got)
	}
	var told []Job
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var job Job
		r.must(json.Unmarshal([]byte(data), &job))
		told = append(told, job)
	}
	r.must(lines.Err())
	return told
}

// TestEventsEndWithTheServer: who follows a job does not hold up a stop.
func TestEventsEndWithTheServer(t *testing.T) {
	r := start(t, func(c *Config) { c.DrainTimeout = time.Minute })
	job := Job{ID: "none", State: "running"}
	a := &api{server: r.Server}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.follow(t.Context(), job, eventWriter{nullWriter{}, http.NewResponseController(nullWriter{})})
	}()
	r.must(r.stop())
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
}

type nullWriter struct{}

func (nullWriter) Header() http.Header              { return http.Header{} }
func (nullWriter) Write(b []byte) (int, error)      { return len(b), nil }
func (nullWriter) WriteHeader(int)                  {}
func (nullWriter) Flush()                           {}
func (nullWriter) SetWriteDeadline(time.Time) error { return nil }

// TestTrash: what is deleted can be restored for a time, and is purged when that is
// over or when it is asked for. What a stranger put into the trash stays.
func TestTrash(t *testing.T) {
	r := start(t, func(c *Config) { c.Pool = labtest.FreshPool(t); c.ImagePool = c.Pool; c.Delay = time.Hour })
	source, clone := r.clone(4 * mib)
	id := strings.TrimPrefix(source, "/v1/volumes/")
	labtest.RBD(t, "create", "--size", "1M", r.cfg.Pool+"/stranger")
	labtest.RBD(t, "trash", "mv", r.cfg.Pool+"/stranger")

	r.wants(http.StatusNoContent, http.MethodDelete, source, nil)
	entry := r.inTrash(id)
	if entry["children"] != float64(1) || entry["name"] != "volume-"+id {
		t.Errorf("in the trash: %v", entry)
	}
	back := "/v1/trash/" + text(entry["image_id"]) + "/restore"
	r.wants(http.StatusNoContent, http.MethodPost, back, nil)
	r.wants(http.StatusOK, http.MethodGet, source, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, source, nil)
	other := uuid.NewString()
	r.wants(http.StatusBadRequest, http.MethodPost, back, map[string]any{"id": "x"})
	r.wants(http.StatusNoContent, http.MethodPost, back, map[string]any{"id": other})
	r.wants(http.StatusOK, http.MethodGet, "/v1/volumes/"+other, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, "/v1/volumes/"+other, nil)
	r.wants(http.StatusNotFound, http.MethodPost, "/v1/trash/0123456789ab/restore", nil)

	if kept := r.wants(http.StatusOK, http.MethodPost, "/v1/trash/purge", nil); kept.doc["waiting"] != float64(1) {
		t.Errorf("a purge before its time: %s", kept.text)
	}
	r.wants(http.StatusNoContent, http.MethodDelete, clone, nil)
	// The purge that each delete brings on may be at one of them: then it is for later.
	removed := 0
	for range 50 {
		purged := r.wants(http.StatusOK, http.MethodPost, "/v1/trash/purge", map[string]any{"now": true})
		list, _ := purged.doc["removed"].([]any)
		if removed += len(list); purged.doc["waiting"] == float64(0) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if removed != 2 {
		t.Errorf("purges of both removed %d", removed)
	}
	if left := string(labtest.RBD(t, "trash", "ls", r.cfg.Pool)); strings.Count(left, "\n") != 1 || !strings.Contains(left, "stranger") {
		t.Errorf("in the trash: %s", left)
	}
}

// inTrash is what the trash says of a volume.
func (r *running) inTrash(id string) map[string]any {
	r.Helper()
	list := r.wants(http.StatusOK, http.MethodGet, "/v1/trash", nil)
	images, _ := list.doc["images"].([]any)
	i := slices.IndexFunc(images, func(v any) bool { return v.(map[string]any)["volume_id"] == id })
	if i < 0 {
		r.Fatalf("volume %s is not in the trash: %s", id, list.text)
	}
	return images[i].(map[string]any)
}

// TestBackgroundPurge: a deleted source goes with its last clone, without anybody
// asking; the metrics tell.
func TestBackgroundPurge(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Pool = labtest.FreshPool(t)
		c.ImagePool, c.PurgeInterval = c.Pool, 100*time.Millisecond
	})
	source, clone := r.clone(4 * mib)
	r.wants(http.StatusNoContent, http.MethodDelete, source, nil)
	r.eventually("the purge finds that it has to wait", func() bool {
		return strings.Contains(r.statusPage("/metrics").text, "\nrbdctl_trash_waiting_images 1\n")
	})
	r.wants(http.StatusOK, http.MethodGet, clone+"/data", nil)
	r.wants(http.StatusNoContent, http.MethodDelete, clone, nil)
	r.eventually("the trash is empty", func() bool { return len(labtest.RBD(t, "trash", "ls", r.cfg.Pool)) == 0 })
	r.eventually("the metrics say so", func() bool {
		return strings.Contains(r.statusPage("/metrics").text, "\nrbdctl_purged_images_total 2\n")
	})
	if left := string(labtest.RBD(t, "ls", r.cfg.Pool)); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestBackgroundSettle: what a dead process left in the journal goes without
// anybody asking for its image, when the sidecar starts, and later.
func TestBackgroundSettle(t *testing.T) {
	pool := labtest.FreshPool(t)
	leave := func(image string) {
		record := `{"version":1,"op":"purge","subject":"x","owner":{"address":"127.0.0.1:0/9"},"cookie":"c","released":true}`
		labtest.Tool(t, "rados", "-p", pool, "-N", "rbdctl", "setomapval", "intent."+image, "record", record)
	}
	settled := func(r *running, n int) {
		t.Helper()
		r.eventually("the journal is empty", func() bool {
			return len(labtest.Tool(t, "rados", "-p", pool, "-N", "rbdctl", "ls")) == 0
		})
		r.eventually("the metrics say so", func() bool {
			page := r.statusPage("/metrics").text
			return strings.Contains(page, fmt.Sprintf("\nrbdctl_settled_operations_total %d\n", n)) &&
				strings.Contains(page, "\nrbdctl_unfinished_operations 0\n")
		})
	}
	leave("trash.beef")
	settled(start(t, func(c *Config) { c.Pool, c.ImagePool, c.PurgeInterval = pool, pool, time.Hour }), 1)
	r := another(t, func(c *Config) { c.Pool, c.ImagePool, c.PurgeInterval = pool, pool, 100*time.Millisecond })
	r.eventually("it has looked", func() bool { return strings.Contains(r.statusPage("/metrics").text, `rbdctl_settles_total{kind="ok"}`) })
	leave("volume-x")
	settled(r, 1)
}

// TestInUse: a volume that a client has open stays as it is, its snapshots too.
func TestInUse(t *testing.T) {
	r := start(t)
	path := r.volume(4 * mib)
	snapshot := path + "/snapshots/" + uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, snapshot, nil)
	before := r.wants(http.StatusOK, http.MethodGet, path, nil).text

	up := r.beginUpload(path+"/data", 4*mib) // holds the image open
	defer up.Close()
	up.send(mib)
	r.underWay()
	r.eventually("the image is open", func() bool {
		return strings.Contains(string(labtest.RBD(t, "status", r.cfg.Pool+"/volume-"+strings.TrimPrefix(path, "/v1/volumes/"))), "watcher=")
	})
	other := another(t, func(c *Config) { c.RequestTimeout = 3 * time.Second })
	if p := other.wants(http.StatusConflict, http.MethodDelete, path, nil); p.kind() != "in_use" {
		t.Errorf("DELETE = %s", p.text)
	}
	if now := other.wants(http.StatusOK, http.MethodGet, path, nil).text; now != before {
		t.Errorf("it was %s, and is %s", before, now)
	}
	up.send(3 * mib)
	if p := up.reply(); p.status != http.StatusOK {
		t.Errorf("the upload: %d %s", p.status, p.text)
	}
	other.wants(http.StatusNoContent, http.MethodDelete, path, nil)
}

// TestMigrate: a volume goes to another pool by a job, which events follow to its end.
func TestMigrate(t *testing.T) {
	r := start(t, func(c *Config) { c.Pool = labtest.FreshPool(t); c.ImagePool = c.Pool })
	target := labtest.FreshPool(t)
	path := r.volume(16 * mib)
	name := "volume-" + strings.TrimPrefix(path, "/v1/volumes/")
	job := r.wants(http.StatusAccepted, http.MethodPost, path+"/migrate", map[string]any{"pool": target})
	if job.doc["kind"] != "migrate" || job.doc["target"] != target || job.doc["subject"] != r.cfg.Pool+"/"+name {
		t.Errorf("migrate = %s", job.text)
	}
	states := r.events("/v1/jobs/" + text(job.doc["id"]) + "/events")
	if len(states) == 0 || states[len(states)-1] != "done" {
		t.Errorf("the events end with %q", states)
	}
	r.wants(http.StatusNotFound, http.MethodGet, path, nil)
	if list := string(labtest.RBD(t, "ls", target)); list != name+"\n" {
		t.Errorf("in the other pool: %s", list)
	}
	if again := r.wants(http.StatusAccepted, http.MethodPost, path+"/migrate", map[string]any{"pool": target}); again.doc["state"] != "done" {
		t.Errorf("asked again: %s", again.text)
	}
	r.eventually("the metrics say so", func() bool {
		return strings.Contains(r.statusPage("/metrics").text, "\nrbdctl_jobs{job=\"migrate\",state=\"done\"} 1\n")
	})
	r.wants(http.StatusNotFound, http.MethodPost, "/v1/volumes/"+uuid.NewString()+"/migrate", map[string]any{"pool": target})
	r.wants(http.StatusNotFound, http.MethodPost, r.volume(mib)+"/migrate", map[string]any{"pool": "nopool"})
	r.wants(http.StatusBadRequest, http.MethodPost, r.volume(mib)+"/migrate", map[string]any{"pool": r.cfg.Pool})
	r.wants(http.StatusBadRequest, http.MethodPost, r.volume(mib)+"/migrate", nil)
}

// TestImport: a volume is made of a qcow2 image by a job, which events follow to its
// end.
func TestImport(t *testing.T) {
	r := start(t, func(c *Config) { c.Pool = labtest.FreshPool(t); c.ImagePool = c.Pool })
	image, file := uuid.NewString(), filepath.Join(t.TempDir(), "qcow2")
	labtest.Tool(t, "qemu-img", "create", "-q", "-f", "qcow2", file, "8M")
	labtest.RBD(t, "import", "--no-progress", "--dest-pool", r.cfg.Pool, file, image)
	labtest.RBD(t, "snap", "create", "--no-progress", r.cfg.Pool+"/"+image+"@snap")
	path := "/v1/volumes/" + uuid.NewString()
	want := map[string]any{"image_id": image, "format": "qcow2", "size_bytes": 16 * mib}
	source := map[string]any{"size_bytes": 16 * mib, "source": map[string]any{"kind": "image", "id": image}}
	r.wants(http.StatusBadRequest, http.MethodPut, path, source)
	job := r.wants(http.StatusAccepted, http.MethodPost, path+"/import", want)
	if job.doc["kind"] != "import" || job.doc["source"] != r.cfg.Pool+"/"+image+"@snap" || job.doc["subject"] != r.cfg.Pool+"/volume-"+strings.TrimPrefix(path, "/v1/volumes/") {
		t.Errorf("import = %s", job.text)
	}
	states := r.events("/v1/jobs/" + text(job.doc["id"]) + "/events")
	if len(states) == 0 || states[len(states)-1] != "done" {
		t.Errorf("the events end with %q", states)
	}
	r.wants(http.StatusOK, http.MethodPut, path, source)
	if again := r.wants(http.StatusAccepted, http.MethodPost, path+"/import", want); again.doc["state"] != "done" {
		t.Errorf("asked again: %s", again.text)
	}
	want["size_bytes"] = 32 * mib
	if p := r.wants(http.StatusConflict, http.MethodPost, path+"/import", want); p.kind() != "exists" {
		t.Errorf("another size: %s", p.text)
	}
	other := "/v1/volumes/" + uuid.NewString()
	want["size_bytes"] = mib
	if p := r.wants(http.StatusBadRequest, http.MethodPost, other+"/import", want); p.kind() != "invalid" || !strings.Contains(p.text, "ask for at least") {
		t.Errorf("too small: %s", p.text)
	}
	want["format"] = "vmdk"
	r.wants(http.StatusBadRequest, http.MethodPost, other+"/import", want)
	r.wants(http.StatusNotFound, http.MethodPost, other+"/import", map[string]any{"image_id": uuid.NewString(), "format": "qcow2", "size_bytes": mib})
	r.wants(http.StatusNoContent, http.MethodDelete, path, nil)
}
