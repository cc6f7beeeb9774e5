package cinder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rbdctl/rbd"
)

func TestExtend(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{})
	for _, tt := range []struct {
		size, want uint64
		kind       error
	}{
		{32 * mib, 32 * mib, nil},
		{32 * mib, 32 * mib, nil},
		{16 * mib, 32 * mib, ErrInvalid},
		{1 << 63, 32 * mib, ErrInvalid},
		{33*mib + 512, 33*mib + 512, nil},
		{2 * gib, 2 * gib, nil}, // not encrypted: no header
	} {
		got, err := b.Extend(t.Context(), volume, tt.size)
		if !errors.Is(err, tt.kind) || err == nil && got.Size != tt.want {
			t.Errorf("Extend to %d = %+v, %v", tt.size, got, err)
		}
		if now, err := b.Get(t.Context(), volume); err != nil || now.Size != tt.want {
			t.Errorf("after Extend to %d: %+v, %v", tt.size, now, err)
		}
	}
	if _, err := b.Extend(t.Context(), uuid.NewString(), mib); !errors.Is(err, ErrNotFound) {
		t.Errorf("Extend of nothing = %v", err)
	}
}

// TestEncrypted: the image of an encrypted volume is larger than the volume, and
// stays so when it is extended, cloned, or cloned from a snapshot to whole GiB.
func TestEncrypted(t *testing.T) {
	b := newBackend(t)
	const header = 2 * mib
	volume := uuid.NewString()
	_, err := b.Create(t.Context(), Create{ID: volume, Size: gib + header})
	b.must(err)
	content := append([]byte(luksMagic), bytes.Repeat([]byte{7}, 512-len(luksMagic))...)
	_, err = b.Write(t.Context(), volume, rbd.Source{Reader: bytes.NewReader(content)}, nil)
	b.must(err)
	snapshot := b.snapshotOf(volume)

	for name, source := range map[string]Source{
		"volume":   {Kind: FromVolume, ID: volume},
		"snapshot": {Kind: FromSnapshot, ID: snapshot, VolumeID: volume},
	} {
		for _, size := range []uint64{gib, gib + header, 2 * gib} {
			request := Create{ID: uuid.NewString(), Size: size, Source: source}
			want := size
			if size%gib == 0 {
				want += header
			}
			for range 2 {
				done, err := b.Create(t.Context(), request)
				if err != nil || done.Info.Size != want {
					t.Errorf("of a %s, %d bytes: %+v, %v", name, size, done, err)
				}
			}
		}
	}
	for _, size := range []uint64{2 * gib, 2 * gib, 2*gib + header} {
		if got, err := b.Extend(t.Context(), volume, size); err != nil || got.Size != 2*gib+header {
			t.Errorf("Extend to %d = %+v, %v", size, got, err)
		}
	}
}

func TestSnapshots(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	spec := b.image(volumePrefix + volume)
	snapshot := uuid.NewString()
	for _, want := range []bool{true, false} {
		if created, err := b.CreateSnapshot(t.Context(), volume, snapshot); err != nil || created != want {
			t.Errorf("CreateSnapshot = %t, %v", created, err)
		}
	}
	if ls := b.tool("snap", "ls", spec); !strings.Contains(ls, "snapshot-"+snapshot) || !strings.Contains(ls, "yes") {
		t.Errorf("not there, or not protected:\n%s", ls)
	}
	if _, err := b.CreateSnapshot(t.Context(), uuid.NewString(), snapshot); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}

	clone := b.volumeOn(Source{Kind: FromSnapshot, ID: snapshot, VolumeID: volume})
	content := b.digest(volumePrefix + clone)
	for range 2 {
		if err := b.DeleteSnapshot(t.Context(), volume, snapshot); err != nil {
			t.Errorf("DeleteSnapshot with a clone = %v", err)
		}
	}
	if v, err := b.Get(t.Context(), volume); err != nil || len(v.Snapshots) != 1 || v.Snapshots[0].ID != "" {
		t.Errorf("the volume is now %+v, %v", v, err)
	}
	if created, err := b.CreateSnapshot(t.Context(), volume, snapshot); err != nil || !created {
		t.Errorf("the name is not free: %t, %v", created, err)
	}
	if b.digest(volumePrefix+clone) != content {
		t.Error("the clone lost its content")
	}
	if err := b.DeleteSnapshot(t.Context(), uuid.NewString(), snapshot); err != nil {
		t.Errorf("of a volume that is gone: %v", err)
	}
}

