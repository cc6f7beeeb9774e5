package rbd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// deleted are the names of what we deleted and have not purged.
func (s space) deleted() []string {
	s.Helper()
	list, err := s.images.Deleted(s.Context(), s.pool)
	s.must(err)
	var names []string
	for _, d := range list {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}

func (s space) delete(name string) {
	s.Helper()
	s.must(s.images.Delete(s.Context(), s.image(name), rbd.DeleteOptions{}))
}

func (s space) purge(o rbd.PurgeOptions) rbd.Purged {
	s.Helper()
	p, err := s.images.Purge(s.Context(), s.pool, o)
	s.must(err)
	return p
}

// cloneOf makes a volume of a snapshot on another one, as Cinder has it.
func (s space) cloneOf(parent, snap, name string, format rbd.CloneFormat) {
	s.Helper()
	at := s.image(parent).At(snap)
	_, err := s.images.EnsureSnapshot(s.Context(), at, rbd.SnapOptions{Protect: true})
	s.must(err)
	want := rbd.Want{Image: s.image(name), Size: 8 << 20, Parent: &at, Options: rbd.CloneOptions{Format: format}}
	_, err = s.images.Ensure(s.Context(), want)
	s.must(err)
}

func TestDelete(t *testing.T) {
	s := inPool(t)
	v := s.blank("v")
	for range 2 {
		s.delete("v")
	}
	s.delete("never")
	list, err := s.images.Deleted(t.Context(), s.pool)
	s.must(err)
	if len(list) != 1 || list[0].Name != "v" || list[0].Pool != s.pool || list[0].Children != 0 || list[0].Parent != nil || list[0].Until != list[0].Deleted {
		t.Errorf("Deleted = %+v", list)
	}
	// The name is free, and another image may go the same way.
	s.blank("v")
	s.delete("v")
	if p := s.purge(rbd.PurgeOptions{Limit: 1}); len(p.Removed) != 1 || p.Waiting != 1 {
		t.Errorf("Purge of one = %+v", p)
	}
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 0 {
		t.Errorf("Purge = %+v", p)
	}
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 0 || p.Waiting != 0 {
		t.Errorf("Purge of nothing = %+v", p)
	}
	s.is(s.images.Delete(t.Context(), v, rbd.DeleteOptions{Delay: -1}), rbd.ErrInvalid)
	s.isEmpty()
}

func (s space) sizeInTrash(id string) uint64 {
	s.Helper()
	var info struct{ Size uint64 }
	out := labtest.Tool(s.TB, "rbd", "info", "--pool", s.pool, "--image-id", id, "--format", "json")
	s.must(json.Unmarshal(out, &info))
	return info.Size
}

// TestPurgeOfALargeImage can be stopped midway, and is gone on with.
func TestPurgeOfALargeImage(t *testing.T) {
	s := inPool(t)
	s.must(s.images.Create(t.Context(), s.image("v"), 1<<40, rbd.CreateOptions{}))
	id := s.stat(s.image("v")).ID
	s.delete("v")
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() {
		_, err := s.images.Purge(ctx, s.pool, rbd.PurgeOptions{})
		stopped <- err
	}()
	for deadline := time.Now().Add(2 * time.Minute); s.sizeInTrash(id) == 1<<40 && time.Now().Before(deadline); { // 63 steps are still to come
		time.Sleep(time.Millisecond)
	}
	cancel()
	s.is(<-stopped, rbd.ErrUnavailable)
	if size := s.sizeInTrash(id); size <= 16<<30 || size >= 1<<40 {
		t.Errorf("stopped, it has %d bytes", size)
	}
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 || p.Waiting != 0 {
		t.Errorf("Purge = %+v", p)
	}
	s.isEmpty()
}

func TestDeleteInANamespace(t *testing.T) {
	s := newSpace(t)
	s.blank("v")
	s.delete("v")
	if names := s.deleted(); !slices.Contains(names, "v") {
		t.Errorf("Deleted = %v", names)
	}
	s.purge(rbd.PurgeOptions{})
	if trash, err := s.images.TrashList(t.Context(), s.pool, s.ns); err != nil || len(trash) > 0 {
		t.Errorf("trash = %v, %v", trash, err)
	}
}

// TestDeleteOfWhatIsOpen changes nothing, the snapshots and their clones included;
// a client that is fenced does not count.
func TestDeleteOfWhatIsOpen(t *testing.T) {
	s := inPool(t)
	v := s.golden("v")
	s.cloneOf("v", "clone.clone_snap", "clone", rbd.CloneV1)
	before, sum := s.stat(v.ImageSpec), s.digest(v)
	other, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	s.must(err)
	t.Cleanup(func() { _ = other.Close() })
	release := rbd.HoldOpen(t, rbd.NewImages(other), v.ImageSpec)
	s.is(s.images.Delete(t.Context(), v.ImageSpec, rbd.DeleteOptions{}), rbd.ErrInUse)
	after := s.stat(v.ImageSpec)
	if fmt.Sprint(before) != fmt.Sprint(after) || s.digest(v) != sum || len(s.deleted()) > 0 {
		t.Errorf("a refused delete changed %+v to %+v", before, after)
	}
	if trash, err := s.images.TrashList(t.Context(), s.pool, ""); err != nil || len(trash) > 0 {
		t.Errorf("trash = %v, %v", trash, err)
	}
	labtest.Tool(t, "ceph", "osd", "blocklist", "add", other.Address())
	s.delete("v")
	s.delete("clone")
	for deadline := time.Now().Add(time.Minute); len(s.deleted()) > 0 && time.Now().Before(deadline); time.Sleep(time.Second) { // until the watch of the fenced client ends
		s.purge(rbd.PurgeOptions{})
	}
	s.isEmpty()
	release()
}

func TestUndelete(t *testing.T) {
	s := inPool(t)
	v := s.golden("v")
	sum, id := s.digest(v), s.stat(v.ImageSpec).ID
	s.must(s.images.Delete(t.Context(), v.ImageSpec, rbd.DeleteOptions{Delay: time.Hour}))
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 0 || p.Waiting != 1 {
		t.Errorf("Purge before its time = %+v", p)
	}
	s.blank("v")
	s.is(s.images.Undelete(t.Context(), s.pool, id, ""), rbd.ErrExists)
	for range 2 {
		s.must(s.images.Undelete(t.Context(), s.pool, id, "w"))
	}
	if s.digest(s.image("w").At("snap")) != sum || s.stat(s.image("w")).ID != id || len(s.deleted()) != 0 {
		t.Error("the image is not as it was")
	}
	s.is(s.images.Undelete(t.Context(), s.pool, "0123", "x"), rbd.ErrNotFound)
	if p := s.purge(rbd.PurgeOptions{Now: true}); len(p.Removed) != 0 || p.Waiting != 0 {
		t.Errorf("Purge after it was brought back = %+v", p)
	}
	s.must(s.images.Delete(t.Context(), s.image("w"), rbd.DeleteOptions{Delay: time.Hour}))
	s.delete("v")
	if p := s.purge(rbd.PurgeOptions{IDs: []string{id}, Now: true}); !slices.Equal(p.Removed, []string{id}) || p.Waiting != 1 {
		t.Errorf("Purge of one by its id = %+v", p)
	}
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestUndeleteOfWhatWaits: a purge leaves all of an image alone that has a clone, its
// other snapshots included, so that it can be brought back as it was.
func TestUndeleteOfWhatWaits(t *testing.T) {
	s := inPool(t)
	v := s.golden("v").ImageSpec
	id := s.stat(v).ID
	s.cloneOf("v", "snapshot-1", "c", rbd.CloneV2)
	want := s.snaps(v)
	s.delete("v")
	if p := s.purge(rbd.PurgeOptions{Now: true}); len(p.Removed) != 0 || p.Waiting != 1 {
		t.Errorf("Purge = %+v", p)
	}
	s.must(s.images.Undelete(t.Context(), s.pool, id, ""))
	if names := s.snaps(v); !slices.Equal(names, want) {
		t.Errorf("brought back, it has the snapshots %v, want %v", names, want)
	}
	s.delete("c")
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestDropUnused: the snapshot of a clone that was not made goes, unless somebody is at
// work with it.
func TestDropUnused(t *testing.T) {
	s := inPool(t)
	v := s.blank("v")
	at := v.At("volume-c.clone_snap")
	_, err := s.images.EnsureSnapshot(t.Context(), at, rbd.SnapOptions{Protect: true})
	s.must(err)
	left := func(want int) {
		t.Helper()
		s.must(s.images.DropUnused(t.Context(), at, "volume-c"))
		if names := s.snaps(v); len(names) != want {
			t.Errorf("snapshots = %v, want %d", names, want)
		}
	}
	for _, busy := range []rbd.ImageSpec{v, s.image("volume-c")} {
		rbd.LeaveIntent(t, s.images, busy, "", "", true)
		left(1)
		s.rados("-N", "rbdctl", "rm", "intent."+busy.Image)
	}
	left(0)
	left(0)
	if journal := s.journal(); journal != "" {
		t.Errorf("the journal has %q", journal)
	}
	s.must(s.images.DropUnused(t.Context(), s.image("nope").At("x.clone_snap"), "x"))
}

// TestForeignTrash: what somebody else moved to the trash stays, also when a mark
// of ours is about it.
func TestForeignTrash(t *testing.T) {
	s := inPool(t)
	foreign, stale := s.blank("foreign"), s.blank("stale")
	s.must(s.images.TrashMove(t.Context(), foreign, 0))
	rbd.LeaveMark(t, s.images, stale)
	id := s.stat(stale).ID
	if len(s.deleted()) != 0 {
		t.Errorf("Deleted = %v", s.deleted())
	}
	if p := s.purge(rbd.PurgeOptions{Now: true}); len(p.Removed) != 0 || p.Waiting != 0 {
		t.Errorf("Purge = %+v", p)
	}
	if s.stat(stale).ID != id || s.journal() != "" {
		t.Errorf("the journal has %q", s.journal())
	}
	trash, err := s.images.TrashList(t.Context(), s.pool, "")
	if err != nil || len(trash) != 1 || trash[0].Name != "foreign" {
		t.Fatalf("trash = %+v, %v", trash, err)
	}
	s.is(s.images.Undelete(t.Context(), s.pool, trash[0].ID, ""), rbd.ErrNotFound)
	s.must(s.images.TrashRemove(t.Context(), s.pool, "", trash[0].ID, true))
	s.delete("stale")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestDeletedAgainByAnother: what we deleted, and somebody else restored and moved to the
// trash, is theirs, however soon.
func TestDeletedAgainByAnother(t *testing.T) {
	s := inPool(t)
	for _, settings := range []string{"", "rbd_default_features = layering,exclusive-lock,journaling"} { // moved by us; by librbd
		images := rbd.NewImages(dialConf(t, withSettings(t, settings)))
		v := s.image("v")
		s.must(images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
		id := s.stat(v).ID
		s.must(images.Delete(t.Context(), v, rbd.DeleteOptions{Delay: time.Hour}))
		s.must(s.images.TrashRestore(t.Context(), s.pool, "", id, "v"))
		time.Sleep(1100 * time.Millisecond) // an entry has whole seconds
		s.must(s.images.TrashMove(t.Context(), v, time.Hour))
		s.is(s.images.Undelete(t.Context(), s.pool, id, ""), rbd.ErrNotFound)
		if d := s.deleted(); len(d) != 0 {
			t.Errorf("%q: Deleted = %v", settings, d)
		}
		if p := s.purge(rbd.PurgeOptions{Now: true}); len(p.Removed) != 0 || p.Waiting != 0 || s.journal() != "" {
			t.Errorf("%q: Purge = %+v, the journal has %q", settings, p, s.journal())
		}
		s.must(s.images.TrashRemove(t.Context(), s.pool, "", id, true)) // it was there
		s.isEmpty()
	}
}

// TestPurgeInEveryOrder: an image, a volume of it, and a volume of that one's
// snapshot are deleted in every order, with purges in between; the clones read as
// they should all along, and in the end nothing is left.
func TestPurgeInEveryOrder(t *testing.T) {
	for _, format := range []rbd.CloneFormat{rbd.CloneV1, rbd.CloneV2} {
		s := inPool(t)
		for n, order := range permutations([]string{"a", "b", "c"}) {
			golden := s.golden("a")
			sum := s.digest(golden)
			s.cloneOf("a", "snap", "b", format)
			s.cloneOf("b", []string{"c.clone_snap", "snapshot-1"}[n%2], "c", format)
			left := []string{"a", "b", "c"}
			for _, name := range order {
				if n%2 == 1 && name == "b" { // Cinder deletes a volume's snapshots first
					s.must(s.images.DeleteSnapshot(t.Context(), s.image("b").At("snapshot-1")))
				}
				s.delete(name)
				left = slices.DeleteFunc(left, func(l string) bool { return l == name })
				if n%3 != 0 || len(left) == 0 {
					s.purge(rbd.PurgeOptions{})
				}
				if names := s.names(); !slices.Equal(names, left) {
					t.Fatalf("v%d %v: images after %s = %v", format, order, name, names)
				}
				for _, l := range left {
					if s.digest(s.image(l).At("")) != sum {
						t.Errorf("v%d %v: %s reads otherwise after %s", format, order, l, name)
					}
				}
			}
			if d := s.deleted(); len(d) > 0 {
				t.Fatalf("v%d %v: left in the trash: %v", format, order, d)
			}
			s.isEmpty()
		}
	}
}

func permutations(names []string) [][]string {
	if len(names) < 2 {
		return [][]string{names}
	}
	var all [][]string
	for i, first := range names {
		rest := slices.Delete(slices.Clone(names), i, i+1)
		for _, p := range permutations(rest) {
			all = append(all, append([]string{first}, p...))
		}
	}
	return all
}

// TestCloneSnapOfALiveImage goes with its clone, whether that is deleted or
// flattened; one that waits for its clone stays.
func TestCloneSnapOfALiveImage(t *testing.T) {
	s := inPool(t)
	v := s.golden("v").ImageSpec
	s.cloneOf("v", "one.clone_snap", "one", rbd.CloneV1)
	s.cloneOf("v", "two.clone_snap", "two", rbd.CloneV2)
	_, err := s.images.EnsureSnapshot(t.Context(), v.At("three.clone_snap"), rbd.SnapOptions{Protect: true})
	s.must(err)
	s.purge(rbd.PurgeOptions{})
	if names := s.snaps(v); len(names) != 4 {
		t.Errorf("snapshots = %v, want all", names)
	}
	s.delete("one")
	s.purge(rbd.PurgeOptions{})
	s.must(s.images.Flatten(t.Context(), s.image("two"), nil))
	s.purge(rbd.PurgeOptions{})
	if names := s.snaps(v); !slices.Equal(names, []string{"snap", "three.clone_snap"}) {
		t.Errorf("snapshots = %v", names)
	}
	s.delete("two")
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}
