package kill_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
)

// groups are the requests that are about a group of volumes.
func groups() []request {
	update := func(f *family) string { return f.groupPath() + "/update" }
	add := func(f *family) string { return fmt.Sprintf(`{"add":[%q,%q]}`, f.source, f.made) }
	remove := func(f *family) string { return fmt.Sprintf(`{"remove":[%q]}`, f.source) }
	prepare := func(f *family) string { return f.groupPath() + "/prepare-clone" }
	return []request{
		{"create group", "rbd_group_create", nothing, http.MethodPut, (*family).groupPath, no, made, (*family).none, hasMembers(0)},
		{"add to group", "rbd_group_image_add", makeEmptyGroup, http.MethodPost, update, add, done, (*family).withBlank, hasMembers(2)},
		{"remove from group", "rbd_group_image_remove", makeGroup, http.MethodPost, update, remove, done, (*family).withBlank, hasMembers(1)},
		{"delete group", "rbd_group_remove", makeGroup, http.MethodDelete, (*family).groupPath, no, gone, (*family).withBlank, noGroup},
		{"delete a member", "rbd_group_image_remove", makeGroup, http.MethodDelete, (*family).sourcePath, no, gone, (*family).theBlank, hasMembers(1)},
		{"create group snapshot", "rbd_group_snap_create", makeGroup, http.MethodPut, (*family).groupSnapshotPath, (*family).members, made, (*family).withBlank, hasSnapshots(2)},
		{"delete group snapshot", "rbd_snap_remove", makeGroupSnapshot, http.MethodDelete, (*family).groupSnapshotPath, (*family).members, gone, (*family).withBlank, hasSnapshots(0)},
		{"prepare group clone", "rbd_group_snap_create", makeGroup, http.MethodPost, prepare, (*family).copies, gone, (*family).withBlank, hasCloneSnaps},
	}
}

// TestDeletedWhileItJoins: a volume that a dead sidecar was putting into a group, and
// that is then deleted, is gone from the group, too. librbd cannot list a group of
// which an image is gone.
func TestDeletedWhileItJoins(t *testing.T) {
	s := newStage(t)
	other := s.tidy(t)
	remove := request{method: http.MethodDelete, path: (*family).sourcePath, body: no, accept: gone, want: (*family).theBlank, also: listsAll}
	for _, r := range groups() {
		if r.inside == "rbd_group_image_add" {
			s.strikeInside(t, other, r, remove)
		}
	}
	// Nobody has come back to the groups: what was begun at them is ended in the background.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		if !slices.ContainsFunc(s.objects(s.volumes), func(o string) bool { return strings.HasPrefix(o, "rbdctl/intent.") }) {
			break
		}
	}
	s.fsck(t)
	s.emptied(t, other)
}

// groupSnapshots take a group's snapshot, and are struck in other calls of the same
// request.
func groupSnapshots() []request {
	var again []request
	for _, r := range groups() {
		if r.name != "create group snapshot" {
			continue
		}
		for _, inside := range []string{"rados_notify2", "rbd_group_snap_remove"} {
			r.name, r.inside = "group snapshot, in "+inside, inside
			again = append(again, r)
		}
	}
	return again
}

func (f *family) groupPath() string         { return "/v1/groups/" + f.group }
func (f *family) groupSnapshotPath() string { return f.groupPath() + "/snapshots/" + f.third }

func (f *family) members() string {
	return fmt.Sprintf(`{"snapshots":[{"id":%q,"volume_id":%q},{"id":%q,"volume_id":%q}]}`, f.snapshot, f.source, f.other, f.made)
}

// copies are the clones that a new group is to have.
func (f *family) copies() string {
	return fmt.Sprintf(`{"id":%q,"volumes":[{"id":%q,"source_id":%q},{"id":%q,"source_id":%q}]}`, f.third, f.snapshot, f.source, f.other, f.made)
}

