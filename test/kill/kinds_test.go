package kill_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
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
	want    func(f *family) map[string]volume // what there is afterwards, by id

	also func(s *stage, f *family) error // what else is to hold; nil: nothing
}

// volume is what one is to be.
type volume struct {
	size    int
	parent  string // as pool/image@snapshot, or a pattern of that; empty: it has none
	content []byte // zeroes follow
}

// family is the volumes of one attempt.
type family struct {
	*stage
	source, made, third string // volumes
	snapshot            string
	group, other        string // group, and snapshot of the volume made
	trashed             string // RBD's id of the source
}

func newFamily(s *stage) *family {
	return &family{stage: s, source: uuid.NewString(), made: uuid.NewString(), third: uuid.NewString(), snapshot: uuid.NewString(), group: uuid.NewString(), other: uuid.NewString()}
}

const (
	size  = 32 << 20
	grown = 48 << 20
)

// preparation makes, through a healthy sidecar, what a request is about.
type preparation func(t testing.TB, c *sidecar, f *family)

// makeSource makes a volume whose content no other has.
func makeSource(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	c.must(t, http.MethodPut, f.sourcePath(), fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"image","id":%q}}`, size, f.golden), http.StatusCreated)
	c.must(t, http.MethodPut, f.sourcePath()+"/data", sectors(f.source), http.StatusOK)
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

// makeOutlived makes a clone that was deleted, and stays for a clone of its own; what it was
// cloned from has changed since.
func makeOutlived(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeClone(t, c, f)
	c.must(t, http.MethodPut, "/v1/volumes/"+f.third, fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"volume","id":%q}}`, size, f.made), http.StatusCreated)
	c.must(t, http.MethodDelete, f.madePath(), "", http.StatusNoContent)
	c.must(t, http.MethodPut, f.sourcePath()+"/data", f.text(), http.StatusOK)
}

func makeCopy(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSnapshot(t, c, f)
	c.must(t, http.MethodPut, f.madePath(), f.copied(), http.StatusCreated)
}

// makeChanged makes a volume that differs from its snapshot.
func makeChanged(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSnapshot(t, c, f)
	c.must(t, http.MethodPut, f.sourcePath()+"/data", f.text(), http.StatusOK)
}

// makeForeign makes an image that is no volume of Cinder's.
func makeForeign(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSource(t, c, f)
	f.rbd("rename", f.image(f.source), f.volumes+"/foreign-"+f.source)
}

func makeForeignSnapshot(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSource(t, c, f)
	f.rbd("snap", "create", "--no-progress", f.image(f.source)+"@foreign")
}

func makeMultiattach(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSource(t, c, f)
	c.must(t, http.MethodPut, f.sourcePath()+"/multiattach", `{"enabled":true}`, http.StatusOK)
}

// makeDeleted makes a volume that was deleted, and stays for its clone.
func makeDeleted(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeClone(t, c, f)
	var info struct{ ID string }
	if err := json.Unmarshal([]byte(f.rbd("info", "--format", "json", f.image(f.source))), &info); err != nil {
		t.Fatal(err)
	}
	f.trashed = info.ID
	c.must(t, http.MethodDelete, f.sourcePath(), "", http.StatusNoContent)
}

// makePrepared makes a volume of a group, with the snapshot for its clone.
func makePrepared(t testing.TB, c *sidecar, f *family) {
	t.Helper()
	makeSource(t, c, f)
	c.must(t, http.MethodPut, f.groupPath(), "", http.StatusCreated)
	c.must(t, http.MethodPost, f.groupPath()+"/update", fmt.Sprintf(`{"add":[%q]}`, f.source), http.StatusOK)
	c.must(t, http.MethodPost, f.groupPath()+"/prepare-clone", fmt.Sprintf(`{"id":%q,"volumes":[{"id":%q,"source_id":%q}]}`, f.other, f.made, f.source), http.StatusNoContent)
}

func nothing(testing.TB, *sidecar, *family) {}

// image is that of a volume, as pool/image.
func (f *family) image(id string) string { return f.volumes + "/volume-" + id }

