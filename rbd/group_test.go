package rbd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// group is a group of the space.
func (s space) group(name string) rbd.GroupSpec {
	return rbd.GroupSpec{Pool: s.pool, Namespace: s.ns, Group: name}
}

// grouped makes a group of new images.
func (s space) grouped(name string, images ...string) rbd.GroupSpec {
	s.Helper()
	g := s.group(name)
	created, err := s.images.EnsureGroup(s.Context(), g)
	if s.must(err); !created {
		s.Error("the group was there")
	}
	s.Cleanup(func() {
		if err := s.images.DeleteGroup(context.WithoutCancel(s.Context()), g); err != nil {
			s.Error(err)
		}
	})
	var c rbd.GroupChange
	for _, image := range images {
		c.Add = append(c.Add, s.blank(image))
	}
	s.must(s.images.ChangeGroup(s.Context(), g, c))
	return g
}

func (s space) members(g rbd.GroupSpec) []string {
	s.Helper()
	images, err := s.images.GroupMembers(s.Context(), g)
	s.must(err)
	names := []string{}
	for _, i := range images {
		names = append(names, i.Image)
	}
	return names
}

func TestGroup(t *testing.T) {
	s := newSpace(t)
	g := s.grouped("g", "a", "b")
	if created, err := s.images.EnsureGroup(t.Context(), g); err != nil || created {
		t.Errorf("EnsureGroup again = %t, %v", created, err)
	}
	a, b := s.image("a"), s.image("b")
	for range 2 { // it is so already
		s.must(s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Add: []rbd.ImageSpec{a}, Remove: []rbd.ImageSpec{b}}))
	}
	if got := s.members(g); !slices.Equal(got, []string{"a"}) {
		t.Errorf("members = %v, want a", got)
	}
	other := s.grouped("other")
	s.is(s.images.ChangeGroup(t.Context(), other, rbd.GroupChange{Add: []rbd.ImageSpec{a}}), rbd.ErrExists)
	s.is(s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Add: []rbd.ImageSpec{s.image("none")}}), rbd.ErrNotFound)
	s.must(s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Remove: []rbd.ImageSpec{s.image("none")}}))
	s.is(s.images.ChangeGroup(t.Context(), s.group("none"), rbd.GroupChange{Add: []rbd.ImageSpec{a}}), rbd.ErrNotFound)
	s.is(s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Add: []rbd.ImageSpec{{Pool: s.pool, Namespace: s.ns + "x", Image: "a"}}}), rbd.ErrInvalid)
	_, err := s.images.GroupMembers(t.Context(), s.group("none"))
	s.is(err, rbd.ErrNotFound)
	_, err = s.images.EnsureGroup(t.Context(), s.group("a/b"))
	s.is(err, rbd.ErrInvalid)
	for range 2 {
		s.must(s.images.DeleteGroup(t.Context(), g))
	}
	s.stat(a)
	s.must(s.images.ChangeGroup(t.Context(), other, rbd.GroupChange{Add: []rbd.ImageSpec{a}}))
	s.must(s.images.DeleteGroup(t.Context(), other))
}

// TestTakeOverOfAMember: what a dead process had begun with an image and a group is
// carried out, unless the image is in another group: then nothing was begun.
func TestTakeOverOfAMember(t *testing.T) {
	s := inPool(t)
	g, other := s.grouped("g", "a", "b", "c"), s.grouped("other")
	s.blank("d")
	for image, deed := range map[string]rbd.Deed{
		"a": {Op: "group leave", Other: g.String()},
		"b": {Op: "group leave", Other: other.String()},
		"c": {Op: "group join", Other: other.String()},
		"d": {Op: "group join", Other: other.String()},
	} {
		rbd.LeaveDeed(t, s.images, s.image(image), deed, "127.0.0.1:0/14")
	}
	for _, image := range []string{"a", "b", "c", "d"} { // whoever comes next
		_, err := s.images.Extend(t.Context(), s.image(image), 16<<20)
		s.must(err)
	}
	if got, too := s.members(g), s.members(other); !slices.Equal(got, []string{"b", "c"}) || !slices.Equal(too, []string{"d"}) {
		t.Errorf("members = %v and %v, want b, c and d", got, too)
	}
	if left := s.journal(); left != "" {
		t.Errorf("left %s", left)
	}
}

