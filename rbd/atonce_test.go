package rbd_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"rbdctl/rbd"
)

// TestAtOnce: many callers of one operation on one image all hear of success.
func TestAtOnce(t *testing.T) {
	s := newSpace(t)
	other := stranger(t)
	v := s.blank("v")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, tt := range []struct {
		name string
		do   func(*rbd.Images) error
	}{
		{"snapshot", func(m *rbd.Images) error {
			_, err := m.EnsureSnapshot(ctx, v.At("s"), rbd.SnapOptions{Protect: true})
			return err
		}},
		{"extend", func(m *rbd.Images) error { _, err := m.Extend(ctx, v, 16<<20); return err }},
		{"metadata", func(m *rbd.Images) error { return m.SetMetadata(ctx, v, map[string]string{"k": "v"}, nil) }},
		{"revert", func(m *rbd.Images) error { return m.Revert(ctx, v.At("s"), nil) }},
		{"snapshot rm", func(m *rbd.Images) error { return m.DeleteSnapshot(ctx, v.At("s")) }},
		{"rename", func(m *rbd.Images) error { return m.Rename(ctx, v, s.image("w")) }},
		{"delete", func(m *rbd.Images) error { return m.Delete(ctx, s.image("w"), rbd.DeleteOptions{}) }},
	} {
		var group sync.WaitGroup
		for n := range 6 {
			group.Go(func() {
				if err := tt.do([]*rbd.Images{s.images, other}[n%2]); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
			})
		}
		group.Wait()
	}
	if names := s.names(); len(names) > 0 || rbd.HasIntent(t, s.images, v) {
		t.Errorf("left %v, or an intent", names)
	}
}
