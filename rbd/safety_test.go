package rbd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// These tests hold that nothing removes what may be somebody's, and that nothing
// half made is taken for whole.

// stranger is another client of the cluster.
func stranger(t *testing.T) *rbd.Images {
	t.Helper()
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return rbd.NewImages(c)
}

func TestFailedImportKeepsAStrangersImage(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	s.must(s.images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
	file := filepath.Join(t.TempDir(), "odd.raw")
	s.must(os.WriteFile(file, make([]byte, 1000), 0o600))
	if _, err := s.images.Import(t.Context(), v, rbd.Source{Reader: open(t, file)}, rbd.ImportOptions{Snapshot: "snap"}); !errors.Is(err, rbd.ErrInvalid) {
		t.Errorf("Import = %v, want invalid", err)
	}
	if names := s.names(); len(names) != 1 {
		t.Errorf("images = %v: the stranger's is gone", names)
	}
}

// TestTakeOverKeepsWhatIsOpen: a blank image under a stale intent is open by
// another client, which is about to write to it.
func TestTakeOverKeepsWhatIsOpen(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	other := stranger(t)
	s.must(other.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
	rbd.LeaveIntent(t, s.images, v, "", "127.0.0.1:0/1", false)
	release := rbd.HoldOpen(t, other, v)
	_, err := s.images.Ensure(t.Context(), rbd.Want{Image: v, Size: 8 << 20})
	if !errors.Is(err, rbd.ErrInUse) || !strings.Contains(err.Error(), "is open by the client at") {
		t.Errorf("Ensure = %v, want in use", err)
	}
	release()
	if names := s.names(); len(names) != 1 {
		t.Errorf("images = %v: what was open is gone", names)
	}
}

// TestTakeOverKeepsWhatDoesNotOpen: a clone with data whose parent is gone.
func TestTakeOverKeepsWhatDoesNotOpen(t *testing.T) {
	cluster, pool := labtest.Cluster(t), labtest.FreshPool(t) // it cannot be emptied in the end
	images := rbd.NewImages(cluster)
	must := space{TB: t}.must
	golden := rbd.ImageSpec{Pool: pool, Image: "golden"}
	v := rbd.ImageSpec{Pool: pool, Image: "v"}
	done, err := images.Import(t.Context(), golden, rbd.Source{Reader: noise(4 << 20)}, rbd.ImportOptions{Snapshot: "snap"})
	must(err)
	must(images.Clone(t.Context(), golden.At("snap"), v, rbd.CloneOptions{}))
	labtest.Tool(t, "rados", "-p", pool, "rm", "rbd_header."+done.Info.ID)
	rbd.LeaveIntent(t, images, v, "", "127.0.0.1:0/1", false)
	if _, err := images.Ensure(t.Context(), rbd.Want{Image: v, Size: 8 << 20}); err == nil {
		t.Error("an image that does not open was taken for remains")
	}
	if names, err := images.List(t.Context(), pool, ""); err != nil || len(names) != 2 {
		t.Errorf("images = %v (%v), want both still there", names, err)
	}
}

// TestStaleIntentBesideAVolumeInUse: the intent of a finished volume was left;
// the volume has data since. The same request is success, and clears it away.
func TestStaleIntentBesideAVolumeInUse(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	want := rbd.Want{Image: s.image("v"), Size: 8 << 20, Parent: &golden}
	_, err := s.images.Ensure(t.Context(), want)
	s.must(err)
	labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "4096", "--io-total", "4096", want.Image.String())
	sum := s.digest(want.Image.At(""))
	rbd.LeaveIntent(t, s.images, want.Image, "", "127.0.0.1:0/1", false)
	done, err := s.images.Ensure(t.Context(), want)
	s.must(err)
	if done.Created || s.digest(want.Image.At("")) != sum {
		t.Errorf("Ensure = %+v, or the data is other", done)
	}
	if rbd.HasIntent(t, s.images, want.Image) {
		t.Error("the intent is still there")
	}
}

func TestImportNoticesAFileThatChanges(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"cut off": func(file string) error { return os.Truncate(file, 0) },
		"longer":  func(file string) error { return os.Truncate(file, 80<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t)
			file := filepath.Join(t.TempDir(), "big.raw")
			s.must(os.WriteFile(file, noiseBytes(64<<20), 0o600))
			changed := false
			opts := rbd.ImportOptions{Snapshot: "snap", Progress: func(done, _ uint64) {
				if done >= 4<<20 && !changed {
					changed = true
					s.must(change(file))
				}
			}}
			_, err := s.images.Import(t.Context(), s.image("v"), rbd.Source{Reader: open(t, file)}, opts)
			if !errors.Is(err, rbd.ErrInvalid) {
				t.Errorf("Import = %v, want invalid", err)
			}
			if names := s.names(); len(names) > 0 {
				t.Errorf("left %v", names)
			}
		})
	}
}

