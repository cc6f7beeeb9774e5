package cinder

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rbdctl/backends/glance"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const (
	mib = 1 << 20
	gib = 1 << 30
)

// backend is a Cinder backend of the test's own, in pools of its own when fresh.
type backend struct {
	testing.TB
	Volumes
}

// newBackend is one in the package's pool, which other tests use too.
func newBackend(t testing.TB) backend {
	t.Helper()
	return backendOn(t, labtest.Pool(t))
}

// newAlone is one in a pool that nobody else uses.
func newAlone(t testing.TB) backend {
	t.Helper()
	return backendOn(t, labtest.FreshPool(t))
}

func backendOn(t testing.TB, pool string) backend {
	t.Helper()
	cluster := labtest.Cluster(t)
	return backend{TB: t, Volumes: Volumes{Images: rbd.NewImages(cluster), Cluster: cluster, Pool: pool, ImagePool: pool}}
}

// must fails the test on an error.
func (b backend) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// golden imports a Glance image of 8 MiB of noise.
func (b backend) golden() string {
	b.Helper()
	id := uuid.NewString()
	_, err := glance.Store{Images: b.Images, Pool: b.ImagePool}.Import(b.Context(), id, noise(8*mib), glance.ImportOptions{})
	b.must(err)
	return id
}

// make makes a volume of 16 MiB and returns its id.
func (b backend) volumeOn(s Source) string {
	b.Helper()
	id := uuid.NewString()
	_, err := b.Create(b.Context(), Create{ID: id, Size: 16 * mib, Source: s})
	b.must(err)
	return id
}

// tool runs the rbd command.
func (b backend) tool(args ...string) string {
	b.Helper()
	return string(labtest.RBD(b, args...))
}

// image is pool/name.
func (b backend) image(name string) string { return b.Pool + "/" + name }

// digest is that of what an image holds, or a snapshot of it: a spec as the rbd
// command writes it.
func (b backend) digest(name string) string {
	b.Helper()
	image, snap, _ := strings.Cut(name, "@")
	sum, err := b.Images.Digest(b.Context(), rbd.ImageSpec{Pool: b.Pool, Image: image}.At(snap))
	b.must(err)
	return sum
}

// noise is content without zeroes, the same every time, that looks like no format.
func noise(size int64) io.Reader {
	return io.LimitReader(io.MultiReader(strings.NewReader("noise"), rand.NewChaCha8([32]byte{7})), size)
}

// snapshotOf takes a snapshot of a volume and returns its id.
func (b backend) snapshotOf(volume string) string {
	b.Helper()
	id := uuid.NewString()
	_, err := b.CreateSnapshot(b.Context(), volume, id)
	b.must(err)
	return id
}

// unreadable makes an image that is listed and can't be opened: its header holds no size.
func (b backend) unreadable(name string) {
	b.Helper()
	b.tool("create", "--size", "8M", b.image(name))
	info, err := b.Images.Stat(b.Context(), rbd.ImageSpec{Pool: b.Pool, Image: name})
	b.must(err)
	labtest.Tool(b, "rados", "-p", b.Pool, "setomapval", "rbd_header."+info.ID, "size", "x")
}
