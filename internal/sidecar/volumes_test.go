package sidecar

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
)

// TestVolume goes through the life of a volume, by the forms that scripts rely on.
func TestVolume(t *testing.T) {
	r := start(t)
	id := uuid.NewString()
	path := "/v1/volumes/" + id
	blank := map[string]any{"size_bytes": 8 * mib, "source": map[string]any{"kind": "empty"}}

	r.wants(http.StatusCreated, http.MethodPut, path, blank)
	r.wants(http.StatusOK, http.MethodPut, path, blank)
	differs := r.wants(http.StatusConflict, http.MethodPut, path, map[string]any{"size_bytes": 16 * mib})
	if differs.kind() != "exists" || !strings.Contains(differs.detail(), "8388608") {
		t.Errorf("a conflict: %s", differs.text)
	}
	got := r.wants(http.StatusOK, http.MethodGet, path, nil).doc
	if got["size_bytes"] != float64(8*mib) || got["parent"] != nil || got["id"] != id || got["name"] != "volume-"+id {
		t.Errorf("GET = %v", got)
	}
	var info struct{ Size uint64 }
	r.must(json.Unmarshal(labtest.RBD(t, "info", "--format", "json", fmt.Sprintf("%s/volume-%s", r.cfg.Pool, id)), &info))
	if info.Size != 8*mib {
		t.Errorf("rbd says %d bytes", info.Size)
	}
	if list := r.wants(http.StatusOK, http.MethodGet, "/v1/volumes", nil); !strings.Contains(list.text, id) {
		t.Errorf("the list has no %s: %s", id, list.text)
	}

	snapshot := path + "/snapshots/" + uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, snapshot, nil)
	r.wants(http.StatusOK, http.MethodPut, snapshot, nil)
	if grown := r.wants(http.StatusOK, http.MethodPost, path+"/extend", map[string]any{"size_bytes": 12 * mib}); grown.doc["size_bytes"] != float64(12*mib) {
		t.Errorf("extend = %s", grown.text)
	}
	r.wants(http.StatusOK, http.MethodPost, path+"/extend", map[string]any{"size_bytes": 12 * mib})
	if cut := r.wants(http.StatusBadRequest, http.MethodPost, path+"/extend", map[string]any{"size_bytes": mib}); cut.kind() != "invalid" {
		t.Errorf("shrinking = %s", cut.text)
	}
	r.wants(http.StatusNoContent, http.MethodDelete, snapshot, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, snapshot, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, path, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, path, nil)
	if gone := r.wants(http.StatusNotFound, http.MethodGet, path, nil); gone.kind() != "not_found" {
		t.Errorf("GET of a deleted volume = %s", gone.text)
	}
}

// TestSources makes a volume of each source, and looks at what it became.
func TestSources(t *testing.T) {
	r := start(t)
	image := uuid.NewString()
	labtest.RBD(t, "create", "--size", "4M", r.cfg.Pool+"/"+image)
	labtest.RBD(t, "snap", "create", r.cfg.Pool+"/"+image+"@snap")
	labtest.RBD(t, "snap", "protect", r.cfg.Pool+"/"+image+"@snap")
	first := uuid.NewString()
	snapshot := uuid.NewString()

	type source = map[string]any
	parent := func(image, snap string) any {
		return map[string]any{"pool": r.cfg.Pool, "image": image, "snapshot": snap}
	}
	make := func(id string, from source, want any) {
		t.Helper()
		path, body := "/v1/volumes/"+id, source{"size_bytes": 8 * mib, "source": from}
		made := r.wants(http.StatusCreated, http.MethodPut, path, body)
		again := r.wants(http.StatusOK, http.MethodPut, path, body)
		got := r.wants(http.StatusOK, http.MethodGet, path, nil)
		for _, p := range []reply{made, again, got} {
			if diff := cmp.Diff(want, p.doc["parent"]); diff != "" || p.doc["size_bytes"] != float64(8*mib) {
				t.Errorf("from %v: %s: %s", from, diff, p.text)
			}
		}
	}
	make(first, source{"kind": "image", "id": image}, parent(image, "snap"))
	r.wants(http.StatusCreated, http.MethodPut, "/v1/volumes/"+first+"/snapshots/"+snapshot, nil)
	make(uuid.NewString(), source{"kind": "snapshot", "id": snapshot, "volume_id": first}, parent("volume-"+first, "snapshot-"+snapshot))
	make(uuid.NewString(), source{"kind": "snapshot", "id": snapshot}, parent("volume-"+first, "snapshot-"+snapshot))
	third := uuid.NewString()
	make(third, source{"kind": "volume", "id": first}, parent("volume-"+first, "volume-"+third+".clone_snap"))

	missing := r.wants(http.StatusNotFound, http.MethodPut, "/v1/volumes/"+uuid.NewString(),
		source{"size_bytes": 8 * mib, "source": source{"kind": "image", "id": uuid.NewString()}})
	if missing.kind() != "not_found" {
		t.Errorf("of an image that is not there: %s", missing.text)
	}
	// The source of clones goes at once; they go on working.
	r.wants(http.StatusNoContent, http.MethodDelete, "/v1/volumes/"+first, nil)
	r.wants(http.StatusOK, http.MethodGet, "/v1/volumes/"+third, nil)
}

