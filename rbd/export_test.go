package rbd

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
)

// HoldOpen keeps an image open for writing until release is called.
func HoldOpen(t *testing.T, m *Images, spec ImageSpec) (release func()) {
	t.Helper()
	opened, end, ended := make(chan error), make(chan struct{}), make(chan error)
	go func() {
		ended <- m.do(t.Context(), "hold", spec.String(), func(s *scope) error {
			ioctx, err := s.poolOf(spec)
			if err == nil {
				_, err = s.image(ioctx, spec.Image)
			}
			opened <- err
			<-end
			return nil
		})
	}()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Hold keeps a call of c from ending until end is called.
func Hold(t *testing.T, c *Cluster) (end func()) {
	t.Helper()
	begun, over, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = call(t.Context(), c, "hold", "", func(*scope) (struct{}, error) {
			close(begun)
			<-over
			return struct{}{}, nil
		})
	}()
	<-begun
	return func() { close(over); <-ended }
}

// ConfirmNotFound is what becomes of "not found" on the connection of c.
func ConfirmNotFound(t *testing.T, c *Cluster) error {
	t.Helper()
	_, err := call(t.Context(), c, "open", "", func(s *scope) (struct{}, error) {
		return struct{}{}, s.confirmNotFound(&nativeError{syscall.ENOENT})
	})
	return err
}

// LeaveIntent makes an intent as a process would that then dies, whose librados
// instance had the address dead; without one the owner is a process that lives, the one
// that began this one. The lock is held by the connection of m if held says so.
func LeaveIntent(t testing.TB, m *Images, spec ImageSpec, made, dead string, held bool) {
	t.Helper()
	leave(t, m, spec, Deed{Op: opCreate}, held, func(r *record) {
		r.Made, r.Begun = made, true
		if o := &r.Owner; dead != "" {
			o.die(dead)
		} else {
			o.PID = os.Getppid()
			o.Started, _ = startTime(o.PID)
		}
	})
}

// LeaveLiving makes the intent of d as the process that began this one, which lives, and
// holds its lock.
func LeaveLiving(t testing.TB, m *Images, spec ImageSpec, d Deed) {
	t.Helper()
	leave(t, m, spec, d, true, func(r *record) {
		r.Begun, r.Owner.PID = true, os.Getppid()
		r.Owner.Started, _ = startTime(r.Owner.PID)
	})
}

