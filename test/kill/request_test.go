package kill_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestSidecarKilledAtEveryCall kills a sidecar at the native calls of each kind of
// request (each of them with RBDCTL_TEST_STRIDE=1), once, and asks another sidecar the same: it must finish. At the end all
// volumes are deleted, and nothing may be left.
func TestSidecarKilledAtEveryCall(t *testing.T) {
	s := newStage(t)
	other := s.tidy(t)
	for _, r := range requests() {
		t.Run(strings.ReplaceAll(r.name, " ", "-"), func(t *testing.T) {
			strikeAtCalls(t, 15, workers/2, func(how []string) (bool, error) { return s.strikeRequest(t, other, r, r, how) })
		})
	}
	s.fsck(t)
	s.emptied(t, other)
}

// TestSidecarKilledInsideCalls strikes at random moments inside the native call
// that does the work of each kind of request. RBDCTL_TEST_INSIDE is how many
// strikes of a kind there are.
func TestSidecarKilledInsideCalls(t *testing.T) {
	s := newStage(t)
	other := s.tidy(t)
	for _, r := range append(requests(), groupSnapshots()...) {
		t.Run(strings.ReplaceAll(r.name, " ", "-"), func(t *testing.T) {
			s.strikeInside(t, other, r, r)
			if number(t, "RBDCTL_TEST_INSIDE", 2) >= 20 { // what so many leave would fill a disk
				s.fsck(t)
				s.emptied(t, other)
			}
		})
	}
	s.fsck(t)
	s.emptied(t, other)
}

// strikeInside strikes as often as it is wanted inside the native call that does the
// work of r; the other sidecar is then asked for next.
func (s *stage) strikeInside(t *testing.T, other *sidecar, r, next request) {
	t.Helper()
	strikeInside(t, r.inside, number(t, "RBDCTL_TEST_INSIDE", 2), workers/2, func(how []string) (bool, error) {
		return s.strikeRequest(t, other, r, next, how)
	})
}

// strikeRequest makes the request r to a sidecar that kills itself as the environment
// how says, and next, which is mostly the same, to the other one.
func (s *stage) strikeRequest(t *testing.T, other *sidecar, r, next request, how []string) (killed bool, err error) {
	f := newFamily(s)
	r.prepare(t, other, f)
	victim := s.serve(t, how...)
	defer victim.kill()
	if err := os.WriteFile(victim.arm, nil, 0o600); err != nil {
		return false, err
	}
	body := r.body(f)
	a, err := victim.ask(t.Context(), r.method, r.path(f), body)
	if err == nil && !accepted(r, a) {
		return false, fmt.Errorf("undisturbed: %s", a)
	}
	if err != nil && !victim.dead() {
		return false, fmt.Errorf("not answered, though not killed: %w", err)
	}
	killed = err != nil
	again, err := other.askUntil(t.Context(), next.method, next.path(f), next.body(f))
	if err != nil || !accepted(next, again) {
		text, _ := os.ReadFile(victim.log)
		return killed, fmt.Errorf("another sidecar, after %s: %s, %w; the first one said %s", how, again, err, tail(text))
	}
	if err := s.holds(t, other, f, next); err != nil {
		return killed, fmt.Errorf("after %s: %w", how, err)
	}
	return killed, nil
}

func accepted(r request, a answer) bool { return slices.Contains(r.accept, a.status) }

// holds tells whether the volumes of a family are what they should be.
func (s *stage) holds(t *testing.T, c *sidecar, f *family, r request) error {
	want := r.want(f)
	var errs []error
	for _, id := range []string{f.source, f.made, f.third} {
		a, err := c.ask(t.Context(), http.MethodGet, "/v1/volumes/"+id, "")
		switch v, there := want[id]; {
		case err != nil:
			errs = append(errs, err)
		case there:
			errs = append(errs, s.is(id, a, v))
		case a.status != http.StatusNotFound:
			errs = append(errs, fmt.Errorf("volume %s is %s, want none", id, a))
		}
	}
	if r.also != nil {
		errs = append(errs, r.also(s, f))
	}
	return errors.Join(errs...)
}

// is tells whether a volume is as it should be, by what the API says of it and by what
// it reads as.
func (s *stage) is(id string, a answer, want volume) error {
	parent := ""
	if p, ok := a.body["parent"].(map[string]any); ok {
		parent = fmt.Sprintf("%s/%s@%s", p["pool"], p["image"], p["snapshot"])
	}
	size, _ := a.body["size_bytes"].(float64)
	if same, err := path.Match(want.parent, parent); a.status != http.StatusOK || int(size) != want.size || !same || err != nil {
		return fmt.Errorf("volume %s is %s, want %d bytes and the parent %q", id, a, want.size, want.parent)
	}
	got, err := rbd.NewImages(labtest.Cluster(s)).Digest(s.Context(), rbd.ImageSpec{Pool: s.volumes, Image: "volume-" + id}.At(""))
	if err == nil && got != digest(want.content, want.size) {
		err = fmt.Errorf("volume %s does not read as what it was made from: %s", id, a)
	}
	return err
}

// patience is how long a pool may take to lose the next object of what was deleted.
const patience = 3 * time.Minute

// emptied deletes every volume and waits until nothing of them is left.
func (s *stage) emptied(t *testing.T, c *sidecar) {
	t.Helper()
	for _, group := range s.groups() {
		c.must(t, http.MethodDelete, "/v1/groups/"+group, "", http.StatusNoContent)
	}
	list := c.must(t, http.MethodGet, "/v1/volumes", "", http.StatusOK)
	volumes, _ := list.body["volumes"].([]any)
	for _, v := range volumes {
		id := v.(map[string]any)["id"].(string)
		path := "/v1/volumes/" + id
		whole := c.must(t, http.MethodGet, path, "", http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable) // the last: half made
		snapshots, _ := whole.body["snapshots"].([]any)
		for _, snap := range snapshots {
			if id, _ := snap.(map[string]any)["id"].(string); id != "" {
				c.must(t, http.MethodDelete, path+"/snapshots/"+id, "", http.StatusNoContent)
			}
		}
		c.must(t, http.MethodDelete, path, "", http.StatusNoContent)
	}
	least := math.MaxInt
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Second) {
		c.must(t, http.MethodPost, "/v1/trash/purge", "", http.StatusOK, http.StatusAccepted, http.StatusNoContent, http.StatusServiceUnavailable) // the last: more than it can do in its time
		left := len(s.left(s.volumes))
		if left == 0 {
			break
		}
		if left < least {
			least, deadline = left, time.Now().Add(patience)
		}
	}
	s.nothingLeft(t, s.volumes)
}
