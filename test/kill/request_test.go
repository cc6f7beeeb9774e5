package kill_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// request is a mutating request to a sidecar, and what it needs beforehand.
type request struct {
	name    string
	inside  string // the native call that does the work
	prepare preparation
	method  string
	path    func(f *family) string
	body    func(f *family) string
	accept  []int
	want    func(f *family) map[string]int // size of each volume afterwards

	also func(s *stage, f *family) error // what else is to hold; nil: nothing
}

// family is the volumes of one attempt.
type family struct {
	golden              string
	source, made, third string // volumes
	snapshot            string
	group, other        string // group, and snapshot of the volume made
}

func newFamily(golden string) *family {
	return &family{golden: golden, source: uuid.NewString(), made: uuid.NewString(), third: uuid.NewString(), snapshot: uuid.NewString(), group: uuid.NewString(), other: uuid.NewString()}
}

const (
	size  = 32 << 20
	grown = 48 << 20
)

// preparation makes, through a healthy sidecar, what a request is about.
type preparation func(t testing.TB, c *sidecar, f *family)

func makeSource(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	c.must(t, http.MethodPut, f.sourcePath(), fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"image","id":%q}}`, size, f.golden), http.StatusCreated)
}

func makeSnapshot(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSource(t, c, f)
	c.must(t, http.MethodPut, f.snapshotPath(), "", http.StatusCreated)
}

func makeClone(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSource(t, c, f)
	c.must(t, http.MethodPut, f.madePath(), fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"volume","id":%q}}`, size, f.source), http.StatusCreated)
}

func nothing(testing.TB, *sidecar, *family) {}

// The paths of a family.
func (f *family) sourcePath() string   { return "/v1/volumes/" + f.source }
func (f *family) madePath() string     { return "/v1/volumes/" + f.made }
func (f *family) snapshotPath() string { return f.sourcePath() + "/snapshots/" + f.snapshot }

// What there is afterwards.
func (f *family) theSource() map[string]int  { return map[string]int{f.source: size} }
func (f *family) theMade() map[string]int    { return map[string]int{f.made: size} }
func (f *family) both() map[string]int       { return map[string]int{f.source: size, f.made: size} }
func (f *family) grownOne() map[string]int   { return map[string]int{f.source: grown} }
func (f *family) renamedOne() map[string]int { return map[string]int{f.third: size} }
func (f *family) none() map[string]int       { return nil }

func requests() []request {
	return slices.Concat(creations(), changes(), groups())
}

func creations() []request {
	from := func(kind string, id func(*family) string) func(*family) string {
		return func(f *family) string {
			return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":%q,"id":%q}}`, size, kind, id(f))
		}
	}
	image := from("image", func(f *family) string { return f.golden })
	volume := from("volume", func(f *family) string { return f.source })
	snapshot := func(f *family) string {
		return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"snapshot","id":%q,"volume_id":%q}}`, size, f.snapshot, f.source)
	}
	empty := func(*family) string { return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"empty"}}`, size) }
	put := func(name, inside string, prepare preparation, body func(*family) string, want func(*family) map[string]int) request {
		return request{
			name: name, inside: inside, prepare: prepare, method: http.MethodPut, path: (*family).madePath, body: body,
			accept: []int{http.StatusCreated, http.StatusOK}, want: want,
		}
	}
	return []request{
		put("create empty", "rbd_create4", nothing, empty, (*family).theMade),
		put("create from image", "rbd_clone3", nothing, image, (*family).theMade),
		put("create from snapshot", "rbd_clone3", makeSnapshot, snapshot, (*family).both),
		put("create from volume", "rbd_clone3", makeSource, volume, (*family).both),
	}
}

func changes() []request {
	extend := func(f *family) string { return f.sourcePath() + "/extend" }
	rename := func(f *family) string { return f.sourcePath() + "/rename" }
	bigger := func(*family) string { return fmt.Sprintf(`{"size_bytes":%d}`, grown) }
	third := func(f *family) string { return fmt.Sprintf(`{"id":%q}`, f.third) }
	no := func(*family) string { return "" }
	made, gone, done := []int{http.StatusCreated, http.StatusOK}, []int{http.StatusNoContent}, []int{http.StatusOK}
	return []request{
		{"create snapshot", "rbd_snap_create", makeSource, http.MethodPut, (*family).snapshotPath, no, made, (*family).theSource, nil},
		{"delete snapshot", "rbd_snap_remove", makeSnapshot, http.MethodDelete, (*family).snapshotPath, no, gone, (*family).theSource, nil},
		{"extend", "rbd_resize2", makeSource, http.MethodPost, extend, bigger, done, (*family).grownOne, nil},
		{"rename", "rbd_rename", makeSource, http.MethodPost, rename, third, done, (*family).renamedOne, nil},
		{"delete", "rbd.trash_add", makeSource, http.MethodDelete, (*family).sourcePath, no, gone, (*family).none, nil},
		{"delete a clone", "rbd.trash_add", makeClone, http.MethodDelete, (*family).madePath, no, gone, (*family).theSource, nil},
		{"delete what has a clone", "rbd.trash_add", makeClone, http.MethodDelete, (*family).sourcePath, no, gone, (*family).theMade, nil},
	}
}

