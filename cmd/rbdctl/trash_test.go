package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/backends/cinder"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// volumesOn is a Cinder backend in a pool of the test's own, and the program on
// the same cluster.
type volumesOn struct {
	*testing.T
	cinder.Volumes
}

func newVolumes(t *testing.T) volumesOn {
	t.Helper()
	cluster, pool := labtest.Cluster(t), labtest.FreshPool(t)
	return volumesOn{t, cinder.Volumes{Images: rbd.NewImages(cluster), Cluster: cluster, Pool: pool, ImagePool: pool}}
}

// run is the program without the process.
func (v volumesOn) run(args ...string) (stdout, stderr string, status int) {
	v.Helper()
	var out, errOut bytes.Buffer
	status = run(v.Context(), append([]string{programName, "--ceph-conf", labtest.Conf(v)}, args...), strings.NewReader(""), &out, &errOut)
	return out.String(), errOut.String(), status
}

// answer runs the program with JSON output, demands the status and reads the
// answer.
func (v volumesOn) answer(into any, status int, args ...string) {
	v.Helper()
	out, errOut, got := v.run(append([]string{"--output", "json"}, args...)...)
	if got != status {
		v.Fatalf("%s: status %d, want %d: %s", strings.Join(args, " "), got, status, errOut)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		v.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (v volumesOn) must(err error) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
}

// make makes a volume of 8 MiB, a clone of another one if of is not empty.
func (v volumesOn) make(of string) string {
	v.Helper()
	c := cinder.Create{ID: uuid.NewString(), Size: 8 << 20}
	if of != "" {
		c.Source = cinder.Source{Kind: cinder.FromVolume, ID: of}
	}
	_, err := v.Create(v.Context(), c)
	v.must(err)
	return c.ID
}

func (v volumesOn) trash() map[string]trashRow {
	v.Helper()
	var list struct{ Trash []trashRow }
	v.answer(&list, 0, "trash", "ls", "--pool", v.Pool)
	byName := map[string]trashRow{}
	for _, r := range list.Trash {
		byName[r.Name] = r
	}
	return byName
}

func TestTrash(t *testing.T) {
	v := newVolumes(t)
	if out, _, status := v.run("trash", "ls", "--pool", v.Pool); status != 0 || out != "" {
		t.Errorf("an empty trash: status %d, %s", status, out)
	}
	parent := v.make("")
	clone := v.make(parent)
	v.must(v.Delete(t.Context(), parent))
	graced := v.make("")
	slow := v.Volumes
	slow.Delay = time.Hour
	v.must(slow.Delete(t.Context(), graced))
	labtest.RBD(t, "create", "--size", "1M", v.Pool+"/foreign")
	labtest.RBD(t, "trash", "mv", v.Pool+"/foreign")

	list := v.trash()
	first, second := list["volume-"+parent], list["volume-"+graced]
	if len(list) != 2 || *first.Clones != 1 || *second.Clones != 0 || !second.Until.After(time.Now()) {
		t.Errorf("%+v", list)
	}
	out, _, status := v.run("trash", "ls", "--pool", v.Pool)
	if status != 0 || !strings.Contains(out, "1 clone\n") || !strings.Contains(out, second.Until.Format(time.DateTime)) {
		t.Errorf("status %d\n%s", status, out)
	}

	var purged purgedJSON
	v.answer(&purged, 0, "trash", "purge", "--pool", v.Pool)
	if len(purged.Removed) != 0 || purged.Waiting != 2 {
		t.Errorf("purged before its time: %+v", purged)
	}

	if out, errOut, status := v.run("trash", "restore", "--pool", v.Pool, second.ID); status != 0 || out != v.Pool+"/volume-"+graced+" restored\n" {
		t.Errorf("restore: status %d, %s%s", status, out, errOut)
	}
	if _, err := v.Get(t.Context(), graced); err != nil {
		t.Errorf("the restored volume: %v", err)
	}
	for _, tt := range []struct {
		id, name string
		status   int
	}{
		{first.ID, "volume-" + clone, 4},
		{first.ID, "a/b", 2},
		{"abcdef", "", 3},
	} {
		args := []string{"trash", "restore", "--pool", v.Pool}
		if tt.name != "" {
			args = append(args, "--name", tt.name)
		}
		if out, errOut, status := v.run(append(args, tt.id)...); status != tt.status || out != "" || strings.Count(errOut, "\n") != 1 {
			t.Errorf("restore %s as %q: status %d, want %d, %s%s", tt.id, tt.name, status, tt.status, out, errOut)
		}
	}

	v.must(slow.Delete(t.Context(), graced))
	v.must(v.Delete(t.Context(), clone))
	id := v.trash()["volume-"+graced].ID
	v.answer(&purged, 0, "trash", "purge", "--pool", v.Pool, "--now", id)
	if len(purged.Removed) != 1 || purged.Removed[0] != id || purged.Waiting != 2 {
		t.Errorf("purge of one id: %+v", purged)
	}
	if out, errOut, status := v.run("trash", "purge", "--pool", v.Pool); status != 0 || out != "2 removed, 0 waiting\n" {
		t.Errorf("purge: status %d, %s%s", status, out, errOut)
	}
	if left := string(labtest.RBD(t, "trash", "ls", "--all", v.Pool)); strings.Count(left, "\n") != 1 || !strings.Contains(left, "foreign") {
		t.Errorf("left in the trash:\n%s", left)
	}
}

func TestTrashUsage(t *testing.T) {
	for _, args := range []string{"trash frobnicate", "trash ls extra", "trash restore", "trash restore a b", "trash purge --limit -1", "trash purge a --now"} {
		out, errOut, status := onlyText(t, strings.Fields(args)...)
		if status != 2 || out != "" || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, status, out, errOut)
		}
	}
}
