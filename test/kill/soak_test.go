package kill_test

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
)

// TestSoak lets several workers ask three sidecars for mixed changes of the same
// volumes, into which guests write, while sidecars are killed and started again, stopped
// for longer than a lease, and blocklisted. RBDCTL_TEST_SOAK is the number of requests and
// of guests' visits, a quarter of them.
func TestSoak(t *testing.T) {
	s := newStage(t)
	w := &soak{stage: s, guests: newGuests(t, s.volumes, originals+clones+copies), t: t, h: &history{begin: time.Now()}, todo: int64(number(t, "RBDCTL_TEST_SOAK", 150))}
	for i := range w.sidecars {
		w.sidecars[i] = w.serve(t)
	}
	for i := range originals + clones + copies {
		w.ids = append(w.ids, uuid.NewString())
		if i < goldens {
			id, content := s.newGolden(byte(i))
			w.goldens = append(w.goldens, golden{id, content})
		}
	}
	done := make(chan struct{})
	var workers, weather sync.WaitGroup
	weather.Go(func() { w.weather(done) })
	for i := range 6 {
		workers.Go(func() { w.work(i) })
	}
	workers.Wait()
	close(done)
	weather.Wait()
	t.Logf("%d kills, %d pauses, %d blocklistings; guests wrote %d times", w.kills, w.pauses, w.blocklistings, w.stamps.Load())
	if w.stamps.Load() == 0 {
		t.Error("no guest wrote anything: the test tests less than it says")
	}
	last := w.serve(t)
	w.contents(last)
	w.h.check(t)
	for _, id := range w.ids { // also those of which there is a journal's record only
		last.must(t, http.MethodDelete, "/v1/volumes/"+id, "", http.StatusNoContent)
	}
	// What killed sidecars began, the living ones end by themselves.
	for deadline := time.Now().Add(4 * time.Minute); len(s.objects(s.volumes)) > 4 && time.Now().Before(deadline); {
		time.Sleep(time.Second)
	}
	s.nothingLeft(t, s.volumes)
	s.fsck(t)
}

// How many of the volumes are made from images, in turns of so many; are clones of the
// first of these; and are made from snapshots of the first of these.
const (
	goldens   = 4
	originals = 16
	clones    = 8
	copies    = 8
)

type golden struct {
	id      string
	content []byte
}

type soak struct {
	*stage
	*guests
	t       *testing.T
	h       *history
	ids     []string
	goldens []golden
	todo    int64
	made    atomic.Int64

	mu                           sync.Mutex
	sidecars                     [3]*sidecar
	kills, pauses, blocklistings int
}

// serve starts a sidecar that does its chores often.
func (w *soak) serve(t testing.TB) *sidecar {
	t.Helper()
	return w.serveWith(t, []string{"--purge-interval", "5s"})
}

func (w *soak) any() *sidecar {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sidecars[rand.N(len(w.sidecars))]
}

// enough tells whether all was asked that is wanted, in weather bad enough: 3
// kills in 100 requests, and a pause and a blocklisting at least.
func (w *soak) enough() bool {
	if w.t.Failed() { // then the weather may be over
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made.Add(1) > w.todo && int64(w.kills) >= w.todo*3/100 && w.pauses > 0 && w.blocklistings > 0
}

// work makes requests until there are enough.
func (w *soak) work(worker int) {
	for !w.enough() {
		n := rand.N(len(w.ids))
		c := call{id: w.ids[n]}
		to := w.any()
		switch rand.N(16) {
		case 0, 1, 2, 3:
			w.create(worker, n, to)
			continue
		case 4, 5:
			c.op = "delete"
			w.attached[n].RLock()
			w.h.ask(w.t.Context(), worker, c, to)
			w.attached[n].RUnlock()
			continue
		case 6:
			c.op, c.size = "extend", grown
		case 7, 8:
			c.op = "snap"
		case 9:
			c.op = "unsnap"
		case 10, 11, 12, 13:
			w.visit(worker, n, to, true)
			continue
		default:
			c.op = "get"
		}
		w.h.ask(w.t.Context(), worker, c, to)
	}
}

// create asks for the nth volume, of what that is always made from.
func (w *soak) create(worker, n int, to *sidecar) {
	c := call{id: w.ids[n], op: "clone", size: size}
	from := w.ids[origin(n)]
	source := map[string]any{"kind": "volume", "id": from}
	switch {
	case n < originals:
		c.op = "create"
		source = map[string]any{"kind": "image", "id": w.goldens[n%goldens].id}
	case n >= originals+clones:
		source = map[string]any{"kind": "snapshot", "id": from, "volume_id": from}
	}
	body, err := json.Marshal(map[string]any{"size_bytes": c.size, "source": source})
	if err != nil {
		w.t.Error(err)
	}
	w.attached[n].RLock()
	defer w.attached[n].RUnlock()
	w.h.send(w.t.Context(), worker, c, to, http.MethodPut, "/v1/volumes/"+c.id, string(body))
}

// origin is the number of the volume that is made from an image of which the nth has its
// content.
func origin(n int) int {
	switch {
	case n < originals:
		return n
	case n < originals+clones:
		return n - originals
	}
	return n - originals - clones
}

// weather does what sidecars must survive, until the work is done.
func (w *soak) weather(done <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(rand.N(2000)) * time.Millisecond):
		}
		switch i := rand.N(len(w.sidecars)); {
		case n%8 == 3:
			w.pause(done, i)
		case n%8 == 1:
			w.blocklist(i)
		default:
			w.replace(i)
		}
	}
}

func (w *soak) at(i int) *sidecar {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sidecars[i]
}

func (w *soak) replace(i int) {
	w.at(i).kill()
	fresh := w.serve(w.t)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sidecars[i] = fresh
	w.kills++
}

// pause stops a sidecar for longer than its lease.
func (w *soak) pause(done <-chan struct{}, i int) {
	c := w.at(i)
	c.signal(syscall.SIGSTOP)
	defer c.signal(syscall.SIGCONT)
	select {
	case <-done:
	case <-time.After(17 * time.Second):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pauses++
}

// blocklist shuts a sidecar's connection out of the cluster.
func (w *soak) blocklist(i int) {
	address := w.at(i).address()
	if address == "" {
		return // it has not connected yet
	}
	labtest.Ceph(w.t, "osd", "blocklist", "add", address, "60")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blocklistings++
}

// contents compares what every volume reads as with what it was made from, but for what
// guests wrote. What killed sidecars left unfinished is waited for.
func (w *soak) contents(c *sidecar) {
	w.t.Helper()
	for n, id := range w.ids {
		stamp, status := w.visit(99, n, c, false)
		for deadline := time.Now().Add(time.Minute); status != http.StatusOK && status != http.StatusNotFound; stamp, status = w.visit(99, n, c, false) {
			if time.Now().After(deadline) {
				w.t.Errorf("volume %s can't be looked at: status %d", id, status)
				break
			}
			time.Sleep(time.Second)
		}
		if status != http.StatusOK {
			continue
		}
		a := w.h.ask(w.t.Context(), 99, call{id: id, op: "get"}, c)
		bytes, there := a.body["size_bytes"].(float64)
		if !there {
			w.t.Errorf("volume %s is %s, and was read just now", id, a)
			continue
		}
		content := slices.Clone(w.goldens[origin(n)%goldens].content)
		if stamp != 0 {
			binary.LittleEndian.PutUint64(content[stampAt:], uint64(stamp))
		}
		if w.digest(w.t, "volume-"+id) != digest(content, int(bytes)) {
			w.t.Errorf("volume %s does not read as what it was made from", id)
		}
	}
}
