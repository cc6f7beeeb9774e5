package cinder

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rbdctl/rbd"
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
		b.oneWriter(volume, 0)
		if features(volume) != 3 {
			t.Errorf("%d of 3 features came back", features(volume))
		}
	}
	if v, err := b.Get(t.Context(), volume); err != nil || len(v.Metadata) != 0 {
		t.Errorf("metadata %v, %v", v.Metadata, err)
	}

	b.severalWriters(volume)
	b.tool("feature", "enable", b.image(volumePrefix+volume), "exclusive-lock") // as if killed in the middle
	b.severalWriters(volume)
	b.oneWriter(volume, 0)
	if features(volume) != 3 {
		t.Errorf("%d of 3 features came back after half of it", features(volume))
	}

	end := b.open(volumePrefix + volume)
	if _, err := b.SetMultiattach(t.Context(), volume, Multiattach{Enabled: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("of an open volume: %v", err)
	}
	end()
	if features(volume) != 3 {
		t.Error("an open volume has lost features")
	}
	plain := b.volumeOn(Source{})
	b.oneWriter(plain, 0)
}

// usual are the features of a new image: layering, exclusive-lock, object-map,
// fast-diff and deep-flatten.
const usual = 1 | 4 | 8 | 16 | 32

// severalWriters demands that it comes to be for several, or is, and had the usual
// features before.
func (b backend) severalWriters(volume string) {
	b.Helper()
	saved, err := b.SetMultiattach(b.Context(), volume, Multiattach{Enabled: true})
	if err != nil || saved != usual {
		b.Errorf("saved features %d, %v: want %d", saved, err, usual)
	}
}

func (b backend) oneWriter(volume string, saved uint64) {
	b.Helper()
	_, err := b.SetMultiattach(b.Context(), volume, Multiattach{Saved: saved})
	b.must(err)
}

// bits are the features that an image has.
func (b backend) bits(volume string) uint64 {
	b.Helper()
	info, err := b.lookAt(b.Context(), volume)
	b.must(err)
	bits, err := rbd.FeatureBits(info.Features)
	b.must(err)
	return bits
}

// TestMultiattachFromUpstream: what the upstream driver took is in Cinder's database
// only, and comes back from there. As that driver does, only features for one writer
// are switched, and ones that are on stay.
func TestMultiattachFromUpstream(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{})
	b.tool("feature", "disable", b.image(volumePrefix+volume), "fast-diff", "object-map", "exclusive-lock")
	b.oneWriter(volume, 0)
	if got := b.bits(volume); got != 33 {
		t.Errorf("features %d without anything that tells which it had", got)
	}
	b.tool("feature", "enable", b.image(volumePrefix+volume), "exclusive-lock") // as if killed in the middle
	for range 2 {
		b.oneWriter(volume, usual|1<<9) // an unknown one is none of ours
		if got := b.bits(volume); got != usual {
			t.Errorf("features %d, want %d", got, usual)
		}
	}
	b.oneWriter(b.volumeOn(Source{}), usual)
}

// TestMultiattachToUpstream: what the upstream driver does by the saved features works,
// librbd refuses none of it, and a note that it leaves does no harm.
func TestMultiattachToUpstream(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{})
	b.severalWriters(volume)
	b.severalWriters(volume)
	b.tool("feature", "enable", b.image(volumePrefix+volume), "exclusive-lock", "object-map", "fast-diff")
	clone := b.volumeOn(Source{Kind: FromVolume, ID: volume})
	for _, id := range []string{volume, clone} {
		if got := b.bits(id); got != usual {
			t.Errorf("features %d, want %d", got, usual)
		}
		b.severalWriters(id)
		b.oneWriter(id, 1) // the note counts
		if got := b.bits(id); got != usual {
			t.Errorf("features %d, want %d", got, usual)
		}
	}
}

// TestMultiattachClone: a clone for several hosts, of a volume for several, tells what
// the first one had before.
func TestMultiattachClone(t *testing.T) {
	b := newBackend(t)
	volume, clone := b.volumeOn(Source{}), uuid.NewString()
	b.severalWriters(volume)
	_, err := b.Create(t.Context(), Create{ID: clone, Size: 16 * mib, Source: Source{Kind: FromVolume, ID: volume}, Multiattach: true})
	b.must(err)
	b.severalWriters(clone)
	b.oneWriter(clone, 0)
	if got := b.bits(clone); got != usual {
		t.Errorf("features %d, want %d", got, usual)
	}
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

// TestReleaseSnapshot: what Cinder lets go of can be removed by any tool, unless it has
// clones of either format.
func TestReleaseSnapshot(t *testing.T) {
	b := newBackend(t)
	volume := b.volumeOn(Source{})
	for _, format := range []string{"", "1", "2"} {
		snapshot := b.snapshotOf(volume)
		spec := b.image(volumePrefix+volume) + "@snapshot-" + snapshot
		if format != "" {
			b.tool("clone", "--rbd-default-clone-format", format, spec, b.image("clone-"+snapshot))
		}
		for range 2 {
			b.must(b.ReleaseSnapshot(t.Context(), volume, snapshot))
		}
		v, err := b.Get(t.Context(), volume)
		b.must(err)
		for _, s := range v.Snapshots {
			if s.ID == snapshot && s.Protected != (format != "") {
				t.Errorf("with a clone of format %q, protected = %t", format, s.Protected)
			}
		}
		if format == "" {
			b.tool("snap", "rm", spec)
		}
	}
	for volume, snapshot := range map[string]string{volume: uuid.NewString(), uuid.NewString(): uuid.NewString()} {
		if err := b.ReleaseSnapshot(t.Context(), volume, snapshot); !errors.Is(err, ErrNotFound) {
			t.Errorf("of nothing: %v", err)
		}
	}
}
