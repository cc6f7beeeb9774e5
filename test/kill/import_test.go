package kill_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
)

// importer is a pool in which one sidecar at a time makes volumes of a qcow2 image.
type importer struct {
	*stage
	image string // the Glance image's id
	sum   string // of a volume
}

const imported = 64 << 20 // bytes of a volume

// TestImportKilled kills sidecars that make a volume of a qcow2 image: at their native
// calls (each of them with RBDCTL_TEST_STRIDE=1), and inside those that make, fill and
// rename. Another sidecar finishes it. The volume holds what the image does, and at the
// end nothing is left.
func TestImportKilled(t *testing.T) {
	s := newStage(t)
	image, sum := s.qcow2(t)
	free := make(chan importer, 3)
	for range cap(free) {
		alone := *s
		alone.volumes = labtest.FreshPool(t)
		free <- importer{&alone, image, sum}
	}
	strikeJobs(t, free, importer.strike, "rbd_create4", "rbd_write", "rbd_flush", "rbd_metadata_set", "rbd_rename")
	for range cap(free) {
		alone := (<-free).stage
		lane{t, alone, alone}.emptied()
	}
}

// qcow2 stores the golden image's content as a compressed qcow2 image; it returns its id,
// and the digest of a volume of it.
func (s *stage) qcow2(t *testing.T) (id, sum string) {
	t.Helper()
	id = uuid.NewString()
	file := filepath.Join(t.TempDir(), "qcow2")
	labtest.Tool(t, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", s.file, file)
	labtest.RBD(t, "import", "--no-progress", "--dest-pool", s.images, file, id)
	labtest.RBD(t, "snap", "create", "--no-progress", s.images+"/"+id+"@snap")
	content, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.New()
	digest.Write(content)
	digest.Write(make([]byte, imported-len(content)))
	return id, hex.EncodeToString(digest.Sum(nil))
}

// strike has a volume made by a sidecar that kills itself, and then by another one.
func (i importer) strike(how string) (killed bool, err error) {
	id := uuid.NewString()
	victim := i.serve(i.TB, how)
	defer victim.kill()
	if err := os.WriteFile(victim.arm, nil, 0o600); err != nil {
		return false, err
	}
	if killed, err = i.imports(victim, id); !killed && err != nil {
		return false, fmt.Errorf("undisturbed: %w", err)
	}
	victim.kill()
	if killed {
		other := i.serve(i.TB)
		defer other.kill()
		if dead, err := i.imports(other, id); dead || err != nil {
			text, _ := os.ReadFile(victim.log)
			return true, fmt.Errorf("another sidecar, after %s: %w; the first one said %s", how, err, tail(text))
		}
	}
	return killed, i.holds(how, "volume-"+id)
}

// imports asks a sidecar for a volume and waits for the end of that, or of the sidecar.
func (i importer) imports(c *sidecar, id string) (dead bool, err error) {
	var a answer
	body := fmt.Sprintf(`{"image_id":%q,"format":"qcow2","size_bytes":%d}`, i.image, imported)
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		a, err = c.ask(i.Context(), http.MethodPost, "/v1/volumes/"+id+"/import", body)
		switch {
		case err != nil && c.dead():
			return true, err
		case err != nil:
			return false, err
		case a.status == http.StatusServiceUnavailable:
			continue
		case a.status != http.StatusAccepted:
			return false, fmt.Errorf("it answers %s", a)
		case a.body["state"] == "done":
			return false, nil
		}
	}
	return false, fmt.Errorf("it does not come to its end: %s", a)
}

// holds tells whether the volume is there and whole, and whether the pool has others
// than volumes.
func (i importer) holds(how, name string) error {
	var errs []error
	if got := i.digest(i.TB, name); got != i.sum {
		errs = append(errs, fmt.Errorf("after %s, %s reads otherwise", how, name))
	}
	list := strings.Fields(string(labtest.RBD(i, "ls", i.volumes)))
	if slices.ContainsFunc(list, func(n string) bool { return !strings.HasPrefix(n, "volume-") }) {
		errs = append(errs, fmt.Errorf("after %s, pool %s has %s", how, i.volumes, list))
	}
	return errors.Join(errs...)
}
