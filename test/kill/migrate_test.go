package kill_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

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
func (l lane) strike(how []string) (killed bool, err error) {
	id, want := uuid.NewString(), [2]string{}
	name, args := l.from.volume(id)
	if err := l.from.rbdctl(nil, args...); err != nil {
		return false, err
	}
	image := l.from.volumes + "/" + name
	labtest.RBD(l, "snap", "create", "--no-progress", image+"@s")
	labtest.RBD(l, "bench", "--io-type", "write", "--io-size", "64K", "--io-total", "1M", "--io-pattern", "rand", image)
	want[0], want[1] = l.from.digest(l.T, name), l.from.digest(l.T, name+"@s")

	killed, err = l.from.jobStruck(how, "/v1/volumes/"+id+"/migrate", fmt.Sprintf(`{"pool":%q}`, l.to.volumes))
	if err != nil {
		return killed, err
	}
	return killed, l.holds(how, name, want)
}

// holds tells whether the volume is in the other pool as it was, and nowhere else.
func (l lane) holds(how []string, name string, want [2]string) error {
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
