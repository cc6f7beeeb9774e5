package rbd_test

import (
	"slices"
	"testing"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

func TestSetFeatures(t *testing.T) {
	s := newSpace(t)
	image := s.blank("v")
	multi := []string{"exclusive-lock", "object-map", "fast-diff"}
	off := rbd.FeatureOptions{Disable: append([]string{"journaling"}, multi...)}
	on := rbd.FeatureOptions{Enable: multi}
	has := func() (n int) {
		for _, name := range multi {
			if slices.Contains(s.stat(image).Features, name) {
				n++
			}
		}
		return n
	}

	release := rbd.HoldOpen(t, rbd.NewImages(labtest.Cluster(t)), image)
	s.is(s.images.SetFeatures(t.Context(), image, off), rbd.ErrInUse)
	s.must(s.images.SetFeatures(t.Context(), image, on)) // as it is
	release()
	if has() != 3 {
		t.Errorf("features %v after a refusal", s.stat(image).Features)
	}
	for range 2 {
		s.must(s.images.SetFeatures(t.Context(), image, off))
		if has() != 0 {
			t.Errorf("features %v, want none of %v", s.stat(image).Features, multi)
		}
	}
	for range 2 {
		s.must(s.images.SetFeatures(t.Context(), image, on))
		if has() != 3 {
			t.Errorf("features %v, want all of %v", s.stat(image).Features, multi)
		}
	}
	s.is(s.images.SetFeatures(t.Context(), image, rbd.FeatureOptions{Enable: []string{"speed"}}), rbd.ErrInvalid)
	s.is(s.images.SetFeatures(t.Context(), image, rbd.FeatureOptions{Enable: multi, Disable: multi[:1]}), rbd.ErrInvalid)
	s.is(s.images.SetFeatures(t.Context(), image, rbd.FeatureOptions{Disable: multi[:1]}), rbd.ErrInvalid) // object-map needs it
	s.is(s.images.SetFeatures(t.Context(), s.image("none"), on), rbd.ErrNotFound)
	if rbd.HasIntent(t, s.images, image) {
		t.Error("the intent is still there")
	}
}

func TestRenameSnapshot(t *testing.T) {
	s := newSpace(t)
	image := s.blank("v")
	s.must(s.images.CreateSnapshot(t.Context(), image.At("a")))
	s.must(s.images.CreateSnapshot(t.Context(), image.At("taken")))
	release := rbd.HoldOpen(t, rbd.NewImages(labtest.Cluster(t)), image)
	for range 2 {
		s.must(s.images.RenameSnapshot(t.Context(), image.At("a"), "b"))
	}
	release()
	if got := s.snaps(image); !slices.Equal(got, []string{"b", "taken"}) {
		t.Errorf("snapshots %v", got)
	}
	s.is(s.images.RenameSnapshot(t.Context(), image.At("b"), "taken"), rbd.ErrExists)
	s.is(s.images.RenameSnapshot(t.Context(), image.At("b"), "b"), rbd.ErrInvalid)
	s.is(s.images.RenameSnapshot(t.Context(), image.At("x"), "y"), rbd.ErrNotFound)
	s.is(s.images.RenameSnapshot(t.Context(), s.image("none").At("x"), "y"), rbd.ErrNotFound)
	s.is(s.images.RenameSnapshot(t.Context(), image.At("b"), "rbdctl-deleted-x"), rbd.ErrInvalid)
}