// sectors is text that can be written to a volume.
func sectors(text string) string { return strings.Repeat(text, 512/4) }

// text is what is written over a volume.
func (f *family) text() string { return strings.Repeat(sectors(f.third), 64) }

// copied asks for a volume of a snapshot.
func (f *family) copied() string {
	return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"snapshot","id":%q,"volume_id":%q}}`, size, f.snapshot, f.source)
}

// The paths of a family.
func (f *family) sourcePath() string   { return "/v1/volumes/" + f.source }
func (f *family) madePath() string     { return "/v1/volumes/" + f.made }
func (f *family) snapshotPath() string { return f.sourcePath() + "/snapshots/" + f.snapshot }

// What there is afterwards.
func (f *family) theSource() map[string]volume {
	return map[string]volume{f.source: f.ofImage(sectors(f.source))}
}
func (f *family) theImages() map[string]volume  { return map[string]volume{f.made: f.ofImage("")} }
func (f *family) theBlank() map[string]volume   { return map[string]volume{f.made: {size: size}} }
func (f *family) theVolumes() map[string]volume { return map[string]volume{f.made: f.cloned()} }
func (f *family) theRenamed() map[string]volume {
	return map[string]volume{f.third: f.ofImage(sectors(f.source))}
}

func (f *family) theAdopted() map[string]volume {
	return map[string]volume{f.made: f.ofImage(sectors(f.source))}
}

func (f *family) theWritten() map[string]volume {
	return map[string]volume{f.source: f.ofImage(f.text())}
}
func (f *family) none() map[string]volume        { return nil }
func (f *family) withBlank() map[string]volume   { return f.beside(volume{size: size}) }
func (f *family) withVolumes() map[string]volume { return f.beside(f.cloned()) }
func (f *family) withCopy() map[string]volume    { return f.beside(f.of("snapshot-" + f.snapshot)) }
func (f *family) withLasting() map[string]volume { return f.beside(f.of("rbdctl-deleted-*")) }

// theRestored are the source, by another name, and its clone.
func (f *family) theRestored() map[string]volume {
	made := f.cloned()
	made.parent = f.image(f.third) + "@volume-" + f.made + ".clone_snap"
	return map[string]volume{f.third: f.ofImage(sectors(f.source)), f.made: made}
}

func (f *family) theGrown() map[string]volume {
	v := f.ofImage(sectors(f.source))
	v.size = grown
	return map[string]volume{f.source: v}
}

// theRemade are the changed source, a clone of that, and a clone of the clone before.
func (f *family) theRemade() map[string]volume {
	made, third := f.cloned(), f.cloned()
	made.content = f.ofImage(f.text()).content
	third.parent = f.image(f.made) + "@volume-" + f.third + ".clone_snap"
	return map[string]volume{f.source: f.ofImage(f.text()), f.made: made, f.third: third}
}

// beside is the source, and a volume made.
func (f *family) beside(made volume) map[string]volume {
	return map[string]volume{f.source: f.ofImage(sectors(f.source)), f.made: made}
}

// ofImage is a clone of the golden image, of which text has been written over the
// beginning.
func (f *family) ofImage(text string) volume {
	return volume{size, f.images + "/" + f.golden + "@snap", append([]byte(text), f.content[len(text):]...)}
}

// of is a clone of a snapshot of the source.
func (f *family) of(snapshot string) volume {
	return volume{size, f.image(f.source) + "@" + snapshot, f.ofImage(sectors(f.source)).content}
}

// cloned is a clone of the source as it was.
func (f *family) cloned() volume { return f.of("volume-" + f.made + ".clone_snap") }

func requests() []request {
	return slices.Concat(creations(), changes(), settings(), groups())
}

func creations() []request {
	from := func(kind string, id func(*family) string) func(*family) string {
		return func(f *family) string {
			return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":%q,"id":%q}}`, size, kind, id(f))
		}
	}
	image := from("image", func(f *family) string { return f.golden })
	volumes := from("volume", func(f *family) string { return f.source })
	empty := func(*family) string { return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"empty"}}`, size) }
	put := func(name, inside string, prepare preparation, body func(*family) string, want func(*family) map[string]volume) request {
		return request{
			name: name, inside: inside, prepare: prepare, method: http.MethodPut, path: (*family).madePath, body: body,
			accept: []int{http.StatusCreated, http.StatusOK}, want: want,
		}
	}
	limited := func(*family) string {
		return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"empty"},"qos":{"total_iops_sec":"100"},"multiattach":true}`, size)
	}
	prepared := func(f *family) string {
		return fmt.Sprintf(`{"size_bytes":%d,"source":{"kind":"volume","id":%q,"prepared":true}}`, size, f.source)
	}
	withLimits := put("create with limits", "rbd_metadata_set", nothing, limited, (*family).theBlank)
	withLimits.also = func(s *stage, f *family) error {
		of := *f
		of.source = f.made
		return errors.Join(shows("100", "image-meta", "list")(true)(s, &of), shows("exclusive-lock", "info")(false)(s, &of))
	}
	return []request{
		put("create empty", "rbd_create4", nothing, empty, (*family).theBlank),
		withLimits,
		put("create a prepared clone", "rbd_clone3", makePrepared, prepared, (*family).withVolumes),
		put("create from image", "rbd_clone3", nothing, image, (*family).theImages),
		put("create from snapshot", "rbd_clone3", makeSnapshot, (*family).copied, (*family).withCopy),
		put("create from volume", "rbd_clone3", makeSource, volumes, (*family).withVolumes),
		put("create from volume again", "rbd_snap_rename", makeOutlived, volumes, (*family).theRemade),
	}
}