func TestRevert(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	before := b.digest(volumePrefix + volume)
	snapshot := b.snapshotOf(volume)
	_, err := b.Write(t.Context(), volume, rbd.Source{Reader: strings.NewReader(strings.Repeat("x", 1024))}, nil)
	b.must(err)
	if b.digest(volumePrefix+volume) == before {
		t.Fatal("the write changed nothing")
	}
	b.must(b.Revert(t.Context(), volume, snapshot, nil))
	if b.digest(volumePrefix+volume) != before {
		t.Error("the content is not that of the snapshot")
	}
	if err := b.Revert(t.Context(), volume, uuid.NewString(), nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("to no snapshot: %v", err)
	}
}

// TestDelete: a volume with a snapshot and clones goes at once, and they go on; one
// that is open stays as it was, its snapshot too.
func TestDelete(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	snapshot := b.snapshotOf(volume)
	clone := b.volumeOn(Source{Kind: FromVolume, ID: volume})
	content := b.digest(volumePrefix + clone)

	end := b.open(volumePrefix + volume)
	if err := b.Delete(t.Context(), volume); !errors.Is(err, ErrInUse) {
		t.Errorf("Delete of an open volume = %v", err)
	}
	if v, err := b.Get(t.Context(), volume); err != nil || len(v.Snapshots) != 2 || v.Snapshots[0].ID != snapshot {
		t.Errorf("an open volume is now %+v, %v", v, err)
	}
	end()

	for range 2 {
		b.must(b.Delete(t.Context(), volume))
	}
	if _, err := b.Get(t.Context(), volume); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of a deleted volume = %v", err)
	}
	if b.digest(volumePrefix+clone) != content {
		t.Error("the clone lost its content")
	}
	if again, err := b.Create(t.Context(), Create{ID: volume, Size: mib}); err != nil || !again.Created {
		t.Errorf("the name is not free: %+v, %v", again, err)
	}
}

func TestRenameAndAdopt(t *testing.T) {
	b := newBackend(t)
	from, to := b.volumeOn(Source{Kind: FromImage, ID: b.golden()}), uuid.NewString()
	content := b.digest(volumePrefix + from)
	for range 2 {
		b.must(b.Rename(t.Context(), from, to))
	}
	if b.digest(volumePrefix+to) != content {
		t.Error("another content under the new name")
	}
	other := b.volumeOn(Source{})
	if err := b.Rename(t.Context(), to, other); !errors.Is(err, ErrExists) {
		t.Errorf("Rename over a volume = %v", err)
	}
	if err := b.Rename(t.Context(), to, to); err != nil {
		t.Errorf("Rename to itself = %v", err)
	}
	if err := b.Rename(t.Context(), uuid.NewString(), uuid.NewString()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Rename of nothing = %v", err)
	}

	legacy := "legacy-" + to
	b.tool("rename", b.image(volumePrefix+to), b.image(legacy))
	clone := rbd.ImageSpec{Pool: b.Pool, Image: legacy}.At("volume-" + uuid.NewString() + ".clone_snap") // a parent of clones may be adopted
	b.must(b.Images.CreateSnapshot(t.Context(), clone))
	adopted := uuid.NewString()
	for range 2 {
		v, err := b.Adopt(t.Context(), adopted, legacy)
		if err != nil || v.Name != volumePrefix+adopted || v.Size != 16*mib {
			t.Errorf("Adopt = %+v, %v", v, err)
		}
	}
	if _, err := b.Adopt(t.Context(), adopted, volumePrefix+adopted); err != nil {
		t.Errorf("Adopt of itself = %v", err)
	}
	if b.digest(volumePrefix+adopted) != content {
		t.Error("another content in the adopted volume")
	}
}