// TestImportBeginsWhereItsStreamStands: a file that was read from already.
func TestImportBeginsWhereItsStreamStands(t *testing.T) {
	s := newSpace(t)
	content := noiseBytes(4 << 20)
	file := filepath.Join(t.TempDir(), "v.raw")
	s.must(os.WriteFile(file, content, 0o600))
	f, err := os.Open(file)
	s.must(err)
	defer f.Close()
	_, err = f.Seek(1<<20, 0)
	s.must(err)
	_, err = s.images.Import(t.Context(), s.image("v"), rbd.Source{Reader: f}, rbd.ImportOptions{Snapshot: "snap"})
	s.must(err)
	if s.digest(s.image("v").At("snap")) != sha(content[1<<20:]) {
		t.Error("other content than what was left to read")
	}
}

func TestUnprotectedParentIsNotComplete(t *testing.T) {
	s := newSpace(t)
	half := s.image("half").At("snap")
	s.must(s.images.Create(t.Context(), half.ImageSpec, 8<<20, rbd.CreateOptions{}))
	s.must(s.images.CreateSnapshot(t.Context(), half))
	want := rbd.Want{Image: s.image("v"), Size: 8 << 20, Parent: &half, Protected: true}
	want.Options.Format = rbd.CloneV2
	if _, err := s.images.Ensure(t.Context(), want); !errors.Is(err, rbd.ErrUnavailable) {
		t.Errorf("Ensure = %v, want unavailable", err)
	}
	s.must(s.images.Protect(t.Context(), half))
	_, err := s.images.Ensure(t.Context(), want)
	s.must(err)
}

// TestRememberedParentIsLookedAtAgain: the image was made anew by somebody else.
func TestRememberedParentIsLookedAtAgain(t *testing.T) {
	s := newSpace(t)
	other := stranger(t)
	golden := s.golden("golden")
	_, err := s.images.Ensure(t.Context(), rbd.Want{Image: s.image("first"), Size: 8 << 20, Parent: &golden})
	s.must(err)
	s.must(s.images.Remove(t.Context(), s.image("first")))
	s.must(other.Unprotect(t.Context(), golden))
	s.must(other.RemoveSnapshot(t.Context(), golden))
	s.must(other.Remove(t.Context(), golden.ImageSpec))
	_, err = other.Import(t.Context(), golden.ImageSpec, rbd.Source{Reader: noise(4 << 20)}, rbd.ImportOptions{Snapshot: "snap"})
	s.must(err)
	want := rbd.Want{Image: s.image("v"), Size: 4 << 20, Parent: &golden}
	done, err := other.Ensure(t.Context(), want)
	s.must(err)
	again, err := s.images.Ensure(t.Context(), want)
	if err != nil || again.Created || again.Info.ID != done.Info.ID {
		t.Errorf("Ensure = %+v, %v; want what the other made", again, err)
	}
}

func TestInterruptedEnsureIsUndone(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.images.Ensure(ctx, rbd.Want{Image: s.image("v"), Size: 8 << 20, Parent: &golden, Check: func([]byte) error { cancel(); return nil }})
	if !errors.Is(err, rbd.ErrUnavailable) {
		t.Errorf("Ensure = %v, want unavailable", err)
	}
	if names := s.names(); len(names) != 1 || rbd.HasIntent(t, s.images, s.image("v")) {
		t.Errorf("left %v, or an intent", names)
	}
}

// TestLostLease: an import whose intent somebody else has taken stops, says so,
// and touches nothing.
func TestLostLease(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	lost := false
	opts := rbd.ImportOptions{Snapshot: "snap", Progress: func(uint64, uint64) {
		if !lost {
			lost = true
			rbd.LoseLease(t, s.images, v)
		}
	}}
	_, err := s.images.Import(t.Context(), v, rbd.Source{Reader: noise(8 << 20)}, opts)
	if !errors.Is(err, rbd.ErrUnavailable) || !strings.Contains(err.Error(), "lease") {
		t.Errorf("Import = %v, want unavailable: the lease was lost", err)
	}
	if names := s.names(); len(names) != 1 {
		t.Errorf("images = %v: without the lease nothing may be removed", names)
	}
	// Whoever comes next clears it away.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done, err := s.images.Import(ctx, v, rbd.Source{Reader: noise(8 << 20)}, rbd.ImportOptions{Snapshot: "snap"})
	s.must(err)
	if !done.Created || s.digest(v.At("snap")) != sha(noiseBytes(8<<20)) {
		t.Errorf("Import = %+v, or other content", done)
	}
}
