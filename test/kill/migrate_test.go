package kill_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"rbdctl/internal/lab/labtest"
)

// lane is a pair of pools in which one sidecar at a time works.
type lane struct {
	*testing.T
	from, to *stage
}

// TestMigrationKilled kills sidecars that move a volume to another pool: at their
// native calls (each of them with RBDCTL_TEST_STRIDE=1), and inside those that make,
// fill, take away and rename. Another sidecar finishes it. The volume and its snapshot
// are in the other pool with what they held, and at the end nothing is left in either.
func TestMigrationKilled(t *testing.T) {
	s := newStage(t)
	lanes := make(chan lane, 3)
	for range cap(lanes) {
		from, to := *s, *s
		from.volumes, to.volumes = labtest.FreshPool(t), labtest.FreshPool(t)
		lanes <- lane{t, &from, &to}
	}
	strikeJobs(t, lanes, lane.strike, "rbd_create4", "rbd_write", "rbd_snap_create", "rbd.trash_add", "rbd_rename")
	for range cap(lanes) {
		(<-lanes).emptied()
	}
}

// strikeJobs strikes at the native calls of a job (each of them with
// RBDCTL_TEST_STRIDE=1), and inside some of them, in as many places at a time as there are.
func strikeJobs[P any](t *testing.T, places chan P, strikeAt func(P, string) (bool, error), inside ...string) {
	t.Helper()
	var struck atomic.Int64
	var over atomic.Bool
	var group errgroup.Group
	strike := func(how string) {
		place := <-places
		group.Go(func() error {
			defer func() { places <- place }()
			killed, err := strikeAt(place, how)
			if killed {
				struck.Add(1)
			} else if strings.HasPrefix(how, "RBDCTL_FAILPOINT_KILL=") {
				over.Store(true) // it has no such point
			}
			return err
		})
	}
	stride := number(t, "RBDCTL_TEST_STRIDE", 60)
	for n := 1 + rand.N(stride); n < 2000 && !over.Load(); n += stride {
		strike(fmt.Sprintf("RBDCTL_FAILPOINT_KILL=%d", n))
	}
	for range number(t, "RBDCTL_TEST_INSIDE", 2) {
		for _, call := range inside {
			strike("RBDCTL_FAILPOINT_KILL_IN=" + call + ":" + rand.N(20*time.Millisecond).String())
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("struck %d times", struck.Load())
	if struck.Load() < 8 {
		t.Error("hardly a strike: the failpoints are not where the calls are")
	}
}

// emptied fails the test if something was left half done. It then deletes the volumes;
// nothing may be left but the list of jobs, which keeps those that ended for ten minutes.
func (l lane) emptied() {
	c, there := l.to.tidy(l.T), l.from.tidy(l.T)
	l.to.fsck(l.T)
	l.from.fsck(l.T)
	list := c.must(l, http.MethodGet, "/v1/volumes", "", http.StatusOK)
	volumes, _ := list.body["volumes"].([]any)
	for _, v := range volumes {
		c.must(l, http.MethodDelete, "/v1/volumes/"+v.(map[string]any)["id"].(string), "", http.StatusNoContent)
	}
	var left []string
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		for _, c := range []*sidecar{c, there} {
			c.must(l, http.MethodPost, "/v1/trash/purge", "", http.StatusOK)
		}
		left = slices.DeleteFunc(append(l.from.objects(l.from.volumes), l.to.objects(l.to.volumes)...), func(object string) bool {
			return slices.Contains([]string{"/rbd_directory", "/rbd_info", "/rbd_children", "/rbd_trash", "rbdctl/jobs"}, object)
		})
		if len(left) == 0 {
			return
		}
	}
	l.Errorf("left: %s", left)
}

// strike has a volume moved by a sidecar that kills itself, and then by another one.
func (l lane) strike(how string) (killed bool, err error) {
	id, want := uuid.NewString(), [2]string{}
	name, args := l.from.volume(id)
	if err := l.from.rbdctl(nil, args...); err != nil {
		return false, err
	}
	image := l.from.volumes + "/" + name
	labtest.RBD(l, "snap", "create", "--no-progress", image+"@s")
	labtest.RBD(l, "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "1M", "--io-pattern", "rand", image)
	want[0], want[1] = l.from.digest(l.T, name), l.from.digest(l.T, name+"@s")

	victim := l.from.serve(l.T, how)
	defer victim.kill()
	if err := os.WriteFile(victim.arm, nil, 0o600); err != nil {
		return false, err
	}
	if killed, err = l.moved(victim, id); !killed && err != nil {
		return false, fmt.Errorf("undisturbed: %w", err)
	}
	victim.kill()
	if killed {
		other := l.from.serve(l.T)
		defer other.kill()
		if dead, err := l.moved(other, id); dead || err != nil {
			text, _ := os.ReadFile(victim.log)
			return true, fmt.Errorf("another sidecar, after %s: %w; the first one said %s", how, err, tail(text))
		}
	}
	return killed, l.holds(how, name, want)
}

// moved asks a sidecar to move a volume and waits for the end of that, or of the
// sidecar.
func (l lane) moved(c *sidecar, id string) (dead bool, err error) {
	var a answer
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		a, err = c.ask(l.Context(), http.MethodPost, "/v1/volumes/"+id+"/migrate", fmt.Sprintf(`{"pool":%q}`, l.to.volumes))
		switch {
		case err != nil && c.dead():
			return true, err
		case err != nil:
			return false, err
		case a.status == http.StatusServiceUnavailable:
			continue
		case a.status != http.StatusAccepted:
			return false, fmt.Errorf("it answers %s", a)
		case a.body["state"] == "done":
			return false, nil
		}
	}
	return false, fmt.Errorf("it does not come to its end: %s", a)
}

// holds tells whether the volume is in the other pool as it was, and nowhere else.
func (l lane) holds(how, name string, want [2]string) error {
	var errs []error
	for i, snap := range []string{"", "@s"} {
		if got := l.to.digest(l.T, name+snap); got != want[i] {
			errs = append(errs, fmt.Errorf("after %s, %s%s reads otherwise", how, name, snap))
		}
	}
	for _, pool := range []string{l.from.volumes, l.to.volumes} {
		list := strings.Fields(string(labtest.RBD(l, "ls", pool)))
		if slices.Contains(list, name) != (pool == l.to.volumes) || slices.ContainsFunc(list, func(n string) bool { return !strings.HasPrefix(n, "volume-") }) {
			errs = append(errs, fmt.Errorf("after %s, pool %s has %s", how, pool, list))
		}
	}
	return errors.Join(errs...)
}
