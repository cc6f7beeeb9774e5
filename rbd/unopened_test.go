package rbd_test

import (
	"bytes"
	"errors"
	"testing"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestHalfMadeCloneOfNothing: a clone that was cut short before its parent knew it, and
// whose parent went then, does not open. It is no obstacle, unless it holds data.
func TestHalfMadeCloneOfNothing(t *testing.T) {
	s := inPool(t)
	clone := s.image("clone")
	again := s.golden("again")
	want := rbd.Want{Image: clone, Size: 8 << 20, Parent: &again}
	// lost makes such a clone.
	lost := func(data int) {
		of := s.golden("of")
		_, err := s.images.Ensure(t.Context(), rbd.Want{Image: clone, Size: 8 << 20, Parent: &of, Options: rbd.CloneOptions{Format: rbd.CloneV2}})
		s.must(err)
		if data > 0 {
			_, err := s.images.Write(t.Context(), clone, rbd.Source{Reader: bytes.NewReader(make([]byte, data))}, nil)
			s.must(err)
		}
		rbd.ForgetClone(t, s.images, clone, rbd.CloneV2)
		s.delete("of")
		if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 {
			t.Fatalf("Purge = %+v", p)
		}
		if _, err := s.images.Stat(t.Context(), clone); err == nil {
			t.Fatal("the clone opens without its parent")
		}
		rbd.LeaveDeed(t, s.images, clone, rbd.Deed{Op: "clone"}, "127.0.0.1:0/41")
	}
	for name, next := range map[string]func() error{
		"ensure": func() error { _, err := s.images.Ensure(t.Context(), want); return err },
		"delete": func() error { return s.images.Delete(t.Context(), clone, rbd.DeleteOptions{}) },
		"settle": func() error { _, err := s.images.Settle(t.Context(), s.pool); return err },
	} {
		lost(0)
		if err := next(); err != nil {
			t.Errorf("%s of a half-made clone without its parent: %v", name, err)
		}
		s.must(s.images.Delete(t.Context(), clone, rbd.DeleteOptions{}))
		s.purge(rbd.PurgeOptions{})
	}
	lost(4096)
	if _, err := s.images.Ensure(t.Context(), want); err == nil {
		t.Error("an image with data was made anew")
	}
	if err := s.images.Delete(t.Context(), clone, rbd.DeleteOptions{}); !errors.Is(err, rbd.ErrExists) {
		t.Errorf("Delete of an image with data that does not open = %v, want exists", err)
	}
	labtest.RBD(t, "rm", "--no-progress", clone.String())
	s.must(s.images.Delete(t.Context(), again.ImageSpec, rbd.DeleteOptions{}))
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}
