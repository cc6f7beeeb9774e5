package rbd_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestSettle: what dead processes began is brought to its end without anybody
// asking for their images again, and what may be at work is left.
func TestSettle(t *testing.T) {
	s := inPool(t)
	const dead = "127.0.0.1:0/11"
	// A purge that was killed just after another one had removed the image.
	rbd.LeaveDeed(t, s.images, rbd.Entry(s.pool, "", "beef"), rbd.Deed{Op: "purge"}, dead)
	// What was being made is undone, unless it is complete.
	s.must(s.images.Create(t.Context(), s.image("begun"), 8<<20, rbd.CreateOptions{}))
	rbd.LeaveIntent(t, s.images, s.image("begun"), "", dead, true)
	complete := s.golden("complete")
	rbd.LeaveDeed(t, s.images, complete.ImageSpec, rbd.Deed{Op: "import"}, dead)
	// A delete and a rename are carried out.
	s.blank("going")
	rbd.LeaveDeed(t, s.images, s.image("going"), rbd.Deed{Op: "delete"}, dead)
	id := s.stat(s.blank("a")).ID
	rbd.LeaveDeed(t, s.images, s.image("a"), rbd.Deed{Op: "rename", Other: "b"}, dead)
	rbd.LeaveDeed(t, s.images, s.image("b"), rbd.Deed{Op: "rename to", Other: "a"}, dead)
	// Of this process, which is not at it any more.
	rbd.LeaveOwn(t, s.images, s.image("own"), rbd.Deed{Op: "create"}, "127.0.0.1:0/14", true)
	rbd.LeaveFarDeed(t, s.images, s.image("far"), rbd.Deed{Op: "check"}, "127.0.0.1:0/12", time.Hour)
	// Left alone:
	rbd.LeaveIntent(t, s.images, s.image("busy"), "", "", true)
	rbd.LeaveFarDeed(t, s.images, s.image("stalled"), rbd.Deed{Op: "check"}, "127.0.0.1:0/13", rbd.Lease)
	s.rados("-N", "rbdctl", "create", "intent.stray")
	// A register whose last entry was taken by a process that was killed just then.
	s.rados("-N", "rbdctl", "create", "snaps")

	done, err := s.images.Settle(t.Context(), s.pool)
	s.must(err)
	// The rename holds both names, and may end either one with the other.
	for _, name := range []string{"trash.beef", "begun", "complete", "going", "own", "far"} {
		if !slices.Contains(done.Ended, s.image(name).String()) {
			t.Errorf("%s is not among the ended %v", name, done.Ended)
		}
	}
	if left := strings.Fields(s.journal()); !slices.Equal(slices.Sorted(slices.Values(left)), []string{
		"intent.busy", "intent.stalled", "intent.stray", "trash",
	}) || done.Left != 2 {
		t.Errorf("left %v, %d", left, done.Left)
	}
	if names := slices.Sorted(slices.Values(s.names())); !slices.Equal(names, []string{"b", "complete"}) || s.stat(s.image("b")).ID != id {
		t.Errorf("images = %v", names)
	}
	if names := s.deleted(); !slices.Equal(names, []string{"going"}) {
		t.Errorf("deleted = %v", names)
	}
	if done, err := s.images.Settle(t.Context(), s.pool); err != nil || len(done.Ended) > 0 || done.Left != 2 {
		t.Errorf("Settle once more = %+v, %v", done, err)
	}
}

// TestSettleLeavesWhatIsNotPermitted: to take over from a client it must be fenced,
// which an entity may not be allowed to, and it may not be allowed into the pool.
func TestSettleLeavesWhatIsNotPermitted(t *testing.T) {
	s := inPool(t)
	other := labtest.FreshPool(t)
	name := "client.test-" + uuid.NewString()
	key := labtest.Ceph(t, "auth", "get-or-create-key", name, "mon", "allow r", "osd", "allow rwx pool="+s.pool)
	t.Cleanup(func() { labtest.Ceph(t, "auth", "rm", name) })
	cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: name, Key: []byte(strings.TrimSpace(string(key)))})
	s.must(err)
	t.Cleanup(func() { s.must(cluster.Close()) })
	rbd.LeaveDeed(t, s.images, s.blank("v"), rbd.Deed{Op: "delete"}, "127.0.0.1:0/14")
	done, err := rbd.NewImages(cluster).Settle(t.Context(), s.pool)
	if err != nil || len(done.Ended) > 0 || done.Left != 1 {
		t.Errorf("Settle = %+v, %v, want the delete left", done, err)
	}
	if done, err := rbd.NewImages(cluster).Settle(t.Context(), other); err != nil || len(done.Ended) > 0 {
		t.Errorf("Settle of another pool = %+v, %v", done, err)
	}
	if names := s.names(); !slices.Equal(names, []string{"v"}) {
		t.Errorf("images = %v", names)
	}
}
