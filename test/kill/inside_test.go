package kill_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// kills is how many strikes must fall inside the librbd clone.
const kills = 100

// TestKilledInsideClone strikes at random moments while librbd clones: there a
// kill can leave an image that opens and has no parent. After the retry the
// content must be the parent's, every time.
func TestKilledInsideClone(t *testing.T) {
	s := newStage(t)
	images := rbd.NewImages(labtest.Cluster(t))
	longest, undisturbed := s.cloneTime(t)
	names := []string{undisturbed}
	want, err := images.Digest(t.Context(), rbd.ImageSpec{Pool: s.volumes, Image: undisturbed}.At(""))
	if err != nil {
		t.Fatal(err)
	}
	if parent := s.grownContent(t); parent != want {
		t.Fatalf("undisturbed, the clone reads as %s, want its parent's %s", want, parent)
	}

	var mu sync.Mutex
	inside, left := 0, map[string]int{}
	var group errgroup.Group
	group.SetLimit(workers)
	for range 4 * kills {
		group.Go(func() error {
			mu.Lock()
			enough := inside >= kills
			mu.Unlock()
			if enough {
				return nil
			}
			name, args := s.volume(uuid.NewString())
			log := filepath.Join(t.TempDir(), name)
			after := rand.N(longest)
			err := s.rbdctl([]string{"RBDCTL_FAILPOINT_KILL_IN=rbd_clone3:" + after.String(), "RBDCTL_FAILPOINT_LOG=" + log}, args...)
			if err != nil && !errors.Is(err, errKilled) {
				return err
			}
			struck := err != nil && !passed(t, log, "after rbd_clone3")
			found := "not struck inside"
			if struck {
				found = s.found(name)
			}
			if err := s.rbdctl(nil, args...); err != nil {
				return fmt.Errorf("again, after a kill %s into the clone that left %s: %w", after, found, err)
			}
			mu.Lock()
			defer mu.Unlock()
			names = append(names, name)
			left[found]++
			if struck {
				inside++
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills inside the clone; found before the retry: %v", inside, left)
	if inside < kills {
		t.Errorf("only %d kills fell inside the clone, want %d", inside, kills)
	}
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

// cloneTime makes an undisturbed volume and says how long the whole command
// took, which bounds the clone from above: a strike that comes too late does not
// count.
func (s *stage) cloneTime(t *testing.T) (time.Duration, string) {
	t.Helper()
	name, args := s.volume(uuid.NewString())
	begin := time.Now()
	if err := s.rbdctl(nil, args...); err != nil {
		t.Fatal(err)
	}
	return time.Since(begin), name
}

// grownContent is the digest of the golden file followed by zeroes, up to the
// volumes' size.
func (s *stage) grownContent(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(content, make([]byte, 64<<20-len(content))...))
	return hex.EncodeToString(sum[:])
}

// passed tells whether a point is in the log.
func passed(t *testing.T, log, point string) bool {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Error(err)
	}
	return strings.Contains(string(text), point+"\n")
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
