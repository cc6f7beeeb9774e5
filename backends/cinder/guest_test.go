package cinder

import (
	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/lab/labtest"
)

// open makes another client open an image for writing, as a guest does, until the
// function that it returns is called.
func (b backend) open(image string) (end func()) {
	b.Helper()
	conn, err := rados.NewConnWithUser("admin")
	b.must(err)
	b.must(conn.ReadConfigFile(labtest.Conf(b)))
	b.must(conn.Connect())
	b.Cleanup(conn.Shutdown)
	ioctx, err := conn.OpenIOContext(b.Pool)
	b.must(err)
	img, err := librbd.OpenImage(ioctx, image, librbd.NoSnapshot)
	b.must(err)
	return func() {
		b.must(img.Close())
		ioctx.Destroy()
	}
}
