package rbd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestGrownCloneIsWhatLibrbdMakes: Ensure grows a clone without opening it for
// writing; its header and its object map must be what librbd's own resize leaves.
func TestGrownCloneIsWhatLibrbdMakes(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	for name, size := range map[string]uint64{"whole-objects": 1 << 30, "half-an-object": 1<<30 + 2<<20 + 512, "not-grown": 8 << 20, "large": 32 << 30} {
		t.Run(name, func(t *testing.T) {
			ours, librbds := s.image("ours-"+name), s.image("librbd-"+name)
			_, err := s.images.Ensure(t.Context(), rbd.Want{Image: ours, Size: size, Parent: &golden})
			s.must(err)
			s.must(s.images.Clone(t.Context(), golden, librbds, rbd.CloneOptions{}))
			s.must(s.images.Resize(t.Context(), librbds, size, rbd.ResizeOptions{}))
			if diff := cmp.Diff(describe(t, librbds), describe(t, ours)); diff != "" {
				t.Errorf("librbd's (-) and ours (+) differ:\n%s", diff)
			}
			if !bytes.Equal(objectMap(t, s, librbds), objectMap(t, s, ours)) {
				t.Error("the object maps differ")
			}
			// Written at its very end by librbd, it is whole.
			labtest.RBD(t, "object-map", "check", "--no-progress", ours.String())
			labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "65536", "--io-pattern", "rand", ours.String())
			labtest.RBD(t, "object-map", "check", "--no-progress", ours.String())
		})
	}
}

// describe is all that `rbd info` says of an image, but for what is its own.
func describe(t *testing.T, spec rbd.ImageSpec) map[string]any {
	t.Helper()
	var info map[string]any
	if err := json.Unmarshal(labtest.RBD(t, "info", "--format", "json", spec.String()), &info); err != nil {
		t.Fatal(err)
	}
	for key := range info {
		if key == "id" || key == "name" || key == "block_name_prefix" || strings.HasSuffix(key, "_timestamp") {
			delete(info, key)
		}
	}
	return info
}

func objectMap(t *testing.T, s space, spec rbd.ImageSpec) []byte {
	t.Helper()
	info, err := s.images.Stat(t.Context(), spec)
	s.must(err)
	file := filepath.Join(t.TempDir(), spec.Image)
	labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "get", "rbd_object_map."+info.ID, file)
	content, err := os.ReadFile(file)
	s.must(err)
	return content
}
