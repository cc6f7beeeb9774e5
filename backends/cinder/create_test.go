package cinder

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"rbdctl/rbd"
)

// TestCreateOfEverySource: the volume holds what its source does, is a clone by
// the upstream driver's names, and the same request again changes nothing.
func TestCreateOfEverySource(t *testing.T) {
	b := newBackend(t)
	image := b.golden()
	volume := b.volumeOn(Source{Kind: FromImage, ID: image})
	snapshot := b.snapshotOf(volume)
	content := b.digest(volumePrefix + volume)
	blank := b.digest(volumePrefix + b.volumeOn(Source{}))

	for _, tt := range []struct {
		name   string
		source Source
		parent func(id string) string // without the pool
		want   string                 // digest
	}{
		{"empty", Source{Kind: Empty}, nil, blank},
		{"image", Source{Kind: FromImage, ID: image}, func(string) string { return image + "@snap" }, content},
		{"snapshot", Source{Kind: FromSnapshot, ID: snapshot, VolumeID: volume}, func(string) string { return "volume-" + volume + "@snapshot-" + snapshot }, content},
		{"snapshot of a volume that is not named", Source{Kind: FromSnapshot, ID: snapshot}, func(string) string { return "volume-" + volume + "@snapshot-" + snapshot }, content},
		{"volume", Source{Kind: FromVolume, ID: volume}, func(id string) string { return "volume-" + volume + "@volume-" + id + ".clone_snap" }, content},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: tt.source}
			for n, created := range []bool{true, false} {
				done, err := b.Create(t.Context(), request)
				if err != nil || done.Created != created || done.Info.Size != request.Size {
					t.Fatalf("no. %d: Create = %+v, %v", n, done, err)
				}
			}
			v, err := b.Get(t.Context(), request.ID)
			b.must(err)
			if parent := parentOf(v); tt.parent == nil && parent != "" || tt.parent != nil && parent != tt.parent(request.ID) {
				t.Errorf("parent %q", parent)
			}
			if got := b.digest(v.Name); got != tt.want {
				t.Error("the content is another one")
			}
			if p := v.Parent; p != nil {
				if info := b.tool("info", b.image(p.Image)+"@"+p.Snapshot); !strings.Contains(info, "protected: True") {
					t.Errorf("the parent is not protected:\n%s", info)
				}
			}
			request.Size *= 2
			if _, err := b.Create(t.Context(), request); !errors.Is(err, ErrExists) {
				t.Errorf("Create with another size = %v, want a conflict", err)
			}
			if again, err := b.Get(t.Context(), request.ID); err != nil || again.Size != v.Size || parentOf(again) != parentOf(v) {
				t.Errorf("a conflict changed the volume: %+v, %v", again, err)
			}
		})
	}
}

// TestCreateRefuses: what can't be made leaves nothing, no snapshot either.
func TestCreateRefuses(t *testing.T) {
	b := newAlone(t)
	image := b.golden()
	volume := b.volumeOn(Source{Kind: FromImage, ID: image})
	snapshot := b.snapshotOf(volume)
	before := b.tool("ls", "--long", b.Pool)
	none := uuid.NewString()
	for _, tt := range []struct {
		name   string
		size   uint64
		source Source
		kind   error
		says   string
	}{
		{"kind", 16 * mib, Source{Kind: "backup", ID: none}, ErrInvalid, "source kind"},
		{"empty with a source", 16 * mib, Source{Kind: Empty, ID: none}, ErrInvalid, "has no source"},
		{"size 0", 0, Source{}, ErrInvalid, "size 0"},
		{"size past the end", 1 << 63, Source{}, ErrInvalid, "size"},
		{"image id", 16 * mib, Source{Kind: FromImage, ID: "a/b"}, ErrInvalid, "image id"},
		{"no image", 16 * mib, Source{Kind: FromImage, ID: none}, ErrNotFound, none},
		{"smaller than the image", 4 * mib, Source{Kind: FromImage, ID: image}, ErrInvalid, "smaller than the image"},
		{"snapshot id", 16 * mib, Source{Kind: FromSnapshot, ID: "snap"}, ErrInvalid, "snapshot id"},
		{"no snapshot", 16 * mib, Source{Kind: FromSnapshot, ID: none, VolumeID: volume}, ErrNotFound, "has no snapshot"},
		{"snapshot of no volume", 16 * mib, Source{Kind: FromSnapshot, ID: none}, ErrNotFound, "no volume of pool"},
		{"smaller than the snapshot", 8 * mib, Source{Kind: FromSnapshot, ID: snapshot}, ErrInvalid, "smaller than the source"},
		{"volume id", 16 * mib, Source{Kind: FromVolume, ID: "../x"}, ErrInvalid, "volume id"},
		{"no volume", 16 * mib, Source{Kind: FromVolume, ID: none}, ErrNotFound, none},
		{"smaller than the volume", 8 * mib, Source{Kind: FromVolume, ID: volume}, ErrInvalid, "smaller than the source"},
	} {
		request := Create{ID: uuid.NewString(), Size: tt.size, Source: tt.source}
		if _, err := b.Create(t.Context(), request); !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: Create = %v, want %v that says %q", tt.name, err, tt.kind, tt.says)
		}
	}
	self := Create{ID: volume, Size: 16 * mib, Source: Source{Kind: FromVolume, ID: volume}}
	if _, err := b.Create(t.Context(), self); !errors.Is(err, ErrInvalid) {
		t.Errorf("of itself: Create = %v", err)
	}
	if after := b.tool("ls", "--long", b.Pool); after != before {
		t.Errorf("refusals left\n%s\nbefore:\n%s", after, before)
	}
}

