package kill_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestKilledInsideClone strikes at random moments while librbd clones: there a
// kill can leave an image that opens and has no parent. After the retry the
// content must be the parent's, every time. RBDCTL_TEST_CLONES is how many strikes must fall
// inside the clone.
func TestKilledInsideClone(t *testing.T) {
	s := newStage(t)
	var mu sync.Mutex
	var names []string
	left := map[string]int{}
	strikeInside(t, "rbd_clone3", number(t, "RBDCTL_TEST_CLONES", 100), workers, func(how []string) (bool, error) {
		name, args := s.volume(uuid.NewString())
		err := s.rbdctl(how, args...)
		if err != nil && !errors.Is(err, errKilled) {
			return false, err
		}
		killed, found := err != nil, s.found(name)
		if err := s.rbdctl(nil, args...); err != nil {
			return killed, fmt.Errorf("again, after %s that left %s: %w", how, found, err)
		}
		mu.Lock()
		defer mu.Unlock()
		names = append(names, name)
		left[found]++
		return killed, nil
	})
	t.Logf("found before the retry: %v", left)
	images, want := rbd.NewImages(labtest.Cluster(t)), digest(s.content, 64<<20)
	for _, name := range names {
		got, err := images.Digest(t.Context(), rbd.ImageSpec{Pool: s.volumes, Image: name}.At(""))
		if err != nil || got != want {
			t.Errorf("%s reads as %s (%v), want %s: its parent's content, and zeroes", name, got, err, want)
		}
	}
	s.accounted(s.volumes, names)
	if got := s.children(); !slices.Equal(got, names) { // sorted by accounted
		t.Errorf("the golden image knows %d clones, want %d", len(got), len(names))
	}
}

// found names the state that a kill left.
func (s *stage) found(name string) string {
	images := rbd.NewImages(labtest.Cluster(s))
	info, err := images.Stat(s.Context(), rbd.ImageSpec{Pool: s.volumes, Image: name})
	switch {
	case errors.Is(err, rbd.ErrNotFound):
		return "nothing that opens"
	case err != nil:
		return "an error: " + err.Error()
	case info.Parent == nil:
		return "an image without a parent"
	}
	return "a clone"
}
