package kill_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/lab/labtest"
)

// guests write into volumes as guests do, by librbd and past the sidecars: a stamp that
// nobody else writes, amid data of the image that the volume was made from.
type guests struct {
	ioctx    *rados.IOContext
	attached []sync.RWMutex // of each volume, as Cinder does: it is not deleted, and made, meanwhile
	stamps   atomic.Int64
	written  sync.Map // stamp to the number of the volume that it was written into
}

const stampAt = 1 << 20

func newGuests(t testing.TB, pool string, volumes int) *guests {
	t.Helper()
	conn, err := rados.NewConnWithUser("admin")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.ReadConfigFile(labtest.Conf(t)), conn.Connect()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Shutdown)
	ioctx, err := conn.OpenIOContext(pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ioctx.Destroy)
	return &guests{ioctx: ioctx, attached: make([]sync.RWMutex, volumes)}
}

// visit reads the stamp of a volume that a sidecar knows, and writes another one if it is
// to. It returns what then is in the volume; there is none if the answer is not 200.
func (w *soak) visit(worker, n int, to *sidecar, write bool) (stamp int64, status int) {
	w.attached[n].Lock()
	defer w.attached[n].Unlock()
	id := w.ids[n]
	if a := w.h.ask(w.t.Context(), worker, call{id: id, op: "get"}, to); a.status != http.StatusOK {
		return 0, a.status
	}
	// As before every attachment: it is not, while something begun is to be carried out.
	if a, err := to.ask(w.t.Context(), http.MethodGet, "/v1/volumes/"+id+"/connection", ""); err != nil || a.status != http.StatusOK {
		return 0, a.status
	}
	var image *librbd.Image
	block := make([]byte, 8)
	r := w.h.record(worker, call{id: id, op: "read"}, func() (r result) {
		var err error
		image, err = librbd.OpenImage(w.ioctx, "volume-"+id, librbd.NoSnapshot)
		if err == nil {
			_, err = image.ReadAt(block, stampAt)
		}
		if !bytes.Equal(block, w.unstamped(n)) {
			r.got.stamp = int64(binary.LittleEndian.Uint64(block))
		}
		return w.outcome(r, err)
	})
	if image == nil {
		return 0, r.status
	}
	defer func() {
		if err := image.Close(); err != nil {
			w.t.Errorf("closing volume %s: %v", id, err)
		}
	}()
	if stamp = r.got.stamp; !w.belongs(stamp, n) {
		w.t.Errorf("volume %s has the stamp %d of another volume", id, stamp)
	}
	if !write || r.status != http.StatusOK {
		return stamp, r.status
	}
	stamp = w.stamps.Add(1)
	w.written.Store(stamp, n)
	r = w.h.record(worker, call{id: id, op: "write", stamp: stamp}, func() result {
		binary.LittleEndian.PutUint64(block, uint64(stamp))
		_, err := image.WriteAt(block, stampAt)
		if err == nil {
			err = image.Flush()
		}
		return w.outcome(result{}, err)
	})
	return stamp, r.status
}

// outcome is the answer of a sidecar that corresponds to librbd's.
func (w *soak) outcome(r result, err error) result {
	r.status = http.StatusOK
	if errors.Is(err, librbd.ErrNotFound) {
		return result{status: http.StatusNotFound}
	}
	if err != nil {
		w.t.Errorf("a guest's volume: %v", err)
		return result{unknown: true}
	}
	return r
}

// unstamped is what the image of the nth volume has at the stamp's place.
func (w *soak) unstamped(n int) []byte {
	return w.goldens[origin(n)%goldens].content[stampAt : stampAt+8]
}

// belongs tells whether the nth volume may have that stamp: it, or what it was cloned from,
// was given it, or nobody gave it one.
func (w *soak) belongs(stamp int64, n int) bool {
	into, found := w.written.Load(stamp)
	return stamp == 0 || found && (into == n || into == origin(n))
}