// The statuses that requests accept.
var (
	made = []int{http.StatusCreated, http.StatusOK}
	done = []int{http.StatusOK}
	gone = []int{http.StatusNoContent} // or changed
)

func no(*family) string { return "" }

func changes() []request {
	extend := func(f *family) string { return f.sourcePath() + "/extend" }
	rename := func(f *family) string { return f.sourcePath() + "/rename" }
	revert := func(f *family) string { return f.sourcePath() + "/revert" }
	restore := func(f *family) string { return "/v1/trash/" + f.trashed + "/restore" }
	release := func(f *family) string { return f.snapshotPath() + "/release" }
	bigger := func(*family) string { return fmt.Sprintf(`{"size_bytes":%d}`, grown) }
	third := func(f *family) string { return fmt.Sprintf(`{"id":%q}`, f.third) }
	source := func(f *family) string { return fmt.Sprintf(`{"id":%q}`, f.source) }
	snapshot := func(f *family) string { return fmt.Sprintf(`{"snapshot_id":%q}`, f.snapshot) }
	kept := hasSnaps(func(f *family) string { return "snapshot-" + f.snapshot })
	lasting := hasSnaps(func(*family) string { return "rbdctl-deleted-*" })
	return []request{
		{"create snapshot", "rbd_snap_create", makeSource, http.MethodPut, (*family).snapshotPath, no, made, (*family).theSource, kept},
		{"delete snapshot", "rbd_snap_remove", makeSnapshot, http.MethodDelete, (*family).snapshotPath, no, gone, (*family).theSource, hasSnaps()},
		{"delete a snapshot that has a clone", "rbd_snap_rename", makeCopy, http.MethodDelete, (*family).snapshotPath, no, gone, (*family).withLasting, lasting},
		{"release snapshot", "rbd_snap_unprotect", makeSnapshot, http.MethodPost, release, no, gone, (*family).theSource, loose},
		{"extend", "rbd_resize2", makeSource, http.MethodPost, extend, bigger, done, (*family).theGrown, nil},
		{"revert", "rbd_snap_rollback", makeChanged, http.MethodPost, revert, snapshot, done, (*family).theSource, kept},
		{"rename", "rbd_rename", makeSource, http.MethodPost, rename, third, done, (*family).theRenamed, nil},
		{"delete", "rbd.trash_add", makeSource, http.MethodDelete, (*family).sourcePath, no, gone, (*family).none, nil},
		{"delete a clone", "rbd.trash_add", makeClone, http.MethodDelete, (*family).madePath, no, gone, (*family).theSource, nil},
		{"delete what has a clone", "rbd.trash_add", makeClone, http.MethodDelete, (*family).sourcePath, no, gone, (*family).theVolumes, nil},
		{"restore", "rbd_trash_restore", makeDeleted, http.MethodPost, restore, source, gone, (*family).withVolumes, nil},
		{"restore by another name", "rbd_trash_restore", makeDeleted, http.MethodPost, restore, third, gone, (*family).theRestored, nil},
	}
}

