package rbd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rbdctl/rbd"
)

func TestEnsureIsIdempotent(t *testing.T) {
	s := newSpace(t)
	golden, other := s.golden("golden"), s.golden("other")
	want := rbd.Want{Image: s.image("v"), Size: 32 << 20, Parent: &golden}
	for n, created := range []bool{true, false, false} {
		done, err := s.images.Ensure(t.Context(), want)
		s.must(err)
		if done.Created != created || done.Info.Size != want.Size || done.Info.Parent.SnapSpec != golden {
			t.Errorf("Ensure no. %d = %+v", n, done)
		}
	}
	if rbd.HasIntent(t, s.images, want.Image) {
		t.Error("the intent is still there")
	}

	for _, tt := range []struct {
		name, says string
		change     func(*rbd.Want)
	}{
		{"size", "33554432 bytes", func(w *rbd.Want) { w.Size = 64 << 20 }},
		{"smaller size", "33554432 bytes", func(w *rbd.Want) { w.Size = 16 << 20 }},
		{"parent", "clone of", func(w *rbd.Want) { w.Parent = &other }},
		{"no parent", "wanted a blank image", func(w *rbd.Want) { w.Parent = nil }},
	} {
		w := want
		tt.change(&w)
		if _, err := s.images.Ensure(t.Context(), w); !errors.Is(err, rbd.ErrExists) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Ensure with another %s = %v, want a conflict that says %q", tt.name, err, tt.says)
		}
	}
	if info, err := s.images.Stat(t.Context(), want.Image); err != nil || info.Size != want.Size {
		t.Errorf("a conflict changed the image: %+v, %v", info, err)
	}
}

func TestEnsureRefuses(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	missing := s.image("missing").At("snap")
	refusal := errors.New("not this content")
	for _, tt := range []struct {
		name string
		want rbd.Want
		kind error
	}{
		{"no parent image", rbd.Want{Image: s.image("v"), Size: 32 << 20, Parent: &missing}, rbd.ErrNotFound},
		{"smaller than the parent", rbd.Want{Image: s.image("v"), Size: 4 << 20, Parent: &golden}, rbd.ErrInvalid},
		{"size 0", rbd.Want{Image: s.image("v")}, rbd.ErrInvalid},
		{"content", rbd.Want{Image: s.image("v"), Size: 32 << 20, Parent: &golden, Check: func([]byte) error { return refusal }}, refusal},
		{"pool", rbd.Want{Image: rbd.ImageSpec{Pool: "nopool", Image: "v"}, Size: 1 << 20}, rbd.ErrNotFound},
	} {
		if _, err := s.images.Ensure(t.Context(), tt.want); !errors.Is(err, tt.kind) {
			t.Errorf("%s: Ensure = %v, want %v", tt.name, err, tt.kind)
		}
	}
	if names := s.names(); len(names) != 1 {
		t.Errorf("refusals left %v", names)
	}
	if rbd.HasIntent(t, s.images, s.image("v")) {
		t.Error("a refusal left an intent")
	}
}

