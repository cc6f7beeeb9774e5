package rbd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

func TestClone(t *testing.T) {
	s := newSpace(t)
	golden := s.image("golden")
	s.must(s.images.Create(t.Context(), golden, 4<<20, rbd.CreateOptions{ObjectSize: 8 << 20}))
	s.must(s.images.CreateSnapshot(t.Context(), golden.At("ready")))
	s.must(s.images.Protect(t.Context(), golden.At("ready")))
	s.must(s.images.Protect(t.Context(), golden.At("ready"))) // again is success
	s.must(s.images.CreateSnapshot(t.Context(), golden.At("draft")))
	v1, v2 := rbd.CloneOptions{Format: rbd.CloneV1}, rbd.CloneOptions{Format: rbd.CloneV2}

	for _, tt := range []struct {
		name, snap, child string
		opts              rbd.CloneOptions
		want              error
	}{
		{"protected, v1", "ready", "one", v1, nil},
		{"protected, v2", "ready", "two", v2, nil},
		{"unprotected, v1", "draft", "three", v1, rbd.ErrInvalid},
		{"unprotected, v2", "draft", "four", v2, nil},
		{"small objects", "ready", "five", rbd.CloneOptions{Format: rbd.CloneV1, CreateOptions: rbd.CreateOptions{ObjectSize: 4 << 20}}, nil},
		{"no such snapshot", "nope", "six", v1, rbd.ErrNotFound},
		{"name taken", "ready", "golden", v1, rbd.ErrExists},
		{"no such format", "ready", "seven", rbd.CloneOptions{Format: 3}, rbd.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := s.images.Clone(t.Context(), golden.At(tt.snap), s.image(tt.child), tt.opts); !errors.Is(err, tt.want) {
				t.Errorf("Clone = %v, want %v", err, tt.want)
			}
		})
	}

	info, err := s.images.Stat(t.Context(), s.image("five"))
	s.must(err)
	if info.ObjectSize != 8<<20 {
		t.Errorf("object size of the clone = %d, want the parent's: the larger one", info.ObjectSize)
	}
	if info.Parent == nil || info.Parent.SnapSpec != golden.At("ready") {
		t.Errorf("parent = %+v", info.Parent)
	}
	children, err := s.images.Children(t.Context(), golden)
	s.must(err)
	var names []string
	for _, c := range children {
		names = append(names, c.Image)
	}
	slices.Sort(names)
	if want := []string{"five", "four", "one", "two"}; !slices.Equal(names, want) {
		t.Errorf("children = %v, want %v", names, want)
	}
	// A clone of format 1 holds on to its parent.
	if err := s.images.Unprotect(t.Context(), golden.At("ready")); !errors.Is(err, rbd.ErrInUse) {
		t.Errorf("Unprotect = %v, want in use", err)
	}
	if err := s.images.Remove(t.Context(), golden); !errors.Is(err, rbd.ErrInUse) {
		t.Errorf("Remove of the parent = %v, want in use", err)
	}
}