// TestDifferentCreatesAtOnce: of two different requests for one id, to two sidecars,
// one is met, and all that asked for it hear so; the others hear of a conflict.
func TestDifferentCreatesAtOnce(t *testing.T) {
	r := start(t, ownPool(t))
	sidecars := []*running{r, another(t, func(c *Config) { c.Pool, c.ImagePool = r.cfg.Pool, r.cfg.ImagePool })}
	var paths []string
	const each = 4
	for range 5 {
		path := "/v1/volumes/" + uuid.NewString()
		paths = append(paths, path)
		var group sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]map[int]int{4 * mib: {}, 8 * mib: {}}
		for n := range each {
			for size := range statuses {
				group.Go(func() {
					p, err := sidecars[n%len(sidecars)].try(http.MethodPut, path, map[string]any{"size_bytes": size})
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
					}
					statuses[size][p.status]++
				})
			}
		}
		group.Wait()
		size, _ := r.wants(http.StatusOK, http.MethodGet, path, nil).doc["size_bytes"].(float64)
		for asked, got := range statuses {
			want := map[int]int{http.StatusConflict: each}
			if asked == int(size) {
				want = map[int]int{http.StatusCreated: 1, http.StatusOK: each - 1}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("it has %d bytes; those who asked for %d heard: %s", int(size), asked, diff)
			}
		}
	}
	r.leaves(paths...)
}

// TestVolumeChanges: what a change is answered with, and that it happened.
func TestVolumeChanges(t *testing.T) {
	r := start(t)
	path := r.volume(4 * mib)
	snapshot := uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, path+"/snapshots/"+snapshot, nil)
	r.wants(http.StatusOK, http.MethodPut, path+"/data", strings.NewReader(strings.Repeat("x", mib)))
	r.wants(http.StatusOK, http.MethodPost, path+"/revert", map[string]any{"snapshot_id": snapshot})
	if content := r.wants(http.StatusOK, http.MethodGet, path+"/data", nil).text; content != strings.Repeat("\x00", 4*mib) {
		t.Errorf("%d bytes after a revert to a blank snapshot, not all zero", len(content))
	}
	r.wants(http.StatusNotFound, http.MethodPost, path+"/revert", map[string]any{"snapshot_id": uuid.NewString()})

	r.wants(http.StatusNoContent, http.MethodPut, path+"/qos", map[string]any{"qos": map[string]string{"total_iops_sec": "100"}})
	got := r.wants(http.StatusOK, http.MethodGet, path, nil)
	if !strings.Contains(got.text, `"conf_rbd_qos_iops_limit":"100"`) {
		t.Errorf("after qos: %s", got.text)
	}
	r.wants(http.StatusBadRequest, http.MethodPut, path+"/qos", map[string]any{"qos": map[string]string{"speed": "100"}})

	id := uuid.NewString()
	if renamed := r.wants(http.StatusOK, http.MethodPost, path+"/rename", map[string]any{"id": id}); renamed.doc["id"] != id {
		t.Errorf("rename = %s", renamed.text)
	}
	r.wants(http.StatusNotFound, http.MethodGet, path, nil)
	connection := r.wants(http.StatusOK, http.MethodGet, "/v1/volumes/"+id+"/connection", nil)
	if connection.doc["name"] != r.cfg.Pool+"/volume-"+id || connection.doc["auth_username"] != "admin" {
		t.Errorf("connection = %s", connection.text)
	}

	labtest.RBD(t, "create", "--size", "4M", r.cfg.Pool+"/stranger")
	if list := r.wants(http.StatusOK, http.MethodGet, "/v1/manageable", nil); !strings.Contains(list.text, `"name":"stranger"`) {
		t.Errorf("manageable = %s", list.text)
	}
	if one := r.wants(http.StatusOK, http.MethodGet, "/v1/manageable/stranger", nil); one.doc["size_bytes"] != float64(4*mib) || one.doc["safe"] != true {
		t.Errorf("manageable alone = %s", one.text)
	}
	r.wants(http.StatusNotFound, http.MethodGet, "/v1/manageable/nobody", nil)
	adopted := uuid.NewString()
	if p := r.wants(http.StatusOK, http.MethodPost, "/v1/volumes/"+adopted+"/adopt", map[string]any{"name": "stranger"}); p.doc["name"] != "volume-"+adopted {
		t.Errorf("adopt = %s", p.text)
	}
	labtest.RBD(t, "snap", "create", r.cfg.Pool+"/volume-"+adopted+"@old")
	if list := r.wants(http.StatusOK, http.MethodGet, "/v1/volumes/"+adopted+"/manageable-snapshots", nil); !strings.Contains(list.text, `"name":"old"`) {
		t.Errorf("manageable snapshots = %s", list.text)
	}
}
