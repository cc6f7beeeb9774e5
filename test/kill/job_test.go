package kill_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
)

// strikeJobs strikes at the native calls of work in the background (each of them with
// RBDCTL_TEST_STRIDE=1), and RBDCTL_TEST_INSIDE times inside each of some of them, in
// as many places at a time as there are.
func strikeJobs[P any](t *testing.T, places chan P, strikeAt func(P, []string) (bool, error), inside ...string) {
	t.Helper()
	at := func(how []string) (bool, error) {
		place := <-places
		defer func() { places <- place }()
		return strikeAt(place, how)
	}
	strikeAtCalls(t, 60, cap(places), at)
	for _, call := range inside {
		strikeInside(t, call, number(t, "RBDCTL_TEST_INSIDE", 1), cap(places), at)
	}
}

// jobStruck has a job done by a sidecar that kills itself, and then by another one. The
// same request starts it, and looks at it.
func (s *stage) jobStruck(how []string, path, body string) (killed bool, err error) {
	victim := s.serve(s.TB, how...)
	defer victim.kill()
	if err := os.WriteFile(victim.arm, nil, 0o600); err != nil {
		return false, err
	}
	if killed, err = s.jobDone(victim, path, body); !killed && err != nil {
		return false, fmt.Errorf("undisturbed: %w", err)
	}
	victim.kill()
	if !killed {
		return false, nil
	}
	other := s.serve(s.TB)
	defer other.kill()
	if dead, err := s.jobDone(other, path, body); dead || err != nil {
		text, _ := os.ReadFile(victim.log)
		return true, fmt.Errorf("another sidecar, after %s: %w; the first one said %s", how, err, tail(text))
	}
	return true, nil
}

// jobDone asks a sidecar for a job, and waits for the end of that, or of the sidecar.
func (s *stage) jobDone(c *sidecar, path, body string) (dead bool, err error) {
	var a answer
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		a, err = c.ask(s.Context(), http.MethodPost, path, body)
		if id, ok := a.body["id"].(string); ok && strings.HasSuffix(path, "/flatten") { // another one would be begun
			for err == nil && a.status < http.StatusBadRequest && a.body["state"] != "done" && time.Now().Before(deadline) {
				time.Sleep(100 * time.Millisecond)
				a, err = c.ask(s.Context(), http.MethodGet, "/v1/jobs/"+id, "")
			}
		}
		switch {
		case err != nil && c.dead():
			return true, err
		case err != nil:
			return false, err
		case a.status == http.StatusServiceUnavailable:
			continue
		case a.status != http.StatusAccepted && a.status != http.StatusOK:
			return false, fmt.Errorf("it answers %s", a)
		case a.body["state"] == "done":
			return false, nil
		}
	}
	return false, fmt.Errorf("it does not come to its end: %s", a)
}

// pools are so many stages with a pool of their own for volumes.
func (s *stage) pools(n int) chan *stage {
	s.Helper()
	free := make(chan *stage, n)
	for range n {
		alone := *s
		alone.volumes = labtest.FreshPool(s)
		free <- &alone
	}
	return free
}

// TestFlattenKilled kills sidecars that cut a volume from its parent, as
// [TestImportKilled] does. The volume holds what it did, and has no parent.
func TestFlattenKilled(t *testing.T) {
	s := newStage(t)
	free := s.pools(3)
	strikeJobs(t, free, (*stage).strikeFlatten, "rbd_metadata_set", "rbd_flatten_with_progress")
	for range cap(free) {
		alone := <-free
		lane{t, alone, alone}.emptied()
	}
}

func (s *stage) strikeFlatten(how []string) (killed bool, err error) {
	id := uuid.NewString()
	name, args := s.volume(id)
	if err := s.rbdctl(nil, args...); err != nil {
		return false, err
	}
	killed, err = s.jobStruck(how, "/v1/volumes/"+id+"/flatten", "")
	if err == nil && s.digest(s.TB, name) != digest(s.content, 64<<20) {
		err = fmt.Errorf("after %s, %s reads otherwise", how, name)
	}
	if err == nil && strings.Contains(s.rbd("info", s.volumes+"/"+name), "parent") {
		err = fmt.Errorf("after %s, %s has a parent", how, name)
	}
	return killed, err
}

// TestPurgeKilled kills sidecars that delete a volume with a snapshot and a clone, and
// remove them for good in the background, as [TestImportKilled] does. Another sidecar,
// which is asked for the deletions again, leaves nothing of them.
func TestPurgeKilled(t *testing.T) {
	s := newStage(t)
	strikeJobs(t, s.pools(3), (*stage).strikePurge, "rbd_trash_remove", "rbd_snap_unprotect", "rbd_snap_remove")
}

func (s *stage) strikePurge(how []string) (killed bool, err error) {
	f := newFamily(s)
	victim := s.serve(s.TB, how...)
	defer victim.kill()
	makeCopy(s.TB, victim, f)
	if err := os.WriteFile(victim.arm, nil, 0o600); err != nil {
		return false, err
	}
	if killed, err = s.purged(victim, f); !killed {
		return false, err
	}
	other := s.tidy(s.TB)
	defer other.kill()
	if dead, err := s.purged(other, f); dead || err != nil {
		text, _ := os.ReadFile(victim.log)
		return true, fmt.Errorf("another sidecar, after %s: %w; the first one said %s", how, err, tail(text))
	}
	return true, nil
}

// purged has the volumes of a family deleted, and waits until a sidecar has removed them
// for good, or is dead.
func (s *stage) purged(c *sidecar, f *family) (dead bool, err error) {
	for _, path := range []string{f.snapshotPath(), f.sourcePath(), f.madePath()} {
		a, err := c.ask(s.Context(), http.MethodDelete, path, "")
		if err != nil {
			return c.dead(), err
		}
		if a.status != http.StatusNoContent {
			return false, fmt.Errorf("DELETE %s: %s", path, a)
		}
	}
	var left []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case <-c.ended:
			return true, errors.New("it has ended")
		default:
		}
		if left = s.left(s.volumes); len(left) == 0 {
			return false, nil
		}
	}
	return false, fmt.Errorf("left: %s", left)
}