// TestCloneHasTheDefaultFeatures: a new image, and a clone, also of a parent with other
// features, has what the upstream drivers ask for. What grows a clone without librbd must
// leave what librbd holds for sound.
func TestCloneHasTheDefaultFeatures(t *testing.T) {
	s := newSpace(t)
	parents := map[string]rbd.SnapSpec{}
	for name, features := range map[string]string{"plain": "layering", "all": "layering,exclusive-lock,object-map,fast-diff,deep-flatten,journaling"} {
		spec := s.image(name)
		labtest.RBD(t, "create", "--size", "9M", "--image-feature", features, spec.String())
		labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "1M", "--io-total", "9M", spec.String())
		labtest.RBD(t, "snap", "create", "--no-progress", spec.String()+"@snap")
		labtest.RBD(t, "snap", "protect", spec.String()+"@snap")
		parents[name] = spec.At("snap")
	}
	for n, tt := range []struct{ settings, want string }{
		{"", "deep-flatten exclusive-lock fast-diff layering object-map"},
		{"rbd_default_features = 0", "layering"},
		{"rbd_default_features = 5", "exclusive-lock layering"},
		{"rbd_default_features = layering,exclusive-lock,journaling", "exclusive-lock journaling layering"}, // is left to librbd
	} {
		images := rbd.NewImages(dialConf(t, withSettings(t, tt.settings)))
		blank := s.image(fmt.Sprint("blank-", n))
		s.must(images.Create(t.Context(), blank, 1<<20, rbd.CreateOptions{}))
		if got := strings.Join(s.stat(blank).Features, " "); got != tt.want {
			t.Errorf("%q: an image with %s, want %s", tt.settings, got, tt.want)
		}
		for name, parent := range parents {
			child := s.image(fmt.Sprint("child-", n, "-", name))
			_, err := images.Ensure(t.Context(), rbd.Want{Image: child, Size: 50 << 20, Parent: &parent})
			s.must(err)
			if got := strings.Join(s.stat(child).Features, " "); got != tt.want {
				t.Errorf("%q: a clone of %s with %s, want %s", tt.settings, name, got, tt.want)
			}
			if strings.Contains(tt.want, "object-map") {
				labtest.RBD(t, "object-map", "check", "--no-progress", child.String())
				labtest.RBD(t, "bench", "--io-type", "write", "--io-size", "4M", "--io-total", "48M", child.String())
				labtest.RBD(t, "object-map", "check", "--no-progress", child.String())
			}
		}
	}
}

func TestFlatten(t *testing.T) {
	s := newSpace(t)
	golden := s.golden("golden")
	clone := s.image("clone")
	s.must(s.images.Clone(t.Context(), golden, clone, rbd.CloneOptions{}))
	want := s.digest(golden)

	// Stopped at the first report, the clone is whole and keeps its parent.
	ctx, cancel := context.WithCancel(t.Context())
	err := s.images.Flatten(ctx, clone, func(uint64, uint64) { cancel() })
	if !errors.Is(err, rbd.ErrUnavailable) {
		t.Errorf("Flatten, cancelled = %v, want unavailable", err)
	}
	if info, err := s.images.Stat(t.Context(), clone); err != nil || info.Parent == nil {
		t.Errorf("a cancelled flatten cut the parent: %+v, %v", info, err)
	}

	var last, total uint64
	s.must(s.images.Flatten(t.Context(), clone, func(done, of uint64) { last, total = done, of }))
	if total == 0 || last == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if info, err := s.images.Stat(t.Context(), clone); err != nil || info.Parent != nil {
		t.Errorf("flattened: %+v, %v", info.Parent, err)
	}
	if got := s.digest(clone.At("")); got != want {
		t.Errorf("content after flatten has digest %s, want %s", got, want)
	}
	s.must(s.images.Flatten(t.Context(), clone, nil)) // again is success
}

func TestWatchersNameWhoHoldsAnImage(t *testing.T) {
	s := newSpace(t)
	spec := s.image("v")
	s.must(s.images.Create(t.Context(), spec, 4<<20, rbd.CreateOptions{}))
	if w, err := s.images.Watchers(t.Context(), spec); err != nil || len(w) != 0 {
		t.Errorf("watchers of a closed image = %v, %v", w, err)
	}
	release := rbd.HoldOpen(t, s.images, spec)
	if w, err := s.images.Watchers(t.Context(), spec); err != nil || len(w) != 1 || w[0].Address == "" {
		t.Errorf("watchers of an open image = %v, %v", w, err)
	}
	if err := s.images.Remove(t.Context(), spec); !errors.Is(err, rbd.ErrInUse) {
		t.Errorf("Remove of an open image = %v, want in use", err)
	}
	release()
	s.must(s.images.Remove(t.Context(), spec))
}
