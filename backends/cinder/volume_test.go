package cinder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

func TestNames(t *testing.T) {
	const id = "9f1d6a52-8a0c-4d7e-b1a4-0c9e5a7f2b11"
	for name, want := range map[string]string{
		"volume-" + id:                   id,
		"volume-" + id + ".deleted":      "",
		"volume-" + id + ".backup." + id: "",
		"volume-" + strings.ToUpper(id):  "",
		"volume-":                        "",
		id:                               "",
		"snapshot-" + id:                 "",
	} {
		if got, ok := ParseName(name); got != want || ok != (want != "") {
			t.Errorf("ParseName(%q) = %q, %t", name, got, ok)
		}
	}
	if got, ok := ParseSnapshot("snapshot-" + id); got != id || !ok {
		t.Errorf("ParseSnapshot = %q, %t", got, ok)
	}
	if got, ok := ParseSnapshot("volume-" + id + ".clone_snap"); ok {
		t.Errorf("ParseSnapshot of a clone's = %q", got)
	}
}

// TestIDs: whatever takes an id refuses what is none, before anything is touched.
func TestIDs(t *testing.T) {
	b := newBackend(t)
	ctx, good := t.Context(), uuid.NewString()
	for _, id := range []string{"", "x", "a/b", "../" + good, good + "@x", strings.ToUpper(good), "{" + good + "}"} {
		for name, err := range map[string]error{
			"Create":              second(b.Create(ctx, Create{ID: id, Size: mib})),
			"Get":                 second(b.Get(ctx, id)),
			"Delete":              b.Delete(ctx, id),
			"Extend":              second(b.Extend(ctx, id, mib)),
			"CreateSnapshot":      second(b.CreateSnapshot(ctx, id, good)),
			"CreateSnapshot's":    second(b.CreateSnapshot(ctx, good, id)),
			"DeleteSnapshot":      b.DeleteSnapshot(ctx, id, good),
			"DeleteSnapshot's":    b.DeleteSnapshot(ctx, good, id),
			"Revert":              b.Revert(ctx, id, good, nil),
			"Rename":              b.Rename(ctx, id, good),
			"Rename to":           b.Rename(ctx, good, id),
			"Adopt":               second(b.Adopt(ctx, id, "image")),
			"AdoptSnapshot":       b.AdoptSnapshot(ctx, id, good, "snap"),
			"ReleaseSnapshot":     b.ReleaseSnapshot(ctx, id, good),
			"ReleaseSnapshot's":   b.ReleaseSnapshot(ctx, good, id),
			"ManageableSnapshots": second(b.ManageableSnapshots(ctx, id)),
			"SetQoS":              b.SetQoS(ctx, id, nil),
			"SetMultiattach":      second(b.SetMultiattach(ctx, id, Multiattach{Enabled: true})),
			"Connection":          second(b.Connection(ctx, id)),
			"Read":                b.Read(ctx, id, "", nil, nil),
			"Write":               second(b.Write(ctx, id, rbd.Source{}, nil)),
		} {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%s of %q = %v, want it refused", name, id, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestGetAndList(t *testing.T) {
	b := newAlone(t)
	image := b.golden()
	volume := b.volumeOn(Source{Kind: FromImage, ID: image})
	snapshot := b.snapshotOf(volume)
	b.tool("create", "--size", "1M", b.image("volume-"+volume+".deleted"))

	v, err := b.Get(t.Context(), volume)
	b.must(err)
	want := Volume{
		ID: volume, Name: "volume-" + volume, Pool: b.Pool, Size: 16 * mib, ObjectSize: 4 * mib, Depth: 1,
		Parent:    &Parent{Pool: b.Pool, Image: image, Snapshot: "snap"},
		Snapshots: []Snapshot{{ID: snapshot, Name: "snapshot-" + snapshot, Size: 16 * mib, Protected: true}},
		Metadata:  map[string]string{},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	list, err := b.List(t.Context())
	if diff := cmp.Diff([]Name{{ID: volume, Name: "volume-" + volume}}, list); err != nil || diff != "" {
		t.Errorf("List: %v\n%s", err, diff)
	}
	if _, err := b.Get(t.Context(), uuid.NewString()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of nothing = %v", err)
	}
}

func TestConnection(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{})
	got, err := b.Connection(t.Context(), volume)
	b.must(err)
	fsid := strings.TrimSpace(string(labtest.Ceph(t, "fsid")))
	if len(got.Hosts) != 1 || got.Hosts[0] != "127.0.0.1" || len(got.Ports) != 1 {
		t.Errorf("monitors %v, ports %v", got.Hosts, got.Ports)
	}
	if port, err := strconv.Atoi(got.Ports[0]); err != nil || port == 0 {
		t.Errorf("port %q", got.Ports[0])
	}
	got.Hosts, got.Ports = nil, nil
	want := Connection{
		Name: b.Pool + "/volume-" + volume, ClusterName: "ceph", AuthEnabled: true, AuthUsername: "admin",
		SecretType: "ceph", SecretUUID: fsid, VolumeID: volume, Discard: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	b.ClusterName, b.SecretUUID = "west", "the-secret"
	if got, err := b.Connection(t.Context(), volume); err != nil || got.ClusterName != "west" || got.SecretUUID != "the-secret" {
		t.Errorf("as configured: %+v, %v", got, err)
	}
	if _, err := b.Connection(t.Context(), uuid.NewString()); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestStats(t *testing.T) {
	b := newAlone(t)
	b.volumeOn(Source{})
	b.volumeOn(Source{})
	b.tool("create", "--size", "1M", b.image("other"))
	labtest.Ceph(t, "osd", "pool", "set-quota", b.Pool, "max_bytes", strconv.Itoa(64*mib))
	s, err := b.Stats(t.Context())
	for ; err == nil && s.Total == 0 && t.Context().Err() == nil; s, err = b.Stats(t.Context()) {
		time.Sleep(100 * time.Millisecond) // until Ceph has counted the new pool
	}
	b.must(err)
	if s.State != Up || s.Volumes != 2 || s.Quota != 64*mib || s.StaticTotal != 64*mib {
		t.Errorf("Stats = %+v", s)
	}
	if s.Free > 64*mib || s.Total != s.Free+s.Used || s.FSID != strings.TrimSpace(string(labtest.Ceph(t, "fsid"))) {
		t.Errorf("Stats = %+v", s)
	}
	b.Pool = "nopool"
	if s, err := b.Stats(t.Context()); !errors.Is(err, ErrNotFound) || s.State != Down {
		t.Errorf("of a pool that is not there: %+v, %v", s, err)
	}
}

// TestProvisioned: all images count, whatever they are, and one that can't be read does
// not keep the others from being counted.
func TestProvisioned(t *testing.T) {
	b := newAlone(t)
	b.volumeOn(Source{})
	b.tool("create", "--size", "1M", b.image("other"))
	if sum, err := b.Provisioned(t.Context()); err != nil || sum != (Provisioned{Size: 17 * mib}) {
		t.Errorf("Provisioned = %+v, %v", sum, err)
	}
	b.unreadable("broken")
	if sum, err := b.Provisioned(t.Context()); err != nil || sum.Size != 17*mib || sum.Unreadable != 1 || sum.Why == nil {
		t.Errorf("with one that can't be read: %+v, %v", sum, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if sum, err := b.Provisioned(ended); err == nil {
		t.Errorf("ended before: %+v", sum)
	}
}

// TestStatsOfADeadCluster: with the only monitor stopped the state is down, within
// the time that the caller gives; and up again when it goes on.
func TestStatsOfADeadCluster(t *testing.T) {
	l := labtest.Lab(t, lab.Options{})
	cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	v := Volumes{Images: rbd.NewImages(cluster), Cluster: cluster, Pool: "volumes"}
	if err := second(cluster.MonCommand(t.Context(), []byte(`{"prefix":"osd pool create","pool":"volumes","pg_num":8}`))); err != nil {
		t.Fatal(err)
	}
	if s, err := v.Stats(t.Context()); err != nil || s.State != Up {
		t.Fatalf("Stats = %+v, %v", s, err)
	}
	mon, err := l.PID("mon.a")
	if err != nil {
		t.Fatal(err)
	}
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(mon, s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(mon, syscall.SIGCONT) })
	stopped(t, mon)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s, err := v.Stats(ctx)
	if err != nil || s.State != Down || s.Total != 0 {
		t.Errorf("Stats without a monitor = %+v, %v", s, err)
	}
	signal(syscall.SIGCONT)
	for s, err = v.Stats(t.Context()); err == nil && s.State != Up && t.Context().Err() == nil; {
		s, err = v.Stats(t.Context())
	}
	if err != nil || s.State != Up {
		t.Errorf("Stats with the monitor again = %+v, %v", s, err)
	}
}

// stopped waits until every thread of a process has stopped: one that just runs on
// another processor can answer a moment longer.
func stopped(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if len(threads) > 0 && !slices.ContainsFunc(threads, func(file string) bool {
			text, err := os.ReadFile(file)
			_, after, _ := strings.Cut(string(text), ") ")
			return err == nil && !strings.HasPrefix(after, "T")
		}) {
			return
		}
	}
	t.Fatalf("process %d goes on", pid)
}