// TestEnsureAtOnce: many callers with one request make one image, and all hear
// of success; the same with different requests, one wins and the others hear how
// theirs differs.
func TestEnsureAtOnce(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, differ := range []bool{false, true} {
		name := map[bool]string{false: "same", true: "different"}[differ]
		var created, equal, conflicts atomic.Int32
		var group sync.WaitGroup
		for n := range 12 {
			group.Go(func() {
				want := rbd.Want{Image: s.image(name), Size: 32 << 20, Parent: &golden}
				if differ {
					want.Size += uint64(n) << 20
				}
				done, err := s.images.Ensure(ctx, want)
				switch {
				case err == nil && done.Created:
					created.Add(1)
				case err == nil:
					equal.Add(1)
				case errors.Is(err, rbd.ErrExists):
					conflicts.Add(1)
				default:
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		group.Wait()
		if got := [3]int32{created.Load(), equal.Load(), conflicts.Load()}; !differ && got != [3]int32{1, 11, 0} || differ && got != [3]int32{1, 0, 11} {
			t.Errorf("%s: created, equal, conflicts = %v", name, got)
		}
	}
}

// TestEnsureTakesOver: what a dead process left half made under an intent is
// removed and made again; what holds data stays.
func TestEnsureTakesOver(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	sum := s.digest(golden)
	for _, tt := range []struct {
		name  string
		leave func(rbd.ImageSpec)
		held  bool
		want  error
	}{
		{"nothing", func(rbd.ImageSpec) {}, true, nil},
		{"nothing-unlocked", func(rbd.ImageSpec) {}, false, nil},
		{"image-without-parent", func(v rbd.ImageSpec) {
			s.must(s.images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
		}, true, nil},
		{"clone-not-grown", func(v rbd.ImageSpec) {
			s.must(s.images.Clone(t.Context(), golden, v, rbd.CloneOptions{}))
		}, true, nil},
		{"image-with-data", func(v rbd.ImageSpec) {
			_, err := s.images.Import(t.Context(), v, rbd.Source{Reader: noise(4 << 20)}, rbd.ImportOptions{Snapshot: "mine"})
			s.must(err)
		}, true, rbd.ErrExists},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := s.image(tt.name)
			tt.leave(v)
			rbd.LeaveIntent(t, s.images, v, "", "127.0.0.1:0/1", tt.held)
			done, err := s.images.Ensure(t.Context(), rbd.Want{Image: v, Size: 8 << 20, Parent: &golden})
			if !errors.Is(err, tt.want) {
				t.Fatalf("Ensure = %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				if info, err := s.images.Stat(t.Context(), v); err != nil || len(info.Snapshots) != 1 {
					t.Errorf("somebody's image was touched: %+v, %v", info, err)
				}
				return
			}
			if !done.Created || done.Info.Parent == nil || s.digest(v.At("")) != sum {
				t.Errorf("Ensure = %+v, or the content is not the parent's", done)
			}
			if rbd.HasIntent(t, s.images, v) {
				t.Error("the intent is still there")
			}
		})
	}
}

// TestEnsureBesideAMaking: what may be half made is compared with by nobody, also when
// that is begun in the middle of the look.
func TestEnsureBesideAMaking(t *testing.T) {
	s := newSpace(t)
	v := s.blank("v")
	if !rbd.Undisturbed(t, s.images, v, func() {}) {
		t.Error("nobody is at it")
	}
	if rbd.Undisturbed(t, s.images, v, func() { rbd.LeaveIntent(t, s.images, v, "", "127.0.0.1:0/5", false) }) {
		t.Error("a making was begun meanwhile")
	}
	if done, err := s.images.Ensure(t.Context(), rbd.Want{Image: v, Size: 8 << 20}); err != nil || !done.Created {
		t.Errorf("Ensure = %+v, %v, want it made anew", done, err)
	}
}

// TestReleaseWithoutAnAnswer: what a process has sent, and was not answered, may still
// arrive. Whoever comes next must fence it.
func TestReleaseWithoutAnAnswer(t *testing.T) {
	s := newSpace(t)
	if !rbd.Refuses(t, s.images, s.blank("a"), rbd.ErrUnavailable) {
		t.Error("a process that stopped by itself is fenced")
	}
	if rbd.Refuses(t, s.images, s.blank("b"), errors.Join(errors.New("x"), fmt.Errorf("y: %w", rbd.ErrNoAnswer))) {
		t.Error("a process whose call was not answered is not fenced")
	}
	for _, name := range []string{"a", "b"} {
		s.delete(name)
	}
}

// TestEnsureAfterAnImport: a killed import left an image with data under the name,
// which is removed; one that was complete stays.
func TestEnsureAfterAnImport(t *testing.T) {
	s := newSpace(t)
	for _, complete := range []bool{false, true} {
		golden := s.golden(fmt.Sprint("v", complete))
		v := golden.ImageSpec
		if !complete {
			s.must(s.images.Unprotect(t.Context(), golden))
		}
		rbd.LeaveMade(t, s.images, v, rbd.Deed{Op: "import"}, s.stat(v).ID, "127.0.0.1:0/3")
		done, err := s.images.Ensure(t.Context(), rbd.Want{Image: v, Size: 4 << 20})
		if complete {
			s.is(err, rbd.ErrExists)
		} else if err != nil || !done.Created {
			t.Errorf("Ensure = %+v, %v, want it made", done, err)
		}
		if rbd.HasIntent(t, s.images, v) {
			t.Error("the intent is still there")
		}
	}
}

// TestEnsureWaitsForALivingOwner: an operation of a process that lives is not
// taken over, and the caller hears who is at it.
func TestEnsureWaitsForALivingOwner(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	rbd.LeaveIntent(t, s.images, v, "", "", true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := s.images.Ensure(ctx, rbd.Want{Image: v, Size: 4 << 20})
	if !errors.Is(err, rbd.ErrInUse) || !strings.Contains(err.Error(), "under way") {
		t.Errorf("Ensure = %v, want in use", err)
	}
	// Its lease runs out, nobody renews it: then the work goes on.
	ctx, cancel = context.WithTimeout(t.Context(), 4*rbd.Lease)
	defer cancel()
	done, err := s.images.Ensure(ctx, rbd.Want{Image: v, Size: 4 << 20})
	s.must(err)
	if !done.Created {
		t.Error("the image was there before it was made")
	}
}