func TestAdoptRefuses(t *testing.T) {
	b := newAlone(t)
	volume := b.volumeOn(Source{})
	instance := uuid.NewString()
	backup := "volume-" + volume + ".backup." + instance
	for _, name := range []string{backup, "volume-" + volume + ".deleted", instance + "_disk", instance + "_disk.config", "plain", "open"} {
		b.tool("create", "--size", "1M", b.image(name))
	}
	image := b.golden()
	end := b.open("open")
	for _, tt := range []struct {
		name string
		kind error
	}{
		{backup, ErrInvalid},
		{"volume-" + volume + ".deleted", ErrInvalid},
		{instance + "_disk", ErrInvalid},
		{instance + "_disk.config", ErrInvalid},
		{image, ErrInvalid},
		{"open", ErrInUse},
		{"nothing", ErrNotFound},
		{"a/b", ErrInvalid},
		{"a@b", ErrInvalid},
		{"", ErrInvalid},
	} {
		if _, err := b.Adopt(t.Context(), uuid.NewString(), tt.name); !errors.Is(err, tt.kind) {
			t.Errorf("Adopt of %q = %v, want %v", tt.name, err, tt.kind)
		}
	}
	if _, err := b.Adopt(t.Context(), volume, "plain"); !errors.Is(err, ErrExists) {
		t.Errorf("Adopt over a volume = %v", err)
	}

	list, err := b.Manageable(t.Context())
	b.must(err)
	end()
	safe := map[string]bool{}
	for _, m := range list {
		safe[m.Name] = m.Safe
		if m.Safe != (m.Reason == "") || m.Size == 0 {
			t.Errorf("%+v", m)
		}
	}
	want := map[string]bool{
		backup: false, "volume-" + volume + ".deleted": false, instance + "_disk": false, instance + "_disk.config": false,
		image: false, "open": false, "plain": true, "volume-" + volume: true,
	}
	for name, ok := range want {
		if got, listed := safe[name]; !listed || got != ok {
			t.Errorf("%s: safe %t, listed %t", name, got, listed)
		}
		if one, err := b.ManageableImage(t.Context(), name); err != nil || name != "open" && !slices.Contains(list, one) {
			t.Errorf("%s alone: %+v, %v", name, one, err)
		}
	}
	if len(list) != len(want) {
		t.Errorf("listed %d images, want %d", len(list), len(want))
	}
}

// TestUnreadableImage: one image that can't be read is listed as such, and keeps nobody
// from the others.
func TestUnreadableImage(t *testing.T) {
	b := newAlone(t)
	volume := b.volumeOn(Source{})
	snapshot := b.snapshotOf(volume)
	b.unreadable("broken")
	list, err := b.Manageable(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "broken" || list[0].Safe || !strings.Contains(list[0].Reason, "can't be read") || !list[1].Safe {
		t.Fatalf("Manageable = %+v, %v", list, err)
	}
	if one, err := b.ManageableImage(t.Context(), "broken"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("it alone: %+v, %v", one, err)
	}
	if one, err := b.ManageableImage(t.Context(), volumePrefix+volume); err != nil || one != list[1] {
		t.Errorf("the other alone: %+v, %v", one, err)
	}
	if _, err := b.ManageableImage(t.Context(), "nothing"); !errors.Is(err, ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	b.volumeOn(Source{Kind: FromSnapshot, ID: snapshot})
	_, err = b.Create(t.Context(), Create{ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromSnapshot, ID: uuid.NewString()}})
	if err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("of a snapshot that may be the unreadable one's: %v", err)
	}
}

func TestManageableSnapshots(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{})
	mine := b.snapshotOf(volume)
	clone := b.volumeOn(Source{Kind: FromVolume, ID: volume})
	b.tool("snap", "create", b.image(volumePrefix+volume)+"@manual")
	list, err := b.ManageableSnapshots(t.Context(), volume)
	b.must(err)
	got := map[string]bool{}
	for _, s := range list {
		got[s.Name] = s.Safe
		if s.Name == snapshotPrefix+mine && s.ID != mine {
			t.Errorf("%+v", s)
		}
	}
	if len(list) != 3 || !got["manual"] || !got[snapshotPrefix+mine] || got[volumePrefix+clone+cloneSuffix] {
		t.Errorf("%+v", list)
	}
	if _, err := b.ManageableSnapshots(t.Context(), uuid.NewString()); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