// TestDeleteOfAMember: librbd never removes an image that is in a group.
func TestDeleteOfAMember(t *testing.T) {
	s := inPool(t)
	g := s.grouped("g", "a", "b")
	labtest.RBD(t, "group", "snap", "create", g.String()+"@somebodys")
	release := rbd.HoldOpen(t, s.images, s.image("b"))
	s.is(s.images.Delete(t.Context(), s.image("b"), rbd.DeleteOptions{}), rbd.ErrInUse)
	release()
	if got := s.members(g); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("members = %v after a delete that was refused, want both", got)
	}
	s.delete("a")
	if got := s.members(g); !slices.Equal(got, []string{"b"}) {
		t.Errorf("members = %v, want b", got)
	}
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 {
		t.Errorf("Purge = %+v, want a removed, with its part of somebody's snapshot of the group", p)
	}
	s.must(s.images.DeleteGroup(t.Context(), g))
	s.delete("b")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestDeleteOfAMemberTakenBack: one that a dead process had taken out of its group to delete
// it, and that is open by now, is in its group again.
func TestDeleteOfAMemberTakenBack(t *testing.T) {
	s := inPool(t)
	g := s.grouped("g")
	v := s.blank("v")
	release := rbd.HoldOpen(t, s.images, v)
	left := rbd.Deed{Op: "delete", Other: g.String()}
	rbd.LeaveDeed(t, s.images, v, left, "127.0.0.1:0/15")
	s.is(s.images.Delete(t.Context(), v, rbd.DeleteOptions{}), rbd.ErrInUse)
	if got := s.members(g); !slices.Equal(got, []string{"v"}) {
		t.Errorf("members = %v, want v", got)
	}
	// While somebody is at the group, it waits for the next one.
	s.must(s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Remove: []rbd.ImageSpec{v}}))
	rbd.LeaveDeed(t, s.images, v, left, "127.0.0.1:0/15")
	holder := s.image("group.g")
	rbd.LeaveIntent(t, s.images, holder, "", "", true)
	err := s.images.Delete(t.Context(), v, rbd.DeleteOptions{})
	if s.is(err, rbd.ErrUnavailable); errors.Is(err, rbd.ErrInUse) {
		t.Errorf("%v says that nothing was changed", err)
	}
	rbd.DropIntent(t, s.images, holder)
	release()
	s.must(s.images.SettleImage(t.Context(), v)) // it is refused, and is not carried out later
	if got := s.members(g); !slices.Equal(got, []string{"v"}) {
		t.Errorf("members = %v, want v", got)
	}
	release = rbd.HoldOpen(t, s.images, v)
	// A group that has gone meanwhile is no obstacle.
	s.must(s.images.DeleteGroup(t.Context(), g))
	rbd.LeaveDeed(t, s.images, v, left, "127.0.0.1:0/15")
	s.is(s.images.Delete(t.Context(), v, rbd.DeleteOptions{}), rbd.ErrInUse)
	release()
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// TestDeleteGroupEndsItsSnapshots: what a dead process had half removed of a snapshot that
// somebody took of the group is ended, also when the group is gone by then.
func TestDeleteGroupEndsItsSnapshots(t *testing.T) {
	s := inPool(t)
	v := s.golden("v").ImageSpec
	for _, gone := range []bool{false, true} {
		g := s.grouped("g")
		s.must(s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Add: []rbd.ImageSpec{v}}))
		labtest.RBD(t, "group", "snap", "create", g.String()+"@somebodys")
		rbd.HalfUnsnapID(t, s.images, v, s.groupSnapID(v))
		if gone {
			rbd.LeaveDeed(t, s.images, s.image("group.g"), rbd.Deed{Op: "group rm", Snaps: rbd.Snapshotted(t, s.images, g)}, "127.0.0.1:0/16")
			labtest.RBD(t, "group", "rm", g.String())
		} else { // it may have left the group since
			labtest.RBD(t, "group", "image", "rm", g.String(), v.String())
		}
		// An intent of its own may be in its way.
		rbd.LeaveDeed(t, s.images, v, rbd.Deed{Op: "delete", Other: g.String()}, "127.0.0.1:0/17")
		release := rbd.HoldOpen(t, s.images, v) // a guest is no obstacle
		s.must(s.images.DeleteGroup(t.Context(), g))
		release()
		if all := string(labtest.RBD(t, "snap", "ls", "--all", v.String())); strings.Contains(all, "trash") || strings.Contains(all, "group") {
			t.Errorf("group gone before: %t: left\n%s", gone, all)
		}
	}
	s.delete("v")
	s.purge(rbd.PurgeOptions{})
	s.losesData()
	s.isEmpty()
}