// TestCloneSnapshotGoesWhenTheCloneFails: a name that is taken by another image
// leaves the source as it was; one that is taken by the clone itself keeps the
// snapshot that it hangs on.
func TestCloneSnapshotGoesWhenTheCloneFails(t *testing.T) {
	b := newBackend(t)
	source := b.volumeOn(Source{})
	taken := b.volumeOn(Source{})
	if _, err := b.Create(t.Context(), Create{ID: taken, Size: 16 * mib, Source: Source{Kind: FromVolume, ID: source}}); !errors.Is(err, ErrExists) {
		t.Errorf("Create over another volume = %v", err)
	}
	if snaps := b.tool("snap", "ls", b.image(volumePrefix+source)); snaps != "" {
		t.Errorf("snapshots of the source:\n%s", snaps)
	}

	clone := b.volumeOn(Source{Kind: FromVolume, ID: source})
	if _, err := b.Create(t.Context(), Create{ID: clone, Size: 32 * mib, Source: Source{Kind: FromVolume, ID: source}}); !errors.Is(err, ErrExists) {
		t.Errorf("Create with another size = %v", err)
	}
	if v, err := b.Get(t.Context(), clone); err != nil || parentOf(v) != "volume-"+source+"@volume-"+clone+".clone_snap" {
		t.Errorf("the clone is now %+v, %v", v, err)
	}
}

// TestCloneAfterADeath: whatever a killed attempt left, the same request again
// makes the volume.
func TestCloneAfterADeath(t *testing.T) {
	b := newBackend(t)
	source := b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	spec, err := b.volume(source)
	b.must(err)
	for _, tt := range []struct {
		name  string
		leave func(at rbd.SnapSpec)
	}{
		{"the snapshot", func(at rbd.SnapSpec) { b.must(b.Images.CreateSnapshot(t.Context(), at)) }},
		{"the snapshot, protected", func(at rbd.SnapSpec) {
			b.must(b.Images.CreateSnapshot(t.Context(), at))
			b.must(b.Images.Protect(t.Context(), at))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := uuid.NewString()
			tt.leave(cloneSnapshot(spec, id))
			done, err := b.Create(t.Context(), Create{ID: id, Size: 16 * mib, Source: Source{Kind: FromVolume, ID: source}})
			if err != nil || !done.Created {
				t.Fatalf("Create = %+v, %v", done, err)
			}
			if b.digest(volumePrefix+id) != b.digest(volumePrefix+source) {
				t.Error("the content is another one")
			}
		})
	}
}

// TestCloneIsOfNow: a snapshot that was taken for a clone of the same name, which is deleted
// by now or was never made, is not what the next one is made of.
func TestCloneIsOfNow(t *testing.T) {
	b := newAlone(t)
	golden := b.golden()
	source := b.volumeOn(Source{Kind: FromImage, ID: golden})
	spec, err := b.volume(source)
	b.must(err)
	request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromVolume, ID: source}}
	parent := cloneSnapshot(spec, request.ID)
	for name, leave := range map[string]func(){
		"a clone in the trash": func() {
			_, err := b.Create(t.Context(), request)
			b.must(err)
			b.must(b.Delete(t.Context(), request.ID))
		},
		"a clone that was never made": func() {
			_, err := b.Images.EnsureSnapshot(t.Context(), parent, rbd.SnapOptions{Protect: true})
			b.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			leave()
			before := b.digest(volumePrefix + source)
			b.tool("bench", "--io-type", "write", "--io-pattern", "rand", "--io-size", "64K", "--io-total", "1M", b.image(volumePrefix+source))
			now := b.digest(volumePrefix + source)
			if before == now {
				t.Fatal("nothing was written: the test tests nothing")
			}
			done, err := b.Create(t.Context(), request)
			if err != nil || !done.Created || done.Info.Parent == nil || done.Info.Parent.SnapSpec != parent {
				t.Fatalf("Create = %+v, %v", done, err)
			}
			again, err := b.Create(t.Context(), request)
			if err != nil || again.Created {
				t.Errorf("the same request = %+v, %v", again, err)
			}
			if b.digest(volumePrefix+request.ID) != now {
				t.Error("the clone does not hold what the source held when it was asked for")
			}
			b.must(b.Delete(t.Context(), request.ID))
		})
	}
	for range 4 { // clones first, then what goes with them
		_, err := b.Images.Purge(t.Context(), b.Pool, rbd.PurgeOptions{})
		b.must(err)
	}
	b.must(b.Delete(t.Context(), source))
	_, err = b.Images.Purge(t.Context(), b.Pool, rbd.PurgeOptions{})
	b.must(err)
	b.isEmptyBut(golden)
}

