package sidecar

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestGroup goes through the life of a group and of a snapshot of it.
func TestGroup(t *testing.T) {
	r := start(t)
	type list = []map[string]any
	a, b := r.volume(mib), r.volume(mib)
	ida, idb := strings.TrimPrefix(a, "/v1/volumes/"), strings.TrimPrefix(b, "/v1/volumes/")
	group := "/v1/groups/" + uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, group, nil)
	r.wants(http.StatusOK, http.MethodPut, group, nil)
	r.wants(http.StatusOK, http.MethodPost, group+"/update", map[string]any{"add": []string{ida, idb}})
	updated := r.wants(http.StatusOK, http.MethodPost, group+"/update", map[string]any{"remove": []string{idb}})
	if !strings.Contains(updated.text, ida) || strings.Contains(updated.text, idb) {
		t.Errorf("update = %s", updated.text)
	}
	if p := r.wants(http.StatusNotFound, http.MethodPost, "/v1/groups/"+uuid.NewString()+"/update", map[string]any{"add": []string{ida}}); p.kind() != "not_found" {
		t.Errorf("update of no group = %s", p.text)
	}

	sa, sb := uuid.NewString(), uuid.NewString()
	snapshot := group + "/snapshots/" + uuid.NewString()
	snapshots := map[string]any{"snapshots": list{{"id": sa, "volume_id": ida}, {"id": sb, "volume_id": idb}}}
	r.wants(http.StatusCreated, http.MethodPut, snapshot, snapshots)
	r.wants(http.StatusOK, http.MethodPut, snapshot, snapshots)
	if p := r.wants(http.StatusBadRequest, http.MethodPut, snapshot, map[string]any{"snapshots": list{}}); p.kind() != "invalid" {
		t.Errorf("a snapshot of nothing = %s", p.text)
	}
	r.wants(http.StatusBadRequest, http.MethodPut, snapshot, map[string]any{})
	if got := r.wants(http.StatusOK, http.MethodGet, group, nil); !strings.Contains(got.text, idb) {
		t.Errorf("a volume of the snapshot is not in the group: %s", got.text)
	}
	clone := "/v1/volumes/" + uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, clone, map[string]any{
		"size_bytes": mib, "source": map[string]any{"kind": "snapshot", "id": sb, "volume_id": idb},
	})
	r.wants(http.StatusNoContent, http.MethodDelete, snapshot, snapshots)
	r.wants(http.StatusNoContent, http.MethodDelete, snapshot, snapshots)
	if got := r.wants(http.StatusOK, http.MethodGet, a, nil); strings.Contains(got.text, sa) {
		t.Errorf("the snapshot is still there: %s", got.text)
	}

	copied, of := uuid.NewString(), map[string]any{
		"size_bytes": mib, "temporary": true, "source": map[string]any{"kind": "volume", "id": ida, "prepared": true},
	}
	if p := r.wants(http.StatusNotFound, http.MethodPut, "/v1/volumes/"+copied, of); !strings.Contains(p.detail(), "moment") {
		t.Errorf("not prepared = %s", p.text)
	}
	r.wants(http.StatusNoContent, http.MethodPost, group+"/prepare-clone", map[string]any{
		"id": uuid.NewString(), "volumes": list{{"id": copied, "source_id": ida}, {"id": uuid.NewString(), "source_id": idb}},
	})
	r.wants(http.StatusCreated, http.MethodPut, "/v1/volumes/"+copied, of)
	r.wants(http.StatusNoContent, http.MethodDelete, a, nil) // it is in the group
	r.wants(http.StatusNoContent, http.MethodDelete, group, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, group, nil)
	r.wants(http.StatusNotFound, http.MethodGet, group, nil)
	r.wants(http.StatusOK, http.MethodGet, b, nil)
	r.wants(http.StatusOK, http.MethodGet, "/v1/volumes/"+copied, nil)
}