// leave makes the intent of d, changes its record, and leaves it so; the lock is still
// held if held says so.
func leave(t testing.TB, m *Images, spec ImageSpec, d Deed, held bool, change func(*record)) {
	t.Helper()
	err := m.do(t.Context(), "leave intent", spec.String(), func(s *scope) error {
		i, err := s.beginDeed(d, spec)
		if err != nil {
			return err
		}
		change(&i.record)
		if err := i.write("leave"); err != nil || held {
			return err
		}
		return i.unlock()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// die makes the owner one that is dead, and whose librados instance had that address.
func (o *owner) die(address string) { o.Started, o.Address = "0", address } // no process has this one

// Begun tells whether the operation on spec, if there is one, says that it has begun.
func Begun(t *testing.T, m *Images, spec ImageSpec) bool {
	t.Helper()
	r, err := call(t.Context(), m.cluster, "look", spec.String(), func(s *scope) (*record, error) { return s.intentOf(spec) })
	if err != nil {
		t.Fatal(err)
	}
	return r != nil && r.Begun
}

// HasIntent tells whether an operation on spec is unfinished.
func HasIntent(t testing.TB, m *Images, spec ImageSpec) bool {
	t.Helper()
	r, err := call(t.Context(), m.cluster, "look", spec.String(), func(s *scope) (*record, error) { return s.intentOf(spec) })
	if err != nil {
		t.Fatal(err)
	}
	return r != nil
}

// Lease is how long an intent's lock lasts without renewal.
const Lease time.Duration = lease

// LoseLease breaks the lock of the intent on spec, as somebody who takes over does.
func LoseLease(t *testing.T, m *Images, spec ImageSpec) {
	t.Helper()
	err := m.do(t.Context(), "lose lease", spec.String(), func(s *scope) error {
		ioctx, err := s.pool(spec.Pool, intentNamespace)
		if err != nil {
			return err
		}
		lockers, err := ioctx.ListLockers(intentObject(spec), lockName)
		if err != nil {
			return err
		}
		_, err = ioctx.BreakLock(intentObject(spec), lockName, lockers.Clients[0], lockers.Cookies[0])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Deed is what an intent records.
type Deed = deed

// LeaveDeed makes the intent of d as a process would that then dies: one of this
// machine, whose librados instance is address.
func LeaveDeed(t testing.TB, m *Images, spec ImageSpec, d Deed, address string) {
	t.Helper()
	LeaveMade(t, m, spec, d, "", address)
}

// LeaveMade is LeaveDeed for one that wrote down the id of the image it was about.
func LeaveMade(t testing.TB, m *Images, spec ImageSpec, d Deed, made, address string) {
	t.Helper()
	leave(t, m, spec, d, false, func(r *record) {
		r.Made, r.Begun = made, true
		r.Owner.die(address)
	})
}

// LeaveOwn makes the intent of d as this process does that is then done, without an
// answer, on the connection address; the lock is still held if held says so.
func LeaveOwn(t testing.TB, m *Images, spec ImageSpec, d Deed, address string, held bool) {
	t.Helper()
	leave(t, m, spec, d, held, func(r *record) { r.Owner.Address = address })
}

// LeaveAsked is LeaveDeed for a process that died before it looked whether the name was
// free.
func LeaveAsked(t testing.TB, m *Images, spec ImageSpec, d Deed, address string) {
	t.Helper()
	leave(t, m, spec, d, false, func(r *record) { r.Owner.die(address) })
}

// Entry names the intent of an image in the trash.
func Entry(pool, namespace, id string) ImageSpec {
	return mark{ID: id, Namespace: namespace}.entry(pool)
}

// LeaveMark notes an image in the trash register as Delete does before it moves it.
func LeaveMark(t *testing.T, m *Images, spec ImageSpec) {
	t.Helper()
	err := m.do(t.Context(), "leave mark", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		img, err := s.imageReadOnly(ioctx, spec.Image, "")
		if err != nil {
			return err
		}
		m, err := img.mark(spec, 0)
		if err != nil {
			return err
		}
		r, err := s.register(spec.Pool, trashRegister)
		if err != nil {
			return err
		}
		return r.put(m.key(), m)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Fence keeps the client at address from writing for span.
func Fence(t *testing.T, m *Images, address string, span time.Duration) error {
	t.Helper()
	return m.do(t.Context(), "fence", address, func(s *scope) error { return s.fence(address, span) })
}

// HalfMove moves an image to the trash as one did that was killed midway, some time
// ago: its entry is there, its id is gone, and its name is gone from the list of images
// unless listed says otherwise.
func HalfMove(t *testing.T, m *Images, spec ImageSpec, ago time.Duration, listed bool) {
	t.Helper()
	info, err := m.Stat(t.Context(), spec)
	if err == nil {
		err = m.TrashMove(t.Context(), spec, 0)
	}
	if err == nil {
		err = m.do(t.Context(), "half move", spec.String(), func(s *scope) error {
			ioctx, err := s.poolOf(spec)
			if err != nil {
				return err
			}
			var in encoder
			in.string(info.ID)
			if err := s.class(ioctx, "rbd_trash", "trash_remove", in.Bytes()); err != nil {
				return err
			}
			then := time.Now().Add(-ago)
			m := mark{ID: info.ID, Name: spec.Image, Deleted: then, Until: then}
			if err := s.class(ioctx, "rbd_trash", "trash_add", trashAdd(m, trashByUser, trashMoving)); err != nil || !listed {
				return err
			}
			in.Reset()
			in.string(spec.Image)
			in.string(info.ID)
			return s.class(ioctx, "rbd_directory", "dir_add_image", in.Bytes())
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// HalfRestore leaves an image of the trash as librbd does that is killed while it restores
// it: with its entry only, or with its id under that name, or listed there, too.
func HalfRestore(t *testing.T, m *Images, to ImageSpec, id string, named, listed bool) {
	t.Helper()
	err := m.do(t.Context(), "half restore", to.String(), func(s *scope) error {
		ioctx, err := s.poolOf(to)
		if err != nil {
			return err
		}
		var in encoder
		in.string(id)
		in.byte(trashRestoring)
		in.byte(trashNormal)
		if err := s.class(ioctx, "rbd_trash", "trash_state_set", in.Bytes()); err != nil || !named {
			return err
		}
		in.Reset()
		in.string(id)
		fresh := func(w *rados.WriteOp) { w.Create(rados.CreateExclusive) }
		if err := s.classOn(ioctx, "rbd_id."+to.Image, "set_id", in.Bytes(), fresh); err != nil || !listed {
			return err
		}
		in.Reset()
		in.string(to.Image)
		in.string(id)
		return s.class(ioctx, "rbd_directory", "dir_add_image", in.Bytes())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// HalfRemove leaves an image as librbd does that is killed while it removes it: in the
// trash, by the removal.
func HalfRemove(t *testing.T, m *Images, spec ImageSpec) {
	t.Helper()
	info, err := m.Stat(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	err = m.do(t.Context(), "half remove", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		entry := mark{ID: info.ID, Name: spec.Image, Deleted: time.Now(), Until: time.Now()}
		var listing encoder
		listing.string(spec.Image)
		listing.string(info.ID)
		return errors.Join(
			s.classNew(ioctx, "rbd_trash", "trash_add", trashAdd(entry, trashByRemoval, trashRemoving)),
			ioctx.Delete("rbd_id."+spec.Image),
			s.class(ioctx, "rbd_directory", "dir_remove_image", listing.Bytes()))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// HalfUnsnap leaves a snapshot as librbd does that is killed while it removes it: in the
// trash of the image's snapshots, and given back to the monitors.
func HalfUnsnap(t testing.TB, m *Images, spec SnapSpec) {
	t.Helper()
	info, err := m.Stat(t.Context(), spec.ImageSpec)
	if err != nil {
		t.Fatal(err)
	}
	snap, _ := info.Snapshot(spec.Snap)
	HalfUnsnapID(t, m, spec.ImageSpec, snap.ID)
}

// HalfUnsnapID is HalfUnsnap for a snapshot of whatever sort.
func HalfUnsnapID(t testing.TB, m *Images, spec ImageSpec, snap uint64) {
	t.Helper()
	info, err := m.Stat(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	err = m.do(t.Context(), "half remove", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		id := binary.LittleEndian.AppendUint64(nil, snap)
		return errors.Join(
			s.class(ioctx, "rbd_header."+info.ID, "snapshot_trash_add", id),
			s.dropSnapID(ioctx, snapID(snap)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// DropIntent removes the intent of spec, whoever holds it.
func DropIntent(t *testing.T, m *Images, spec ImageSpec) {
	t.Helper()
	err := m.do(t.Context(), "drop intent", spec.String(), func(s *scope) error {
		ioctx, err := s.pool(spec.Pool, intentNamespace)
		if err != nil {
			return err
		}
		return ioctx.Delete(intentObject(spec))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// NoteClone notes a clone of a snapshot that is not there, until the test ends: so
// librbd sees one that is removed while it looks.
func NoteClone(t *testing.T, m *Images, spec SnapSpec) {
	t.Helper()
	info, err := m.Stat(t.Context(), spec.ImageSpec)
	if err != nil {
		t.Fatal(err)
	}
	snap, _ := info.Snapshot(spec.Snap)
	note := func(method string) {
		err := m.do(context.Background(), "note a clone", spec.String(), func(s *scope) error {
			ioctx, err := s.poolOf(spec.ImageSpec)
			if err != nil {
				return err
			}
			return s.class(ioctx, "rbd_header."+info.ID, method, append(binary.LittleEndian.AppendUint64(nil, snap.ID), childSpec(ioctx, spec.Namespace, "nobody")...))
		})
		if err != nil {
			t.Error(err)
		}
	}
	note("child_attach")
	t.Cleanup(func() { note("child_detach") })
}

// LeaveFarDeed is LeaveDeed for a process of another machine, of which nobody here
// can know whether it lives. Its last sign of life was age ago.
func LeaveFarDeed(t *testing.T, m *Images, spec ImageSpec, d Deed, address string, age time.Duration) {
	t.Helper()
	err := m.do(t.Context(), "leave intent", spec.String(), func(s *scope) error {
		i, err := s.beginDeed(d, spec)
		if err != nil {
			return err
		}
		i.record.Owner.Boot, i.record.Owner.Address = "elsewhere", address
		if err := i.write("leave"); err != nil {
			return err
		}
		if err := i.unlock(); err != nil {
			return err
		}
		w := rados.CreateWriteOp()
		defer w.Release()
		w.SetXattr("age", []byte("x"))
		return w.OperateWithMtime(i.ioctx, i.oid, rados.Timespec{Sec: time.Now().Add(-age).Unix()}, rados.OperationNoFlag)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ErrNoAnswer is what a native call ends with that the OSDs did not answer in time.
var ErrNoAnswer = errNoAnswer

// Refuses makes a delete on spec end with an error, and tells whether whoever comes next
// may do without fencing this process.
func Refuses(t *testing.T, m *Images, spec ImageSpec, with error) (released bool) {
	t.Helper()
	_, err := tryChange(t.Context(), m, deed{Op: opDelete}, spec, func(*scope, *ioContext) (struct{}, error) {
		return struct{}{}, with
	})
	if err == nil {
		t.Fatal("it did not fail")
	}
	r, err := call(t.Context(), m.cluster, "look", spec.String(), func(s *scope) (*record, error) { return s.intentOf(spec) })
	if err != nil || r == nil {
		t.Fatalf("intent = %+v, %v", r, err)
	}
	return r.Released
}

// Undisturbed tells whether Ensure relies on what it sees of an image that is there,
// while something else goes on.
func Undisturbed(t *testing.T, m *Images, spec ImageSpec, meanwhile func()) bool {
	t.Helper()
	still, err := call(t.Context(), m.cluster, "look", spec.String(), func(s *scope) (bool, error) {
		e := ensuring{scope: s, ctx: t.Context(), want: Want{Image: spec}}
		_, still, err := e.undisturbed(func() (Ensured, error) {
			meanwhile()
			return Ensured{}, nil
		})
		return still, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return still
}

// DropWatches ends the watches on an image.
func DropWatches(ctx context.Context, m *Images, spec ImageSpec) error {
	return m.do(ctx, "drop watches", spec.String(), func(s *scope) error {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return err
		}
		id, err := s.imageID(ioctx, spec.Image)
		if err != nil {
			return err
		}
		return s.dropWatches(ioctx, id)
	})
}

// Released tells whether the owner of the intent on spec has left it to others.
func Released(t *testing.T, m *Images, spec ImageSpec) bool {
	t.Helper()
	r, err := call(t.Context(), m.cluster, "look", spec.String(), func(s *scope) (*record, error) { return s.intentOf(spec) })
	if err != nil {
		t.Fatal(err)
	}
	return r != nil && r.Released
}

// SetState makes the state of a job another one.
func SetState(t *testing.T, m *Images, pool, id, state string) {
	t.Helper()
	err := m.do(t.Context(), "set state", pool+"/"+id, func(s *scope) error {
		r, err := s.register(pool, jobsRegister)
		if err != nil {
			return err
		}
		j, err := r.job(id)
		if err != nil {
			return err
		}
		j.State = state
		return r.put(id, j)
	})
	if err != nil {
		t.Fatal(err)
	}
}