// groupSnapID is the id of the only snapshot that the image has by its group.
func (s space) groupSnapID(spec rbd.ImageSpec) uint64 {
	s.Helper()
	var snaps []struct {
		ID        uint64
		Namespace struct{ Type string }
	}
	s.must(json.Unmarshal(labtest.RBD(s.TB, "snap", "ls", "--all", "--format", "json", spec.String()), &snaps))
	for _, snap := range snaps {
		if snap.Namespace.Type == "group" {
			return snap.ID
		}
	}
	s.Fatalf("%s has the snapshots %+v, none of a group", spec, snaps)
	return 0
}

// TestSnapshotGroup: each image has an ordinary snapshot, that serves as any other.
func TestSnapshotGroup(t *testing.T) {
	s := inPool(t)
	g := s.grouped("g", "a", "b")
	o := rbd.GroupSnapshot{Name: "gs", Protect: true, Members: []rbd.SnapSpec{s.image("b").At("sb"), s.image("a").At("sa")}}
	for _, want := range []bool{true, false} {
		created, err := s.images.SnapshotGroup(t.Context(), g, o)
		if err != nil || created != want {
			t.Fatalf("SnapshotGroup = %t, %v, want %t", created, err, want)
		}
	}
	for _, snap := range o.Members {
		if err := s.images.CheckSnapshot(t.Context(), snap); err != nil {
			t.Error(err)
		}
		got, there := s.stat(snap.ImageSpec).Snapshot(snap.Snap)
		if !there || !got.Protected || got.Size != 8<<20 {
			t.Errorf("%s = %+v, want it protected", snap, got)
		}
		clone := s.image("clone-" + snap.Image)
		_, err := s.images.Ensure(t.Context(), rbd.Want{Image: clone, Size: 8 << 20, Parent: &snap, Protected: true})
		s.must(err)
		s.must(s.images.DeleteSnapshot(t.Context(), snap))
		s.delete(clone.Image)
	}
	if found := s.fsck(); len(found) > 0 {
		t.Errorf("fsck = %+v", found)
	}
	s.must(s.images.DeleteGroup(t.Context(), g))
	s.delete("a")
	s.delete("b")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

func (s space) fsck() []rbd.Finding {
	s.Helper()
	found, err := s.images.Fsck(s.Context(), []string{s.pool}, false)
	s.must(err)
	return found
}

// TestSnapshotGroupAtOneMoment: a writer counts up in two images, first in one and
// then in the other. No snapshot may have the other's count and not the one's, the
// writer sees no error, and goes on.
func TestSnapshotGroupAtOneMoment(t *testing.T) {
	s := newSpace(t)
	g := s.grouped("g", "a", "b")
	writer := rbd.NewImages(dial(t))
	count, end := rbd.CountIn(t, writer, s.image("a"), s.image("b"))
	const rounds = 8
	last := uint64(0)
	for n := range rounds {
		sa, sb := s.image("a").At(fmt.Sprint("s", n)), s.image("b").At(fmt.Sprint("s", n))
		_, err := s.images.SnapshotGroup(t.Context(), g, rbd.GroupSnapshot{Name: "gs", Members: []rbd.SnapSpec{sa, sb}, Protect: true})
		s.must(err)
		a, err := rbd.CountOf(t.Context(), s.images, sa)
		s.must(err)
		b, err := rbd.CountOf(t.Context(), s.images, sb)
		s.must(err)
		if b > a || a > b+1 || a < last {
			t.Errorf("the first has %d, the second %d; before there were %d", a, b, last)
		}
		last = a
		for deadline := time.Now().Add(time.Minute); count.Load() <= last+1; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the writer does not go on after %d", last)
			}
		}
	}
	if n := end(); n <= last {
		t.Errorf("the writer ended at %d, and a snapshot has %d", n, last)
	}
	for n := range rounds {
		s.must(s.images.DeleteSnapshot(t.Context(), s.image("a").At(fmt.Sprint("s", n))))
		s.must(s.images.DeleteSnapshot(t.Context(), s.image("b").At(fmt.Sprint("s", n))))
	}
}