// hasCloneSnaps tells whether the volumes of a group have the snapshots for their clones.
func hasCloneSnaps(s *stage, f *family) error {
	of := *f
	of.source = f.made
	return errors.Join(hasMembers(2)(s, f), hasSnapshots(0)(s, f),
		hasSnaps(func(f *family) string { return "volume-" + f.snapshot + ".clone_snap" })(s, f),
		hasSnaps(func(f *family) string { return "volume-" + f.other + ".clone_snap" })(s, &of))
}

func makeEmptyGroup(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSource(t, c, f)
	c.must(t, http.MethodPut, f.madePath(), fmt.Sprintf(`{"size_bytes":%d}`, size), http.StatusCreated)
	c.must(t, http.MethodPut, f.groupPath(), "", http.StatusCreated)
}

func makeGroup(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeEmptyGroup(t, c, f)
	c.must(t, http.MethodPost, f.groupPath()+"/update", fmt.Sprintf(`{"add":[%q,%q]}`, f.source, f.made), http.StatusOK)
}

func makeGroupSnapshot(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeGroup(t, c, f)
	c.must(t, http.MethodPut, f.groupSnapshotPath(), f.members(), http.StatusCreated)
}

// hasMembers tells whether the group of a family has so many volumes.
func hasMembers(n int) func(*stage, *family) error {
	return func(s *stage, f *family) error {
		list := s.rbd("group", "image", "ls", s.volumes+"/group-"+f.group)
		if got := strings.Count(list, "volume-"); got != n {
			return fmt.Errorf("group %s has %d volumes, want %d: %s", f.group, got, n, list)
		}
		return nil
	}
}

// listsAll tells whether the group of a family knows just those volumes that it lists.
// Both are asked for again as long as they differ: what was begun at the group may be
// ended in between.
func listsAll(s *stage, f *family) error {
	key := "name_group-" + f.group
	file := filepath.Join(s.TempDir(), key)
	labtest.Tool(s, "rados", "-p", s.volumes, "getomapval", "rbd_group_directory", key, file)
	id, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var knows, lists int
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		keys := string(labtest.Tool(s, "rados", "-p", s.volumes, "listomapkeys", "rbd_group_header."+string(id[4:])))
		list := s.rbd("group", "image", "ls", s.volumes+"/group-"+f.group)
		if knows, lists = strings.Count(keys, "image_"), strings.Count(list, "volume-"); knows == lists {
			return nil
		}
	}
	return fmt.Errorf("group %s knows %d volumes, and lists %d", f.group, knows, lists)
}

func noGroup(s *stage, f *family) error {
	if list := s.rbd("group", "ls", s.volumes); strings.Contains(list, f.group) {
		return fmt.Errorf("group %s is still there", f.group)
	}
	return nil
}

// hasSnapshots tells whether so many snapshots of a family are there, each as any
// other, and nothing of the group's.
func hasSnapshots(n int) func(*stage, *family) error {
	return func(s *stage, f *family) error {
		got := 0
		for _, volume := range []string{f.source, f.made} {
			list := s.rbd("snap", "ls", "--all", s.volumes+"/volume-"+volume)
			for line := range strings.Lines(list) {
				if strings.Contains(line, "snapshot-") && strings.Contains(line, "yes") && strings.Contains(line, "user") {
					got++
				}
			}
			if strings.Contains(list, "group") || strings.Contains(list, "trash") {
				return fmt.Errorf("volume %s has a part of a group's snapshot, or half a snapshot:\n%s", volume, list)
			}
		}
		list := s.rbd("group", "snap", "ls", s.volumes+"/group-"+f.group)
		if got != n || strings.Contains(list, "group_snapshot") {
			return fmt.Errorf("group %s: %d snapshots, want %d; the group has %q", f.group, got, n, list)
		}
		return nil
	}
}

func (s *stage) rbd(args ...string) string { return string(labtest.RBD(s, args...)) }

// groups are the ids of the groups that are there.
func (s *stage) groups() []string {
	var ids []string
	for _, name := range strings.Fields(s.rbd("group", "ls", s.volumes)) {
		ids = append(ids, strings.TrimPrefix(name, "group-"))
	}
	return ids
}