func TestData(t *testing.T) {
	b := newBackend(t)
	image := b.golden()
	volume := b.volumeOn(Source{})
	n, err := b.Write(t.Context(), volume, rbd.Source{Reader: noise(8 * mib)}, nil)
	if err != nil || n != 8*mib {
		t.Fatalf("Write = %d, %v", n, err)
	}
	if b.digest(volumePrefix+volume) != b.digest(volumePrefix+b.volumeOn(Source{Kind: FromImage, ID: image})) {
		t.Error("the content is not what was written")
	}
	snapshot := b.snapshotOf(volume)
	_, err = b.Write(t.Context(), volume, rbd.Source{Reader: strings.NewReader(strings.Repeat("y", 512))}, nil)
	b.must(err)
	exported := filepath.Join(t.TempDir(), "exported")
	b.tool("export", b.image(volumePrefix+volume), exported)
	want, err := os.ReadFile(exported)
	b.must(err)
	var now, then bytes.Buffer
	b.must(b.Read(t.Context(), volume, "", &now, nil))
	b.must(b.Read(t.Context(), volume, snapshot, &then, nil))
	if !bytes.Equal(now.Bytes(), want) || then.Len() != 16*mib || bytes.HasPrefix(then.Bytes(), []byte("yyy")) {
		t.Error("what is read is not what is there")
	}
	if _, err := b.Write(t.Context(), volume, rbd.Source{Reader: noise(17 * mib)}, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("Write past the end = %v", err)
	}
	if v, err := b.Get(t.Context(), volume); err != nil || v.Size != 16*mib {
		t.Errorf("the volume is now %+v, %v", v, err)
	}
}

// TestSetQoS: the limits are where librbd looks, replace those before, and are not
// inherited by a clone.
func TestSetQoS(t *testing.T) {
	b := newBackend(t)
	volume := uuid.NewString()
	_, err := b.Create(t.Context(), Create{ID: volume, Size: 16 * mib, QoS: map[string]string{"total_iops_sec": "100", "total_iops_sec_max": "200"}})
	b.must(err)
	b.tool("image-meta", "set", b.image(volumePrefix+volume), "mine", "stays")
	limit := func(id, name string) string {
		for line := range strings.Lines(b.tool("config", "image", "ls", b.image(volumePrefix+id))) {
			if f := strings.Fields(line); f[0] == name {
				return f[1]
			}
		}
		return "not there"
	}
	if limit(volume, "rbd_qos_iops_limit") != "100" || limit(volume, "rbd_qos_iops_burst") != "200" || limit(volume, "rbd_qos_bps_burst") != "0" {
		t.Errorf("limit %s, burst %s, bytes %s", limit(volume, "rbd_qos_iops_limit"), limit(volume, "rbd_qos_iops_burst"), limit(volume, "rbd_qos_bps_burst"))
	}
	clone := b.volumeOn(Source{Kind: FromVolume, ID: volume})
	if got := limit(clone, "rbd_qos_iops_limit"); got != "0" {
		t.Errorf("a clone has its source's limit, %s", got)
	}
	for range 2 {
		b.must(b.SetQoS(t.Context(), volume, map[string]string{"rbd_qos_bps_limit": "5000"}))
	}
	v, err := b.Get(t.Context(), volume)
	b.must(err)
	if len(v.Metadata) != 2 || v.Metadata["conf_rbd_qos_bps_limit"] != "5000" || v.Metadata["mine"] != "stays" {
		t.Errorf("metadata %v", v.Metadata)
	}
	b.must(b.SetQoS(t.Context(), volume, nil))
	if v, err := b.Get(t.Context(), volume); err != nil || len(v.Metadata) != 1 {
		t.Errorf("metadata without limits: %v, %v", v.Metadata, err)
	}
	refused := Create{ID: uuid.NewString(), Size: mib, QoS: map[string]string{"speed": "1"}}
	if _, err := b.Create(t.Context(), refused); !errors.Is(err, ErrInvalid) {
		t.Errorf("Create with unknown limits = %v", err)
	}
	if _, err := b.Get(t.Context(), refused.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a refused volume: %v", err)
	}
}