// dial makes a connection of the test's own.
func dial(t *testing.T) *rbd.Cluster {
	t.Helper()
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestAdoptedSnapshotIsWhatLibrbdMakes: but for id, name and time.
func TestAdoptedSnapshotIsWhatLibrbdMakes(t *testing.T) {
	s := newSpace(t)
	g := s.grouped("g", "a")
	a := s.image("a")
	for _, protect := range []bool{true, false} {
		gs := rbd.GroupSnapshot{Name: "gs", Protect: protect, Members: []rbd.SnapSpec{a.At("one")}}
		_, err := s.images.SnapshotGroup(t.Context(), g, gs)
		s.must(err)
		_, err = s.images.EnsureSnapshot(t.Context(), a.At("two"), rbd.SnapOptions{Protect: protect})
		s.must(err)
		one, err := rbd.HeaderEntry(t.Context(), s.images, a.At("one"))
		s.must(err)
		two, err := rbd.HeaderEntry(t.Context(), s.images, a.At("two"))
		s.must(err)
		if diff := cmp.Diff(two, one); diff != "" {
			t.Errorf("protected %t: librbd's (-) and ours (+) differ:\n%s", protect, diff)
		}
		s.must(s.images.DeleteSnapshot(t.Context(), a.At("one")))
		s.must(s.images.DeleteSnapshot(t.Context(), a.At("two")))
	}
}

// TestTakeOverOfAGroupSnapshot: what a dead process has left of one is taken away by
// whoever comes next at the group or at one of its images, and until then is not
// handed out.
func TestTakeOverOfAGroupSnapshot(t *testing.T) {
	s := newSpace(t)
	g := s.grouped("g", "a", "b")
	a, b := s.image("a"), s.image("b")
	next := map[string]func() error{
		"an image": func() error { _, err := s.images.Extend(t.Context(), b, 8<<20); return err },
		"a group":  func() error { return s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Add: []rbd.ImageSpec{a}}) },
		"repair":   func() error { _, err := s.images.Fsck(t.Context(), []string{s.pool}, true); return err },
		"settle":   func() error { return s.images.SettleGroup(t.Context(), g) },
	}
	for who, come := range next {
		for _, adopted := range [][]rbd.ImageSpec{nil, {a}, {a, b}} {
			s.leaveGroupSnapshot(g, adopted...)
			s.is(s.images.CheckSnapshot(t.Context(), a.At("s")), rbd.ErrUnavailable)
			s.must(s.images.CheckSnapshot(t.Context(), a.At("another")))
			s.must(s.images.CheckSettled(t.Context(), a))
			s.must(come())
			if left := append(s.snaps(a), s.snaps(b)...); len(left) > 0 {
				t.Errorf("%s, %d adopted: left the snapshots %v", who, len(adopted), left)
			}
			if all := string(labtest.RBD(t, "snap", "ls", "--all", a.String())); strings.Contains(all, "group") {
				t.Errorf("%s, %d adopted: left\n%s", who, len(adopted), all)
			}
			for _, spec := range []rbd.ImageSpec{a, b, s.image("group.g")} {
				if rbd.HasIntent(t, s.images, spec) {
					t.Errorf("%s, %d adopted: an intent of %s is left", who, len(adopted), spec)
				}
			}
		}
	}
	// One that was complete, when a process died that had asked for it once more.
	o := rbd.GroupSnapshot{Name: "gs", Members: []rbd.SnapSpec{a.At("s"), b.At("s")}}
	_, err := s.images.SnapshotGroup(t.Context(), g, o)
	s.must(err)
	rbd.LeaveDeed(t, s.images, s.image("group.g"), rbd.Deed{Op: "group snap create", Snap: "gs"}, "127.0.0.1:0/7")
	if created, err := s.images.SnapshotGroup(t.Context(), g, o); err != nil || created {
		t.Errorf("SnapshotGroup = %t, %v, want it there", created, err)
	}
	s.must(s.images.DeleteSnapshot(t.Context(), a.At("s")))
	_, err = s.images.SnapshotGroup(t.Context(), g, o)
	s.is(err, rbd.ErrExists)
	s.must(s.images.DeleteSnapshot(t.Context(), b.At("s")))
}

