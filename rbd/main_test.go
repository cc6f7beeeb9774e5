package rbd_test

import (
	"testing"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// space is a test's own corner of the cluster.
type space struct {
	testing.TB
	images *rbd.Images
	pool   string
	ns     string
}

func newSpace(t testing.TB) space {
	t.Helper()
	cluster, pool, ns := labtest.Space(t)
	return space{TB: t, images: rbd.NewImages(cluster), pool: pool, ns: ns}
}

func (s space) image(name string) rbd.ImageSpec {
	return rbd.ImageSpec{Pool: s.pool, Namespace: s.ns, Image: name}
}

// must fails the test on an error.
func (s space) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// golden makes an image of 8 MiB with content and a protected snapshot.
func (s space) golden(name string) rbd.SnapSpec {
	s.Helper()
	spec := s.image(name)
	_, err := s.images.Import(s.Context(), spec, rbd.Source{Reader: noise(8 << 20)}, rbd.ImportOptions{Snapshot: "snap"})
	s.must(err)
	return spec.At("snap")
}

// names are the images of the corner.
func (s space) names() []string {
	s.Helper()
	names, err := s.images.List(s.Context(), s.pool, s.ns)
	s.must(err)
	return names
}

func (s space) digest(spec rbd.SnapSpec) string {
	s.Helper()
	sum, err := s.images.Digest(s.Context(), spec)
	s.must(err)
	return sum
}