// settings are the requests that leave the volumes and their snapshots as they are, but
// for names, settings and content.
func settings() []request {
	adopt := func(f *family) string { return f.madePath() + "/adopt" }
	adoptSnapshot := func(f *family) string { return f.snapshotPath() + "/adopt" }
	qos := func(f *family) string { return f.sourcePath() + "/qos" }
	multiattach := func(f *family) string { return f.sourcePath() + "/multiattach" }
	data := func(f *family) string { return f.sourcePath() + "/data" }
	foreign := func(f *family) string { return fmt.Sprintf(`{"name":"foreign-%s"}`, f.source) }
	is := func(text string) func(*family) string { return func(*family) string { return text } }
	kept := hasSnaps(func(f *family) string { return "snapshot-" + f.snapshot })
	limit := shows("100", "image-meta", "list")
	lock := shows("exclusive-lock", "info")
	return []request{
		{"adopt", "rbd_rename", makeForeign, http.MethodPost, adopt, foreign, done, (*family).theAdopted, nil},
		{"adopt snapshot", "rbd_snap_rename", makeForeignSnapshot, http.MethodPost, adoptSnapshot, is(`{"name":"foreign"}`), gone, (*family).theSource, kept},
		{"set limits", "rbd_metadata_set", makeSource, http.MethodPut, qos, is(`{"qos":{"total_iops_sec":"100"}}`), gone, (*family).theSource, limit(true)},
		{"multiattach", "rbd_update_features", makeSource, http.MethodPut, multiattach, is(`{"enabled":true}`), done, (*family).theSource, lock(false)},
		{"attach to one", "rbd_update_features", makeMultiattach, http.MethodPut, multiattach, is(`{"enabled":false}`), done, (*family).theSource, lock(true)},
		{"write", "rbd_write", makeSource, http.MethodPut, data, (*family).text, done, (*family).theWritten, nil},
	}
}

// shows tells whether what the rbd tool says of the source of a family has a word in it.
func shows(word string, args ...string) func(there bool) func(*stage, *family) error {
	return func(there bool) func(*stage, *family) error {
		return func(s *stage, f *family) error {
			if said := s.rbd(append(args, f.image(f.source))...); strings.Contains(said, word) != there {
				return fmt.Errorf("of volume %s, rbd %s shows %q: %v, want %v: %s", f.source, args, word, !there, there, said)
			}
			return nil
		}
	}
}

// loose tells whether the snapshot of the source is there, and anybody may remove it.
func loose(s *stage, f *family) error {
	text := s.rbd("snap", "ls", "--format", "json", f.image(f.source))
	if !strings.Contains(text, "snapshot-"+f.snapshot) || !strings.Contains(text, `"protected":"false"`) {
		return fmt.Errorf("volume %s has the snapshots %s", f.source, text)
	}
	return nil
}

// hasSnaps tells whether the source of a family has just the snapshots whose names match
// these patterns, each of Cinder's protected. A half removed one counts, too.
func hasSnaps(patterns ...func(*family) string) func(*stage, *family) error {
	return func(s *stage, f *family) error {
		text := s.rbd("snap", "ls", "--all", "--format", "json", f.image(f.source))
		var snaps []struct{ Name, Protected string }
		if err := json.Unmarshal([]byte(text), &snaps); err != nil {
			return err
		}
		right := len(snaps) == len(patterns)
		for i := range min(len(snaps), len(patterns)) {
			same, err := path.Match(patterns[i](f), snaps[i].Name)
			right = right && same && err == nil && (snaps[i].Protected == "true" || !strings.HasPrefix(snaps[i].Name, "snapshot-"))
		}
		if !right {
			return fmt.Errorf("volume %s has the snapshots %s", f.source, text)
		}
		return nil
	}
}
