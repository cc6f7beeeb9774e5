package cinder

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestMultiattach: the features for one writer go and come back, also after the
// half of it; a clone of such a volume is for one writer.
func TestMultiattach(t *testing.T) {
	b := newBackend(t)
	volume := uuid.NewString()
	request := Create{ID: volume, Size: 16 * mib, Multiattach: true}
	for range 2 {
		_, err := b.Create(t.Context(), request)
		b.must(err)
	}
	features := func(id string) (n int) {
		info, err := b.lookAt(t.Context(), id)
		b.must(err)
		for _, name := range info.Features {
			if strings.Contains(strings.Join(singleWriter, " "), name) {
				n++
			}
		}
		return n
	}
	if features(volume) != 0 {
		t.Error("it has features for one writer")
	}
	clone := b.volumeOn(Source{Kind: FromVolume, ID: volume})
	if features(clone) != 3 {
		t.Errorf("a clone has %d of the features for one writer, want 3", features(clone))
	}
	for range 2 {
		b.must(b.SetMultiattach(t.Context(), volume, false))
		if features(volume) != 3 {
			t.Errorf("%d of 3 features came back", features(volume))
		}
	}
	if v, err := b.Get(t.Context(), volume); err != nil || len(v.Metadata) != 0 {
		t.Errorf("metadata %v, %v", v.Metadata, err)
	}

	b.must(b.SetMultiattach(t.Context(), volume, true))
	b.tool("feature", "enable", b.image(volumePrefix+volume), "exclusive-lock") // as if killed in the middle
	b.must(b.SetMultiattach(t.Context(), volume, true))
	b.must(b.SetMultiattach(t.Context(), volume, false))
	if features(volume) != 3 {
		t.Errorf("%d of 3 features came back after half of it", features(volume))
	}

	end := b.open(volumePrefix + volume)
	if err := b.SetMultiattach(t.Context(), volume, true); !errors.Is(err, ErrInUse) {
		t.Errorf("of an open volume: %v", err)
	}
	end()
	if features(volume) != 3 {
		t.Error("an open volume has lost features")
	}
	plain := b.volumeOn(Source{})
	b.must(b.SetMultiattach(t.Context(), plain, false))
}

func TestAdoptSnapshot(t *testing.T) {
	b := newBackend(t)
	volume, snapshot := b.volumeOn(Source{}), uuid.NewString()
	b.tool("snap", "create", b.image(volumePrefix+volume)+"@manual")
	for range 2 {
		b.must(b.AdoptSnapshot(t.Context(), volume, snapshot, "manual"))
	}
	b.must(b.AdoptSnapshot(t.Context(), volume, snapshot, "snapshot-"+snapshot))
	v, err := b.Get(t.Context(), volume)
	if err != nil || len(v.Snapshots) != 1 || v.Snapshots[0].ID != snapshot || !v.Snapshots[0].Protected {
		t.Errorf("the volume is now %+v, %v", v, err)
	}
	clone := b.volumeOn(Source{Kind: FromVolume, ID: volume})
	for name, kind := range map[string]error{
		"volume-" + clone + ".clone_snap": ErrInvalid,
		"rbdctl-deleted-x":                ErrInvalid,
		"a@b":                             ErrInvalid,
		"nothing":                         ErrNotFound,
	} {
		if err := b.AdoptSnapshot(t.Context(), volume, uuid.NewString(), name); !errors.Is(err, kind) {
			t.Errorf("AdoptSnapshot of %q = %v, want %v", name, err, kind)
		}
	}
}
