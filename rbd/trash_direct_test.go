package rbd_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestDeleteMovesAsLibrbdDoes: Delete moves an image to the trash without librbd where
// it can. What is stored then must be what librbd stores, whatever the features, and
// be of use to librbd.
func TestDeleteMovesAsLibrbdDoes(t *testing.T) {
	s := newSpace(t)
	for _, tt := range []struct{ name, settings string }{
		{"default", ""},
		{"layering-only", "rbd_default_features = layering"},
		{"journaling", "rbd_default_features = layering,exclusive-lock,journaling"}, // is left to librbd
	} {
		for _, delay := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(tt.name, " ", delay), func(t *testing.T) {
				conf := withSettings(t, tt.settings)
				images := rbd.NewImages(dialConf(t, conf))
				name := fmt.Sprintf("%s-%d", tt.name, delay)
				ours, librbds := s.image("ours-"+name), s.image("libs-"+name)
				ids := map[string]string{}
				for _, spec := range []rbd.ImageSpec{ours, librbds} {
					s.must(images.Create(t.Context(), spec, 8<<20, rbd.CreateOptions{}))
					ids[spec.Image] = s.stat(spec).ID
				}
				s.must(images.Delete(t.Context(), ours, rbd.DeleteOptions{Delay: delay}))
				labtest.RBD(t, "--conf", conf, "trash", "mv", "--expires-at", fmt.Sprintf("%d seconds", int(delay.Seconds())), librbds.String())
				if diff := cmp.Diff(trashedAs(t, s, librbds, ids[librbds.Image]), trashedAs(t, s, ours, ids[ours.Image])); diff != "" {
					t.Errorf("librbd's (-) and ours (+) differ:\n%s", diff)
				}
				for _, spec := range []rbd.ImageSpec{ours, librbds} {
					labtest.RBD(t, "trash", "restore", fmt.Sprintf("%s/%s/%s", s.pool, s.ns, ids[spec.Image]))
					if id := s.stat(spec).ID; id != ids[spec.Image] {
						t.Errorf("restored, %s has the id %s, want %s", spec, id, ids[spec.Image])
					}
					labtest.RBD(t, "rm", "--no-progress", spec.String())
				}
			})
		}
	}
}

// trashedAs is what the lists of a pool hold of an image, but for its own id and name,
// and when it was moved.
func trashedAs(t *testing.T, s space, spec rbd.ImageSpec, id string) map[string]any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "entry")
	labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "getomapval", "rbd_trash", "id_"+id, file)
	entry, err := os.ReadFile(file)
	s.must(err)
	at := strings.Index(string(entry), spec.Image)
	if at < 0 || len(entry) < at+len(spec.Image)+16 {
		t.Fatalf("the entry of %s is %q", spec, entry)
	}
	times := entry[at+len(spec.Image):][:16]
	seconds := func(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }
	if moved := time.Unix(seconds(times), 0); time.Since(moved).Abs() > time.Minute {
		t.Errorf("%s was moved at %s", spec, moved)
	}
	stored := map[string]any{"for": (seconds(times[8:]) - seconds(times) + 30) / 60} // minutes: rbd counts from when it was called
	clear(times)
	stored["entry"] = strings.Replace(string(entry), spec.Image, "NAME", 1)
	directory := string(labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "listomapvals", "rbd_directory"))
	stored["listed"] = strings.Contains(directory, spec.Image) || strings.Contains(directory, id)
	var objects []string
	for object := range strings.Lines(string(labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "ls"))) {
		if strings.Contains(object, id) || strings.Contains(object, spec.Image) {
			objects = append(objects, strings.NewReplacer(id, "ID", spec.Image, "NAME", "\n", "").Replace(object))
		}
	}
	slices.Sort(objects)
	stored["objects"] = objects
	return stored
}

// TestDeleteOfAMirroredImage ends the mirroring, which only librbd does.
func TestDeleteOfAMirroredImage(t *testing.T) {
	s := inPool(t)
	v := s.blank("v")
	labtest.RBD(t, "mirror", "pool", "enable", s.pool, "image")
	t.Cleanup(func() { labtest.RBD(t, "mirror", "pool", "disable", s.pool) })
	labtest.RBD(t, "mirror", "image", "enable", v.String(), "snapshot")
	if listed := labtest.Tool(t, "rados", "-p", s.pool, "listomapkeys", "rbd_mirroring"); !strings.Contains(string(listed), "image_") {
		t.Fatalf("not mirrored: %s", listed)
	}
	s.delete("v")
	if listed := labtest.Tool(t, "rados", "-p", s.pool, "listomapkeys", "rbd_mirroring"); strings.Contains(string(listed), "image_") {
		t.Errorf("deleted, it is still mirrored: %s", listed)
	}
}