// leaveGroupSnapshot leaves a group's snapshot as a process does that is killed while
// it takes it: with ordinary snapshots of some images, and its intents.
func (s space) leaveGroupSnapshot(g rbd.GroupSpec, adopted ...rbd.ImageSpec) {
	s.Helper()
	const dead = "127.0.0.1:0/7"
	labtest.RBD(s.TB, "group", "snap", "create", g.String()+"@gs")
	members, err := s.images.GroupMembers(s.Context(), g)
	s.must(err)
	var snaps []string
	for _, spec := range members {
		snaps = append(snaps, spec.Image+"@s")
		if slices.Contains(adopted, spec) {
			_, err := s.images.EnsureSnapshot(s.Context(), spec.At("s"), rbd.SnapOptions{Protect: true})
			s.must(err)
		}
		rbd.LeaveDeed(s.TB, s.images, spec, rbd.Deed{Op: "group member", Snap: "s", Other: "group.g"}, dead)
	}
	rbd.LeaveDeed(s.TB, s.images, s.image("group.g"), rbd.Deed{Op: "group snap create", Snap: "gs", Snaps: snaps}, dead)
}

// TestGroupAtOnce: the same snapshot asked for by two clients at once, while others
// change its images, is taken once, and nobody waits for ever.
func TestGroupAtOnce(t *testing.T) {
	s := newSpace(t)
	g := s.grouped("g", "a", "b", "c")
	clients := []*rbd.Images{s.images, rbd.NewImages(dial(t))}
	for round := range 3 {
		var o rbd.GroupSnapshot
		o.Name = "gs"
		for _, name := range []string{"a", "b", "c"} {
			o.Members = append(o.Members, s.image(name).At(fmt.Sprint("s", round)))
		}
		var created atomic.Int64
		var group errgroup.Group
		for _, m := range clients {
			group.Go(func() error {
				made, err := m.SnapshotGroup(t.Context(), g, o)
				if made {
					created.Add(1)
				}
				return err
			})
			group.Go(func() error {
				_, err := m.Extend(t.Context(), s.image("b"), uint64(9+round)<<20)
				return err
			})
			group.Go(func() error {
				return m.ChangeGroup(t.Context(), g, rbd.GroupChange{Add: []rbd.ImageSpec{s.image("c")}})
			})
		}
		s.must(group.Wait())
		if n := created.Load(); n != 1 {
			t.Errorf("%d clients took the snapshot, want one", n)
		}
		for _, snap := range o.Members {
			s.must(s.images.DeleteSnapshot(t.Context(), snap))
		}
	}
}

// TestGroupSnapshotDuringFlatten: it stops a flatten of one of its images, which then
// goes on.
func TestGroupSnapshotDuringFlatten(t *testing.T) {
	s := inPool(t)
	slow := s.slowOf("c", 4<<20)
	g := s.grouped("g", "d")
	s.must(s.images.ChangeGroup(t.Context(), g, rbd.GroupChange{Add: []rbd.ImageSpec{slow}}))
	sum := s.digest(slow.At(""))
	job, err := s.images.StartFlatten(t.Context(), slow)
	s.must(err)
	stop := s.work(rbd.NewImages(dial(t)))
	defer stop()
	s.until(job.ID, in(rbd.JobRunning))
	for n := range 2 {
		snaps := []rbd.SnapSpec{slow.At(fmt.Sprint("s", n)), s.image("d").At(fmt.Sprint("s", n))}
		_, err = s.images.SnapshotGroup(t.Context(), g, rbd.GroupSnapshot{Name: "gs", Members: snaps, Protect: true})
		s.must(err)
		if got := s.digest(snaps[0]); got != sum {
			t.Errorf("the snapshot reads as %s, want %s", got, sum)
		}
	}
	s.until(job.ID, in(rbd.JobDone))
	if s.stat(slow).Parent != nil || s.digest(slow.At("")) != sum {
		t.Error("the clone has its parent still, or reads otherwise")
	}
}

// TestDeleteOfAMemberAtQuota: to leave a group takes no space.
func TestDeleteOfAMemberAtQuota(t *testing.T) {
	s := inPool(t)
	g := s.grouped("g", "a", "b")
	s.golden("filling")
	labtest.Ceph(t, "osd", "pool", "set-quota", s.pool, "max_bytes", "4194304")
	waitForFull(t, s.pool, true)
	s.delete("a")
	if got := s.members(g); !slices.Equal(got, []string{"b"}) {
		t.Errorf("members = %v, want b", got)
	}
	if p := s.purge(rbd.PurgeOptions{}); len(p.Removed) != 1 {
		t.Errorf("Purge = %+v, want a removed", p)
	}
	labtest.Ceph(t, "osd", "pool", "set-quota", s.pool, "max_bytes", "0")
	waitForFull(t, s.pool, false)
}