// TestSidecarKilledAtEveryCall kills a sidecar at the native calls of each kind of
// request (each of them with RBDCTL_TEST_STRIDE=1), once, and asks another sidecar the same: it must finish. At the end all
// volumes are deleted, and nothing may be left.
func TestSidecarKilledAtEveryCall(t *testing.T) {
	s := newStage(t)
	other := s.tidy(t)
	for _, r := range requests() {
		t.Run(strings.ReplaceAll(r.name, " ", "-"), func(t *testing.T) {
			var struck atomic.Int64
			var group errgroup.Group
			group.SetLimit(workers / 2)
			var over atomic.Bool
			stride := number(t, "RBDCTL_TEST_STRIDE", 10)
			for n := 1; n < 400 && !over.Load(); n += stride {
				group.Go(func() error {
					if over.Load() {
						return nil
					}
					killed, err := s.strikeRequest(t, other, r, r, "RBDCTL_FAILPOINT_KILL="+strconv.Itoa(n))
					if killed {
						struck.Add(1)
					} else if err == nil {
						over.Store(true) // it has no such point
					}
					return err
				})
			}
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
			t.Logf("struck %d times", struck.Load())
			if struck.Load() < 2 { // a group is deleted by fewer than 20 calls
				t.Error("hardly a strike: the failpoints are not where the calls are")
			}
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
		})
	}
	s.fsck(t)
	s.emptied(t, other)
}

// strikeInside strikes as often as it is wanted inside the native call that does the
// work of r; the other sidecar is then asked for next.
func (s *stage) strikeInside(t *testing.T, other *sidecar, r, next request) {
	var struck atomic.Int64
	var group errgroup.Group
	group.SetLimit(workers / 2)
	want := number(t, "RBDCTL_TEST_INSIDE", 4)
	for n := 0; n < 20*want && int(struck.Load()) < want; n++ {
		group.Go(func() error {
			after := rand.N(30 * time.Millisecond)
			killed, err := s.strikeRequest(t, other, r, next, "RBDCTL_FAILPOINT_KILL_IN="+r.inside+":"+after.String())
			if killed {
				struck.Add(1)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("struck %d times", struck.Load())
	if int(struck.Load()) < want {
		t.Errorf("struck %d times, want %d: is %s the call that does it?", struck.Load(), want, r.inside)
	}
}

// number is a figure of the environment.
func number(t testing.TB, name string, byDefault int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number from 1", name, text)
	}
	return n
}

// strikeRequest makes the request r to a sidecar that kills itself as strike says, and
// next, which is mostly the same, to the other one.
func (s *stage) strikeRequest(t *testing.T, other *sidecar, r, next request, strike string) (killed bool, err error) {
	f := newFamily(s.golden)
	r.prepare(t, other, f)
	victim := s.serve(t, strike)
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
	again, err := other.ask(t.Context(), next.method, next.path(f), next.body(f))
	if err != nil || !accepted(next, again) {
		text, _ := os.ReadFile(victim.log)
		return killed, fmt.Errorf("another sidecar, after %s: %s, %w; the first one said %s", strike, again, err, tail(text))
	}
	return killed, s.holds(t, other, f, next, strike)
}

func accepted(r request, a answer) bool { return slices.Contains(r.accept, a.status) }

// holds tells whether the volumes of a family are what they should be.
func (s *stage) holds(t *testing.T, c *sidecar, f *family, r request, strike string) error {
	want := r.want(f)
	var errs []error
	for _, id := range []string{f.source, f.made, f.third} {
		a, err := c.ask(t.Context(), http.MethodGet, "/v1/volumes/"+id, "")
		switch bytes, there := want[id]; {
		case err != nil:
			errs = append(errs, err)
		case there && (a.status != http.StatusOK || int(a.body["size_bytes"].(float64)) != bytes):
			errs = append(errs, fmt.Errorf("after %s, volume %s is %s, want %d bytes", strike, id, a, bytes))
		case !there && a.status != http.StatusNotFound:
			errs = append(errs, fmt.Errorf("after %s, volume %s is %s, want none", strike, id, a))
		case there && r.inside == "rbd_clone3" && a.body["parent"] == nil:
			errs = append(errs, fmt.Errorf("after %s, volume %s has no parent: %s", strike, id, a))
		}
	}
	if r.also != nil {
		errs = append(errs, r.also(s, f))
	}
	return errors.Join(errs...)
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
		c.must(t, http.MethodPost, "/v1/trash/purge", "", http.StatusOK, http.StatusAccepted, http.StatusNoContent)
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

func sum(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:])
}

func tail(text []byte) []byte { return text[max(0, len(text)-2000):] }
