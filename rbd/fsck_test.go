package rbd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// findings are the classes and objects that Fsck finds, with "!" for what it can
// repair.
func (s space) findings(repair bool) []string {
	s.Helper()
	found, err := s.images.Fsck(s.Context(), []string{s.pool}, repair)
	s.must(err)
	var lines []string
	for _, f := range found {
		line := f.Class + " " + strings.ReplaceAll(f.Object, s.pool+"/", "")
		if f.Repairable {
			line += " !"
		}
		if f.Pool != s.pool || f.Detail == "" {
			s.Errorf("%+v", f)
		}
		lines = append(lines, line)
	}
	return lines
}

func (s space) rados(args ...string) {
	s.Helper()
	labtest.Tool(s.TB, "rados", append([]string{"-p", s.pool}, args...)...)
}

// TestFsckOfWhatIsWell: a pool in every state that operations leave it in.
func TestFsckOfWhatIsWell(t *testing.T) {
	s := inPool(t)
	s.must(labtest.Cluster(t).CreateNamespace(t.Context(), s.pool, "ns"))
	v := s.golden("v").ImageSpec
	s.cloneOf("v", "snap", "clone", rbd.CloneV1)
	s.cloneOf("v", "two.clone_snap", "two", rbd.CloneV2)
	_, err := s.images.EnsureSnapshot(t.Context(), v.At("soon.clone_snap"), rbd.SnapOptions{})
	s.must(err)
	s.must(s.images.DeleteSnapshot(t.Context(), v.At("snap")))
	s.blank("gone")
	s.delete("gone")
	s.delete("v")
	s.must(s.images.TrashMove(t.Context(), s.blank("foreign"), 0))
	inside := s
	inside.ns = "ns"
	inside.golden("other")
	inside.blank("w")
	inside.delete("w")
	rbd.LeaveIntent(t, s.images, s.image("busy"), "", "", true) // by a process that lives
	if found := s.findings(false); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	if names := s.deleted(); !slices.Equal(names, []string{"gone", "v", "w"}) {
		t.Errorf("deleted = %v", names)
	}
}

// TestFsckFindsDebris of each class; repair takes away what is ours.
func TestFsckFindsDebris(t *testing.T) {
	s := inPool(t)
	dead := "127.0.0.1:0/7"
	file := t.TempDir() + "/x"
	v := s.golden("v").ImageSpec
	s.rados("get", "rbd_info", file)
	for _, oid := range []string{"rbd_data.dead.0000000000000000", "rbd_data.9999.beef.0000000000000000", "rbd_header.dead2", "rbd_object_map.dead3", "stray", "rbd_id.bare"} {
		s.rados("put", oid, file)
	}
	s.rados("-N", "rbdctl", "put", "stray", file)
	// Images whose header, or whose id, is gone.
	s.rados("rm", "rbd_header."+s.stat(s.blank("headless")).ID)
	s.blank("nameless")
	s.rados("rm", "rbd_id.nameless")
	// A second name.
	copyID(s, "v", "alias")
	// A snapshot that nobody noted, as another driver leaves it, and one of ours.
	s.cloneOf("v", "ours.clone_snap", "ours", rbd.CloneV1)
	s.must(s.images.Flatten(t.Context(), s.image("ours"), nil))
	s.must(s.images.CreateSnapshot(t.Context(), v.At("headless.clone_snap")))
	// One that librbd was killed over while it removed it.
	_, err := s.images.EnsureSnapshot(t.Context(), v.At("other"), rbd.SnapOptions{})
	s.must(err)
	other, _ := s.stat(v).Snapshot("other")
	rbd.HalfUnsnap(t, s.images, v.At("other"))
	// Marks and notes of what is gone.
	stale := s.blank("stale")
	staleID := s.stat(stale).ID
	rbd.LeaveMark(t, s.images, stale)
	half := s.blank("half")
	halfID := s.stat(half).ID
	s.must(s.images.Delete(t.Context(), half, rbd.DeleteOptions{}))
	s.rados("rm", "rbd_header."+halfID)
	// What dead owners left: a rename, and a clone that was not finished.
	a := s.blank("a")
	copyID(s, "a", "b")
	rbd.LeaveDeed(t, s.images, a, rbd.Deed{Op: "rename", Other: "b"}, dead)
	rbd.LeaveDeed(t, s.images, s.image("b"), rbd.Deed{Op: "rename to", Other: "a"}, dead)
	s.must(s.images.Create(t.Context(), s.image("begun"), 8<<20, rbd.CreateOptions{}))
	rbd.LeaveIntent(t, s.images, s.image("begun"), "", dead, false)

	foreign := []string{
		"double-name rbd_id.alias",
		"half-made bare",
		"half-made headless",
		"half-made nameless",
		fmt.Sprintf("half-removed-snap v@%d", other.ID),
		"orphan-clone-snap v@headless.clone_snap",
		"orphan-data rbd_data.9999.beef",
		"orphan-data rbd_data.dead",
		"orphan-header rbd_header.dead2",
		"orphan-object-map rbd_object_map.dead3",
		"unknown-object rbdctl/stray",
		"unknown-object stray",
	}
	ours := []string{
		"double-name rbd_id.b !",
		"half-removed trash." + halfID + " !",
		"orphan-clone-snap v@ours.clone_snap !",
		"orphan-intent intent.a !",
		"orphan-intent intent.b !",
		"orphan-intent intent.begun !",
		"stale-mark trash." + staleID + " !",
	}
	all := slices.Sorted(slices.Values(slices.Concat(foreign, ours)))
	for _, repair := range []bool{false, true} {
		found := s.findings(repair)
		slices.Sort(found)
		if diff := cmp.Diff(all, found); diff != "" {
			t.Errorf("repair %t: -want +found:\n%s", repair, diff)
		}
	}
	if diff := cmp.Diff(foreign, s.findings(false)); diff != "" {
		t.Errorf("after the repair: -want +found:\n%s", diff)
	}
	names := s.names()
	slices.Sort(names)
	if want := []string{"b", "headless", "nameless", "ours", "stale", "v"}; !slices.Equal(names, want) {
		t.Errorf("images = %v, want %v", names, want)
	}
	labtest.RBD(t, "snap", "rm", "--snap-id", fmt.Sprint(other.ID), v.String()) // as it says
	if found := s.findings(false); slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "half-removed-snap") }) {
		t.Errorf("found %v", found)
	}
	// Deletion clears away what is half made.
	for _, name := range []string{"headless", "nameless"} {
		s.delete(name)
	}
	if names := s.names(); slices.Contains(names, "headless") || slices.Contains(names, "nameless") {
		t.Errorf("images = %v", names)
	}
}

func TestFsckFindsALostParent(t *testing.T) {
	s := inPool(t)
	s.golden("v")
	s.cloneOf("v", "snap", "clone", rbd.CloneV1)
	s.rados("rm", "rbd_header."+s.stat(s.image("v")).ID)
	if diff := cmp.Diff([]string{"half-made v", "lost-parent clone"}, s.findings(false)); diff != "" {
		t.Errorf("-want +found:\n%s", diff)
	}
}