// TestCloneOutlivesItsSource: the request that made a clone is success again when
// the source was deleted meanwhile; one that never made it is not.
func TestCloneOutlivesItsSource(t *testing.T) {
	b := newBackend(t)
	source := b.volumeOn(Source{})
	request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromVolume, ID: source}}
	_, err := b.Create(t.Context(), request)
	b.must(err)
	b.must(b.Delete(t.Context(), source))
	if done, err := b.Create(t.Context(), request); err != nil || done.Created || done.Info.Size != request.Size {
		t.Errorf("the same request = %+v, %v", done, err)
	}
	for name, change := range map[string]func(*Create){
		"id":     func(c *Create) { c.ID = uuid.NewString() },
		"size":   func(c *Create) { c.Size *= 2 },
		"source": func(c *Create) { c.Source.ID = uuid.NewString() },
		"kind":   func(c *Create) { c.Source = Source{Kind: FromSnapshot, ID: source} },
	} {
		other := request
		change(&other)
		if _, err := b.Create(t.Context(), other); !errors.Is(err, ErrNotFound) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// TestOneCloneAtOnce: many callers with one request make one clone of a volume,
// with one snapshot.
func TestOneCloneAtOnce(t *testing.T) {
	b := newBackend(t)
	source := b.volumeOn(Source{})
	request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromVolume, ID: source}}
	var created atomic.Int32
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			done, err := b.Create(t.Context(), request)
			if err != nil {
				t.Error(err)
			}
			if done.Created {
				created.Add(1)
			}
		})
	}
	group.Wait()
	v, err := b.Get(t.Context(), source)
	if err != nil || len(v.Snapshots) != 1 || created.Load() != 1 {
		t.Errorf("%d created; the source is %+v, %v", created.Load(), v, err)
	}
}

// TestCloneWhilePurging: a purge that takes the snapshot of a clone to come for
// debris delays the clone, and no more.
func TestCloneWhilePurging(t *testing.T) {
	b := newAlone(t)
	source := b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	content := b.digest(volumePrefix + source)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if _, err := b.Images.Purge(t.Context(), b.Pool, rbd.PurgeOptions{}); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 8 {
		clone := b.volumeOn(Source{Kind: FromVolume, ID: source})
		if v, err := b.Get(t.Context(), clone); err != nil || parentOf(v) != "volume-"+source+"@volume-"+clone+".clone_snap" {
			t.Errorf("the clone is %+v, %v", v, err)
		}
		if b.digest(volumePrefix+clone) != content {
			t.Error("the content is another one")
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func parentOf(v Volume) string {
	if v.Parent == nil {
		return ""
	}
	return v.Parent.Image + "@" + v.Parent.Snapshot
}

// TestCloneOfAVolumeForSeveralWriters has the features of any new volume, and knows nothing
// of those that its source lacks.
func TestCloneOfAVolumeForSeveralWriters(t *testing.T) {
	b := newBackend(t)
	shared := uuid.NewString()
	_, err := b.Create(t.Context(), Create{ID: shared, Size: 16 * mib, Multiattach: true})
	b.must(err)
	usual, err := b.lookAt(t.Context(), b.volumeOn(Source{}))
	b.must(err)
	snapshot := b.snapshotOf(shared)
	for _, source := range []Source{{Kind: FromVolume, ID: shared}, {Kind: FromSnapshot, ID: snapshot, VolumeID: shared}} {
		id := b.volumeOn(source)
		info, err := b.lookAt(t.Context(), id)
		if err != nil || !slices.Equal(info.Features, usual.Features) {
			t.Errorf("a clone of a %s has %v, want %v: %v", source.Kind, info.Features, usual.Features, err)
		}
		if v, err := b.Get(t.Context(), id); err != nil || len(v.Metadata) > 0 {
			t.Errorf("its metadata is %v, %v", v.Metadata, err)
		}
	}
}
