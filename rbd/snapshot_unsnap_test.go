package rbd_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestHalfRemovedSnapshot: a removal of a snapshot that was cut short after the monitors had
// the id back is ended, and nothing of the image stays when that goes: librbd by itself
// would leave every object that is there.
func TestHalfRemovedSnapshot(t *testing.T) {
	for _, tt := range []struct {
		name, snap string
		end        func(s space, at rbd.SnapSpec)
	}{
		{"asked for again", "other", func(s space, at rbd.SnapSpec) { s.must(s.images.DeleteSnapshot(t.Context(), at)) }},
		{"purged", "v.clone_snap", func(s space, _ rbd.SnapSpec) { s.purge(rbd.PurgeOptions{}) }},
		{"with its image", "other", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := inPool(t)
			v := s.image("v")
			s.golden("v")
			at := v.At(tt.snap)
			_, err := s.images.EnsureSnapshot(t.Context(), at, rbd.SnapOptions{})
			s.must(err)
			s.halfUnsnap(at)
			if tt.end != nil {
				tt.end(s, at)
				if list := string(labtest.RBD(t, "snap", "ls", "--all", v.String())); strings.Contains(list, tt.snap) {
					t.Errorf("the image still has %s", list)
				}
			}
			s.delete("v")
			s.purge(rbd.PurgeOptions{})
			s.losesData()
			s.isEmpty()
		})
	}
}

// losesData waits until the OSDs have dropped what snapshots held.
func (s space) losesData() {
	s.Helper()
	eventually(s.TB, time.Minute, func() bool {
		return !strings.Contains(string(labtest.Tool(s.TB, "rados", "-p", s.pool, "ls")), "rbd_data")
	})
}

// halfUnsnap leaves a half removed snapshot, and waits until the OSDs have done with it.
func (s space) halfUnsnap(at rbd.SnapSpec) {
	s.Helper()
	rbd.HalfUnsnap(s.TB, s.images, at)
	eventually(s.TB, 3*time.Minute, func() bool {
		var dump struct {
			Pools []struct {
				ID   int    `json:"pool"`
				Name string `json:"pool_name"`
			}
			Queue []struct{ Pool int } `json:"removed_snaps_queue"`
		}
		s.must(json.Unmarshal(labtest.Ceph(s.TB, "osd", "dump", "--format", "json"), &dump))
		mine := 0
		for _, p := range dump.Pools {
			if p.Name == s.pool {
				mine = p.ID
			}
		}
		return !slices.Contains(dump.Queue, struct{ Pool int }{mine})
	})
}
