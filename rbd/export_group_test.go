package rbd

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// countAt is where CountIn writes in an image.
const countAt = 4 << 20

// CountIn has the client of m write growing numbers to the images, each to all of
// them in their order, until end is called, which returns the last one. count is how
// far it has come.
func CountIn(t *testing.T, m *Images, specs ...ImageSpec) (count *atomic.Uint64, end func() uint64) {
	t.Helper()
	count = &atomic.Uint64{}
	ready, stop, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- m.doLong(t.Context(), "count", specs[0].String(), func(s *scope) error {
			images, err := s.openAll(specs)
			close(ready)
			for err == nil {
				select {
				case <-stop:
					return nil
				default:
				}
				n := count.Load() + 1
				for _, img := range images {
					_, writing := img.WriteAt(binary.LittleEndian.AppendUint64(nil, n), countAt)
					err = errors.Join(err, writing)
				}
				count.Store(n)
			}
			return err
		})
	}()
	<-ready
	return count, func() uint64 {
		close(stop)
		if err := <-ended; err != nil {
			t.Errorf("the writer ended at %d: %v", count.Load(), err)
		}
		return count.Load()
	}
}

func (s *scope) openAll(specs []ImageSpec) ([]*openImage, error) {
	var images []*openImage
	for _, spec := range specs {
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return nil, err
		}
		img, err := s.image(ioctx, spec.Image)
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	return images, nil
}

// CountOf is what CountIn had come to in a snapshot.
func CountOf(ctx context.Context, m *Images, spec SnapSpec) (uint64, error) {
	return callRead(ctx, m.cluster, "count", spec.String(), func(s *scope) (uint64, error) {
		ioctx, err := s.poolOf(spec.ImageSpec)
		if err != nil {
			return 0, err
		}
		img, err := s.imageReadOnly(ioctx, spec.Image, spec.Snap)
		if err != nil {
			return 0, err
		}
		number := make([]byte, 8)
		_, err = img.ReadAt(number, countAt)
		return binary.LittleEndian.Uint64(number), err
	})
}

// HeaderEntry is how an image's header keeps a snapshot, without its id, name and
// time, which always differ.
func HeaderEntry(ctx context.Context, m *Images, spec SnapSpec) ([]byte, error) {
	return look(ctx, m, "look", spec.ImageSpec, func(img *openImage) ([]byte, error) {
		id, err := img.GetId()
		if err != nil {
			return nil, err
		}
		snap, _, err := img.snapshot(spec.Snap)
		if err != nil {
			return nil, err
		}
		ioctx, err := img.s.poolOf(spec.ImageSpec)
		if err != nil {
			return nil, err
		}
		key := snapKey(snap.ID)
		values, err := ioctx.GetOmapValues("rbd_header."+id, "", key, 1)
		text := values[key]
		if err != nil || len(text) < 18+len(spec.Snap) {
			return nil, err
		}
		const head, id64, stamp = 6, 8, 8
		tail := text[len(text)-13:] // time, clones, no overlap
		return append(append(text[:head:head], text[head+id64+4+len(spec.Snap):len(text)-len(tail)]...), tail[stamp:]...), nil
	})
}

// Waits tells whether a snapshot that was taken for a clone would still wait for it at this
// age.
func Waits(t *testing.T, m *Images, spec SnapSpec, age time.Duration) bool {
	t.Helper()
	info, err := m.Stat(t.Context(), spec.ImageSpec)
	if err != nil {
		t.Fatal(err)
	}
	n := note{Namespace: spec.Namespace, ImageID: info.ID, Snap: spec.Snap}
	if err := m.do(t.Context(), "read a note", spec.String(), func(s *scope) error {
		notes, err := s.register(spec.Pool, snapsRegister)
		if err == nil {
			_, err = notes.get(n.key(), &n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n.waits(age)
}

// SetWait changes how long a noted snapshot waits for its clone.
func SetWait(t *testing.T, m *Images, spec SnapSpec, wait time.Duration) {
	t.Helper()
	info, err := m.Stat(t.Context(), spec.ImageSpec)
	if err != nil {
		t.Fatal(err)
	}
	n := note{Namespace: spec.Namespace, ImageID: info.ID, Snap: spec.Snap}
	if err := m.do(t.Context(), "change a note", spec.String(), func(s *scope) error {
		notes, err := s.register(spec.Pool, snapsRegister)
		if err == nil {
			_, err = notes.get(n.key(), &n)
		}
		if n.Wait = wait; err == nil {
			err = notes.put(n.key(), n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// ForgetClone takes a clone out of its parent's list, as librbd does that is killed at the
// end of a flatten.
func ForgetClone(t *testing.T, m *Images, clone ImageSpec, format CloneFormat) {
	t.Helper()
	child, err := m.Stat(t.Context(), clone)
	if err != nil {
		t.Fatal(err)
	}
	snap := binary.LittleEndian.AppendUint64(nil, child.Parent.SnapID)
	err = m.do(t.Context(), "forget a clone", clone.String(), func(s *scope) error {
		in, err := s.poolOf(clone)
		if err != nil {
			return err
		}
		from, err := s.poolOf(child.Parent.ImageSpec)
		if err != nil {
			return err
		}
		if format == CloneV2 {
			return s.class(from, "rbd_header."+child.Parent.ImageID, "child_detach", append(snap, childSpec(in, clone.Namespace, child.ID)...))
		}
		var entry encoder
		entry.Write(binary.LittleEndian.AppendUint64(nil, child.Parent.PoolID))
		entry.string(child.Parent.ImageID)
		entry.Write(snap)
		entry.string(child.ID)
		return s.class(in, "rbd_children", "remove_child", entry.Bytes())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Snapshotted is what a deletion of the group writes down of the images in its snapshots.
func Snapshotted(t *testing.T, m *Images, g GroupSpec) []string {
	t.Helper()
	var images []string
	err := m.do(t.Context(), "look", g.String(), func(s *scope) error {
		ioctx, err := s.poolOf(g.holder())
		if err != nil {
			return err
		}
		id, err := s.groupID(ioctx, g)
		if err != nil {
			return err
		}
		records, err := s.groupSnapshots(ioctx, id)
		for _, record := range records {
			_, of := parseGroupSnap(record)
			images = append(images, of...)
		}
		return err
	})
	if err != nil || len(images) == 0 {
		t.Fatalf("%s has the snapshots of %v (%v)", g, images, err)
	}
	return images
}
