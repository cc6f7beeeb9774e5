package kill_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// TestKilledAtEveryCall kills each command at each of its points, once, and runs
// it again.
func TestKilledAtEveryCall(t *testing.T) {
	s := newStage(t)
	images, volumes := []string{s.golden}, []string(nil)
	for _, kind := range []struct {
		name    string
		pool    string
		images  *[]string
		command func(id string) (image string, args []string)
	}{
		{"volume create", s.volumes, &volumes, s.volume},
		{"disk create", s.volumes, &volumes, s.disk},
		{"image import", s.images, &images, s.imported},
	} {
		t.Run(kind.name, func(t *testing.T) {
			undisturbed, args := kind.command(uuid.NewString())
			points := s.countPoints(t, args)
			want := s.state(kind.pool, undisturbed)
			*kind.images = append(*kind.images, undisturbed)
			t.Logf("%d points", points)

			names := make([]string, points)
			var group errgroup.Group
			group.SetLimit(workers)
			for n := range points {
				group.Go(func() error {
					var args []string
					names[n], args = kind.command(uuid.NewString())
					return s.strikeAndRepeat("RBDCTL_FAILPOINT_KILL="+strconv.Itoa(n+1), args)
				})
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
			for n, name := range names {
				if got := s.state(kind.pool, name); got != want {
					t.Errorf("killed at point %d and run again, there is\n%s\nwant\n%s", n+1, got, want)
				}
			}
			*kind.images = append(*kind.images, names...)
		})
	}
	s.accounted(s.volumes, volumes)
	s.accounted(s.images, images)
	if got := s.children(); !slices.Equal(got, volumes) { // sorted by accounted
		t.Errorf("the golden image knows %d clones, want %d", len(got), len(volumes))
	}
}

// countPoints runs a command undisturbed and counts the points that it passes.
func (s *stage) countPoints(t *testing.T, args []string) int {
	t.Helper()
	log := filepath.Join(t.TempDir(), "points")
	if err := s.rbdctl([]string{"RBDCTL_FAILPOINT_LOG=" + log}, args...); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		n++
	}
	if n < 20 {
		t.Fatalf("only %d points: the failpoints are not where the calls are", n)
	}
	return n
}

// strikeAndRepeat runs a command that is struck, and then without the strike.
func (s *stage) strikeAndRepeat(strike string, args []string) error {
	if err := s.rbdctl([]string{strike}, args...); err == nil {
		return errors.New(strike + ": the command ended before its point")
	} else if !errors.Is(err, errKilled) {
		return err
	}
	return s.rbdctl(nil, args...)
}
