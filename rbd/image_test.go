package rbd_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"rbdctl/rbd"
)

func TestCreateAndLook(t *testing.T) {
	s := newSpace(t)
	spec := s.image("volume")
	s.must(s.images.Create(t.Context(), spec, 10<<20, rbd.CreateOptions{ObjectSize: 1 << 20}))
	info, err := s.images.Stat(t.Context(), spec)
	s.must(err)
	if info.Size != 10<<20 || info.ObjectSize != 1<<20 || info.Parent != nil || info.Spec != spec || info.ID == "" {
		t.Errorf("Stat = %+v", info)
	}
	if !slices.Contains(info.Features, "exclusive-lock") {
		t.Errorf("features %v lack ceph.conf's defaults", info.Features)
	}
	if names := s.names(); !slices.Equal(names, []string{"volume"}) {
		t.Errorf("List = %v", names)
	}
	if err := s.images.Create(t.Context(), spec, 10<<20, rbd.CreateOptions{}); !errors.Is(err, rbd.ErrExists) {
		t.Errorf("Create over an image = %v", err)
	}
	s.must(s.images.Remove(t.Context(), spec))
	if err := s.images.Remove(t.Context(), spec); !errors.Is(err, rbd.ErrNotFound) {
		t.Errorf("Remove again = %v", err)
	}
	if _, err := s.images.Stat(t.Context(), spec); !errors.Is(err, rbd.ErrNotFound) {
		t.Errorf("Stat of nothing = %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	s := newSpace(t)
	for _, tt := range []struct {
		name string
		spec rbd.ImageSpec
		size uint64
		opts rbd.CreateOptions
	}{
		{"size 0", s.image("v"), 0, rbd.CreateOptions{}},
		{"size 2^63", s.image("v"), math.MaxInt64 + 1, rbd.CreateOptions{}},
		{"name with a slash", s.image("a/b"), 1 << 20, rbd.CreateOptions{}},
		{"name with an at", s.image("a@b"), 1 << 20, rbd.CreateOptions{}},
		{"object size 3 MiB", s.image("v"), 1 << 20, rbd.CreateOptions{ObjectSize: 3 << 20}},
		{"object size 1 KiB", s.image("v"), 1 << 20, rbd.CreateOptions{ObjectSize: 1 << 10}},
	} {
		if err := s.images.Create(t.Context(), tt.spec, tt.size, tt.opts); !errors.Is(err, rbd.ErrInvalid) {
			t.Errorf("%s: Create = %v, want invalid", tt.name, err)
		}
	}
	if names := s.names(); len(names) > 0 {
		t.Errorf("refused creates left %v", names)
	}
	missing := rbd.ImageSpec{Pool: "nopool", Image: "v"}
	if err := s.images.Create(t.Context(), missing, 1<<20, rbd.CreateOptions{}); !errors.Is(err, rbd.ErrNotFound) {
		t.Errorf("Create in a missing pool = %v", err)
	}
}

func TestResizeShrinksOnlyWhenTold(t *testing.T) {
	s := newSpace(t)
	spec := s.image("v")
	s.must(s.images.Create(t.Context(), spec, 8<<20, rbd.CreateOptions{}))
	for _, tt := range []struct {
		to   uint64
		opts rbd.ResizeOptions
		want error
		size uint64
	}{
		{16 << 20, rbd.ResizeOptions{}, nil, 16 << 20},
		{16 << 20, rbd.ResizeOptions{}, nil, 16 << 20},
		{4 << 20, rbd.ResizeOptions{}, rbd.ErrInvalid, 16 << 20},
		{4 << 20, rbd.ResizeOptions{AllowShrink: true}, nil, 4 << 20},
		{0, rbd.ResizeOptions{AllowShrink: true}, rbd.ErrInvalid, 4 << 20},
	} {
		if err := s.images.Resize(t.Context(), spec, tt.to, tt.opts); !errors.Is(err, tt.want) {
			t.Errorf("Resize to %d %+v = %v, want %v", tt.to, tt.opts, err, tt.want)
		}
		if info, err := s.images.Stat(t.Context(), spec); err != nil || info.Size != tt.size {
			t.Errorf("after Resize to %d the size is %d (%v), want %d", tt.to, info.Size, err, tt.size)
		}
	}
}

func TestTrash(t *testing.T) {
	s := newSpace(t)
	spec := s.image("v")
	s.must(s.images.Create(t.Context(), spec, 4<<20, rbd.CreateOptions{}))
	s.must(s.images.TrashMove(t.Context(), spec, 3600e9))
	entries, err := s.images.TrashList(t.Context(), s.pool, s.ns)
	s.must(err)
	if len(entries) != 1 || entries[0].Name != "v" || len(s.names()) != 0 {
		t.Fatalf("trash = %+v, images = %v", entries, s.names())
	}
	id := entries[0].ID
	if err := s.images.TrashRemove(t.Context(), s.pool, s.ns, id, false); !errors.Is(err, rbd.ErrDenied) {
		t.Errorf("TrashRemove before its time = %v, want denied", err)
	}
	s.must(s.images.TrashRestore(t.Context(), s.pool, s.ns, id, "w"))
	if names := s.names(); !slices.Equal(names, []string{"w"}) {
		t.Errorf("restored: %v", names)
	}
	s.must(s.images.TrashMove(t.Context(), s.image("w"), 3600e9))
	s.must(s.images.TrashRemove(t.Context(), s.pool, s.ns, id, true))
	if entries, err := s.images.TrashList(t.Context(), s.pool, s.ns); err != nil || len(entries) != 0 {
		t.Errorf("trash after removal = %v, %v", entries, err)
	}
}
