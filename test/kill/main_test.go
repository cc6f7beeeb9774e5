package kill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// workers is how many commands are killed at a time: the clone of one waits
// while another's dead watch ends.
const workers = 6

// stage is a pair of pools with a golden image in one of them.
type stage struct {
	testing.TB
	binary          string
	conf            string
	images, volumes string // pools
	golden          string // the Glance image's id
	file            string // is what the last image was imported from
	content         []byte
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{TB: t, conf: labtest.Conf(t), binary: labtest.Build(t, "failpoint"), images: labtest.FreshPool(t), volumes: labtest.FreshPool(t)}
	s.file = filepath.Join(t.TempDir(), "golden.raw")
	s.golden, s.content = s.newGolden(3)
	return s
}

// newGolden imports a Glance image; each seed has a content of its own.
func (s *stage) newGolden(seed byte) (id string, content []byte) {
	s.Helper()
	content = make([]byte, 12<<20)
	noise := rand.NewChaCha8([32]byte{seed})
	_, _ = noise.Read(content[:3<<20])
	_, _ = noise.Read(content[9<<20:])
	content[0] = 0 // no format's signature
	if err := os.WriteFile(s.file, content, 0o600); err != nil {
		s.Fatal(err)
	}
	id = uuid.NewString()
	if err := s.rbdctl(nil, s.importing(id)...); err != nil {
		s.Fatal(err)
	}
	return id, content
}

var errKilled = errors.New("killed")

// rbdctl runs one command; errKilled when it was struck.
func (s *stage) rbdctl(environment []string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := lab.Command(ctx, s.conf, s.binary, args...)
	cmd.Env = append(cmd.Env, environment...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && ctx.Err() == nil {
		return errKilled
	}
	if err != nil {
		return fmt.Errorf("rbdctl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func (s *stage) volume(id string) (string, []string) {
	return "volume-" + id, []string{"volume", "create", "--pool", s.volumes, "--image-pool", s.images, "--id", id, "--image", s.golden, "--size", "64M"}
}

func (s *stage) disk(id string) (string, []string) {
	return id + "_disk", []string{"disk", "create", "--pool", s.volumes, "--image-pool", s.images, "--instance", id, "--image", s.golden, "--size", "48M"}
}

func (s *stage) importing(id string) []string {
	return []string{"image", "import", "--pool", s.images, "--id", id, s.file}
}

func (s *stage) imported(id string) (string, []string) { return id, s.importing(id) }

// snapshotMap is the name of a snapshot's object map, which has the snapshot's id.
var snapshotMap = regexp.MustCompile(`^(/rbd_object_map\.ID\.)[0-9a-f]{16}$`)

// state is what is in the cluster of one image, by itself and in the objects,
// with its own id and times taken out.
func (s *stage) state(pool, image string) string {
	s.Helper()
	text := labtest.RBD(s, "info", "--format", "json", pool+"/"+image)
	var info map[string]any
	if err := json.Unmarshal(text, &info); err != nil {
		s.Fatal(err)
	}
	id := info["id"].(string)
	for _, changing := range []string{"id", "name", "block_name_prefix", "create_timestamp", "access_timestamp", "modify_timestamp"} {
		delete(info, changing)
	}
	plain, err := json.Marshal(info)
	if err != nil {
		s.Fatal(err)
	}
	snaps := labtest.RBD(s, "snap", "ls", "--format", "json", pool+"/"+image)
	lines := []string{string(plain)}
	for _, object := range s.objects(pool) {
		if strings.Contains(object, id) || strings.HasSuffix(object, "."+image) {
			object = strings.ReplaceAll(strings.ReplaceAll(object, id, "ID"), image, "NAME")
			lines = append(lines, snapshotMap.ReplaceAllString(object, "${1}SNAP"))
		}
	}
	slices.Sort(lines[1:])
	protected := fmt.Sprintf("%d snapshots, protected: %v", strings.Count(string(snaps), `"name"`), strings.Contains(string(snaps), `"protected":"true"`))
	return strings.Join(append(lines, protected), "\n")
}

// objects lists every object of a pool, as "namespace/name".
func (s *stage) objects(pool string) []string {
	s.Helper()
	var list []string
	for line := range strings.Lines(string(labtest.Tool(s, "rados", "-p", pool, "ls", "--all"))) {
		namespace, name, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		list = append(list, namespace+"/"+name)
	}
	slices.Sort(list)
	return list
}

// accounted fails the test for each object of a pool that belongs to none of the
// images that there should be.
func (s *stage) accounted(pool string, images []string) {
	s.Helper()
	ids := map[string]bool{}
	for _, image := range images {
		var info struct{ ID string }
		if err := json.Unmarshal(labtest.RBD(s, "info", "--format", "json", pool+"/"+image), &info); err != nil {
			s.Fatal(err)
		}
		ids[info.ID] = true
	}
	for _, object := range s.objects(pool) {
		name := strings.TrimPrefix(object, "/")
		if slices.Contains([]string{"rbd_directory", "rbd_info", "rbd_children", "rbd_trash"}, name) {
			continue
		}
		if image, ok := strings.CutPrefix(name, "rbd_id."); ok && slices.Contains(images, image) {
			continue
		}
		if fields := strings.Split(name, "."); len(fields) >= 2 && ids[fields[1]] {
			continue
		}
		s.Errorf("pool %s: object %q belongs to nothing", pool, object)
	}
	var listed []string
	if err := json.Unmarshal(labtest.RBD(s, "ls", "--format", "json", pool), &listed); err != nil {
		s.Fatal(err)
	}
	slices.Sort(listed)
	slices.Sort(images)
	if !slices.Equal(listed, images) {
		s.Errorf("pool %s lists %d images, want %d", pool, len(listed), len(images))
	}
	if trash := labtest.RBD(s, "trash", "ls", "--all", "--format", "json", pool); strings.TrimSpace(string(trash)) != "[]" {
		s.Errorf("pool %s has trash: %s", pool, trash)
	}
}

// children are the clones that the golden image knows of.
func (s *stage) children() []string {
	s.Helper()
	var children []struct{ Image string }
	if err := json.Unmarshal(labtest.RBD(s, "children", "--format", "json", s.images+"/"+s.golden+"@snap"), &children); err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, c := range children {
		names = append(names, c.Image)
	}
	slices.Sort(names)
	return names
}
