package rbd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestImportIsWhatLibrbdMakes: Import writes data objects, object maps and the
// snapshot without librbd where it can. All of it must be what librbd itself
// leaves, whatever the features, and be of use to librbd.
func TestImportIsWhatLibrbdMakes(t *testing.T) {
	s := newSpace(t)
	file, content := sparse(t)
	long := io.MultiReader(bytes.NewReader(make([]byte, 300<<20)), noise(1<<20)) // beyond the first guess of the length
	longFile := filepath.Join(t.TempDir(), "long.raw")
	s.must(os.WriteFile(longFile, append(make([]byte, 300<<20), noiseBytes(1<<20)...), 0o600))
	for _, tt := range []struct {
		name, settings string // of ceph.conf
		source         io.Reader
		file           string
		objectSize     uint64
		left           bool // to librbd, which does not look for zeroes so closely
	}{
		{"default", "", open(t, file), file, 0, false},
		{"stream", "", bytes.NewReader(content), file, 0, false},
		{"stream-that-grows", "", long, longFile, 0, false},
		{"objects-of-64K", "", open(t, file), file, 64 << 10, false},
		{"objects-of-32M", "", open(t, file), file, 32 << 20, false},
		{"no-fast-diff", "rbd_default_features = layering,exclusive-lock,object-map", open(t, file), file, 0, false},
		{"no-object-map", "rbd_default_features = layering,exclusive-lock", open(t, file), file, 0, false},
		{"layering-only", "rbd_default_features = layering", open(t, file), file, 0, false},
		{"journaling", "rbd_default_features = layering,exclusive-lock,journaling", open(t, file), file, 0, true},
		{"striping", "rbd_default_stripe_unit = 65536\nrbd_default_stripe_count = 4", open(t, file), file, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf := withSettings(t, tt.settings)
			images := rbd.NewImages(dialConf(t, conf))
			ours, librbds := s.image("ours-"+tt.name), s.image("librbd-"+tt.name)
			done, err := images.Import(t.Context(), ours, rbd.Source{Reader: tt.source}, rbd.ImportOptions{
				CreateOptions: rbd.CreateOptions{ObjectSize: tt.objectSize}, Snapshot: "snap",
			})
			s.must(err)
			labtest.RBD(t, slices.Concat([]string{"--conf", conf, "import", "--no-progress"}, objectSizeFlag(tt.objectSize), []string{tt.file, librbds.String()})...)
			labtest.RBD(t, "snap", "create", "--no-progress", librbds.String()+"@snap")
			labtest.RBD(t, "snap", "protect", librbds.String()+"@snap")

			reference, err := s.images.Stat(t.Context(), librbds)
			s.must(err)
			if diff := cmp.Diff(storedAs(t, s, reference), storedAs(t, s, done.Info)); diff != "" && !tt.left {
				t.Errorf("librbd's (-) and ours (+) differ:\n%s", diff)
			}
			if s.digest(ours.At("snap")) != s.digest(librbds.At("snap")) || s.digest(ours.At("")) != s.digest(librbds.At("")) {
				t.Error("the contents differ")
			}
			useAndRemove(t, s, done.Info, tt.name == "default")
		})
	}
}

func objectSizeFlag(size uint64) []string {
	if size == 0 {
		return nil
	}
	return []string{"--object-size", fmt.Sprintf("%dB", size)}
}

// withSettings is the lab's ceph.conf with settings of the client's added.
func withSettings(t *testing.T, settings string) string {
	t.Helper()
	text, err := os.ReadFile(labtest.Conf(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ceph.conf")
	text = fmt.Appendf(text, "\n[client]\n%s\n", settings)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func dialConf(t *testing.T, conf string) *rbd.Cluster {
	t.Helper()
	cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: conf, Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	return cluster
}

// storedAs is all that is stored of an image, but for ids, names and times: what
// rbd says of it and its snapshots, its objects, the content of its object maps,
// and the length of what its header holds.
func storedAs(t *testing.T, s space, info rbd.Info) map[string]any {
	t.Helper()
	stored := map[string]any{"info": describe(t, info.Spec)}
	var snaps []map[string]any
	if err := json.Unmarshal(labtest.RBD(t, "snap", "ls", "--format", "json", info.Spec.String()), &snaps); err != nil {
		t.Fatal(err)
	}
	snapID := ""
	for _, snap := range snaps {
		snapID = fmt.Sprintf("%016x", int(snap["id"].(float64)))
		delete(snap, "id")
		delete(snap, "timestamp")
	}
	stored["snapshots"] = snaps
	plain := strings.NewReplacer("map."+info.ID+"."+snapID, "map.ID.SNAP", "snapshot_"+snapID, "snapshot_SNAP", info.ID, "ID")
	var objects []string
	for object := range strings.Lines(string(labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "ls"))) {
		object = strings.TrimSpace(object)
		if !strings.Contains(object, info.ID) || strings.HasPrefix(object, "journal") {
			continue
		}
		objects = append(objects, plain.Replace(object))
		if strings.HasPrefix(object, "rbd_object_map.") {
			file := filepath.Join(t.TempDir(), object)
			labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "get", object, file)
			content, err := os.ReadFile(file)
			s.must(err)
			stored[plain.Replace(object)] = content
		}
	}
	slices.Sort(objects)
	stored["objects"] = objects
	header := labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "listomapvals", "rbd_header."+info.ID)
	stored["header"] = regexp.MustCompile(`(?m)^[a-z]\S*$|^value \(\d+ bytes\)`).FindAllString(plain.Replace(string(header)), -1)
	// The image's id, which the prefix of its objects holds, has no fixed length.
	if at := slices.Index(stored["header"].([]string), "object_prefix"); at >= 0 {
		stored["header"] = slices.Delete(stored["header"].([]string), at, at+2)
	}
	return stored
}

// useAndRemove has librbd check the image, clone it, write to it if so told, and
// remove all of it.
func useAndRemove(t *testing.T, s space, info rbd.Info, write bool) {
	t.Helper()
	spec := info.Spec
	if slices.Contains(info.Features, "object-map") {
		labtest.RBD(t, "object-map", "check", "--no-progress", spec.String())
		labtest.RBD(t, "object-map", "check", "--no-progress", spec.String()+"@snap")
	}
	clone := s.image("clone-of-" + spec.Image)
	labtest.RBD(t, "clone", spec.String()+"@snap", clone.String())
	if s.digest(clone.At("")) != s.digest(spec.At("snap")) {
		t.Error("a clone reads otherwise than its parent")
	}
	if write { // not always: the OSDs take seconds to forget it
		labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "65536", "--io-pattern", "rand", spec.String())
		labtest.RBD(t, "snap", "rollback", "--no-progress", spec.String()+"@snap")
		if s.digest(spec.At("")) != s.digest(spec.At("snap")) {
			t.Error("rolled back, it differs from its snapshot")
		}
	}
	labtest.RBD(t, "rm", "--no-progress", clone.String())
	labtest.RBD(t, "snap", "unprotect", spec.String()+"@snap")
	labtest.RBD(t, "snap", "rm", "--no-progress", spec.String()+"@snap")
	labtest.RBD(t, "rm", "--no-progress", spec.String())
	// The OSDs forget what only the snapshot had after a while.
	for deadline := time.Now().Add(time.Minute); objectsWith(t, s, info.ID) > 0; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("removed, it leaves %d objects", objectsWith(t, s, info.ID))
		}
	}
}

// objectsWith counts the objects with an image's id in their names.
func objectsWith(t *testing.T, s space, id string) int {
	t.Helper()
	return bytes.Count(labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "ls"), []byte(id))
}
