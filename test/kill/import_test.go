package kill_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	return id, digest(s.content, imported)
}

// strike has a volume made by a sidecar that kills itself, and then by another one.
func (i importer) strike(how []string) (killed bool, err error) {
	id := uuid.NewString()
	body := fmt.Sprintf(`{"image_id":%q,"format":"qcow2","size_bytes":%d}`, i.image, imported)
	killed, err = i.jobStruck(how, "/v1/volumes/"+id+"/import", body)
	if err != nil {
		return killed, err
	}
	return killed, i.holds(how, "volume-"+id)
}

// holds tells whether the volume is there and whole, and whether the pool has others
// than volumes.
func (i importer) holds(how []string, name string) error {
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
