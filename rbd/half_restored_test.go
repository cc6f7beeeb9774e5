package rbd_test

import (
	"fmt"
	"testing"

	"rbdctl/rbd"
)

// TestHalfRestored: what was deleted, and whose restoration was cut short, is purged as
// before while it has no name. With one it stays whole: it can be brought back, and
// deleted by that name.
func TestHalfRestored(t *testing.T) {
	for _, tt := range []struct {
		as            string
		named, listed bool
	}{
		{"v", false, false},
		{"v", true, false},
		{"v", true, true},
		{"w", true, true},
	} {
		t.Run(fmt.Sprintf("%s named %t listed %t", tt.as, tt.named, tt.listed), func(t *testing.T) {
			s := inPool(t)
			halve := func() (id, sum string) {
				v := s.golden("v")
				id, sum = s.stat(v.ImageSpec).ID, s.digest(v)
				s.delete("v")
				rbd.HalfRestore(t, s.images, s.image(tt.as), id, tt.named, tt.listed)
				return id, sum
			}
			id, sum := halve()
			if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 0 || p.Waiting != 1 {
				t.Errorf("Purge = %+v", p)
			}
			if tt.named {
				if tt.as != "v" {
					s.delete("v") // not that one's
				}
				s.must(s.images.Undelete(t.Context(), s.pool, id, tt.as))
				if s.digest(s.image(tt.as).At("snap")) != sum {
					t.Error("the image is not as it was")
				}
				s.delete(tt.as)
			}
			if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 0 {
				t.Errorf("Purge = %+v", p)
			}
			s.isEmpty()

			halve()
			s.delete(tt.as)
			if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 0 {
				t.Errorf("Purge of what was deleted by its name = %+v", p)
			}
			s.isEmpty()
		})
	}
}

// TestHalfRestoredByAnotherName is deleted by that one, also where the pool does not list it.
func TestHalfRestoredByAnotherName(t *testing.T) {
	s := inPool(t)
	id := s.stat(s.golden("v").ImageSpec).ID
	s.delete("v")
	rbd.HalfRestore(t, s.images, s.image("w"), id, true, false)
	s.delete("w")
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 0 {
		t.Errorf("Purge = %+v", p)
	}
	s.isEmpty()
}
