package rbd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rbdctl/backends/glance"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// upload is a disk file in the cluster, and what it holds.
type upload struct {
	space
	source rbd.SnapSpec
	size   uint64 // of the disk
	sum    string // of the image that is to be: the disk, and zeroes
	want   rbd.DiskImport
}

// holes is content of so many MiB: noise in every third of them, text in others.
func holes(mib int) []byte {
	data := make([]byte, mib<<20)
	noise := rand.NewChaCha8([32]byte{9})
	for at := 0; at < mib; at++ {
		part := data[at<<20 : (at+1)<<20]
		switch at % 3 {
		case 0:
			_, _ = noise.Read(part)
		case 1:
			copy(part[300<<10:], bytes.Repeat([]byte("all work and no play "), 9000))
		}
	}
	data[0] = 'x' // no format's signature
	return data
}

// newUpload stores data as an image that qemu-img makes, with an unprotected snapshot,
// and wants an image that is a MiB larger.
func newUpload(t *testing.T, data []byte, args ...string) upload {
	t.Helper()
	s := inPool(t)
	dir := t.TempDir()
	raw, file := filepath.Join(dir, "raw"), filepath.Join(dir, "qcow2")
	s.must(os.WriteFile(raw, data, 0o600))
	labtest.Tool(t, "qemu-img", append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), raw, file)...)
	u := upload{space: s, source: s.image("file").At("snap"), size: uint64(len(data))}
	labtest.RBD(t, "import", "--no-progress", "--dest-pool", s.pool, file, "file")
	labtest.RBD(t, "snap", "create", "--no-progress", u.source.String())
	sum := sha256.New()
	sum.Write(data)
	sum.Write(make([]byte, 1<<20))
	u.sum = hex.EncodeToString(sum.Sum(nil))
	u.want = rbd.DiskImport{
		Image: s.image("v"), Size: u.size + 1<<20, Source: u.source, Format: glance.QCOW2, Key: "colour", Value: "blue",
	}
	return u
}

// started is an import that is to be worked on.
func (u upload) started() rbd.Job {
	u.Helper()
	job, err := u.images.StartImport(u.Context(), u.want, glance.OpenDisk)
	u.must(err)
	return job
}

// done fails the test unless the image is there, whole, and nothing else is.
func (u upload) done() {
	u.Helper()
	info := u.stat(u.want.Image)
	if info.Size != u.want.Size || info.Parent != nil || len(info.Snapshots) != 0 || u.digest(u.want.Image.At("")) != u.sum {
		u.Errorf("there is %+v, or it reads otherwise", info)
	}
	metadata, err := u.images.Metadata(u.Context(), u.want.Image)
	if err != nil || !maps.Equal(metadata, map[string]string{"colour": "blue"}) {
		u.Errorf("metadata %v, %v", metadata, err)
	}
	u.left("file", "v")
}

// left fails the test if other images than these are there, or anything that belongs to
// none.
func (u upload) left(names ...string) {
	u.Helper()
	m := movable{space: u.space, target: u.pool}
	m.onlyIn(u.pool, names...)
	m.purged(u.pool)
	found, err := u.images.Fsck(u.Context(), []string{u.pool}, false)
	if err != nil || len(found) > 0 {
		u.Errorf("fsck: %+v, %v", found, err)
	}
	for _, line := range strings.Fields(string(labtest.Tool(u, "rados", "-p", u.pool, "-N", "rbdctl", "ls"))) {
		if line != "jobs" {
			u.Errorf("left in the journal: %s", line)
		}
	}
}

// importing works on the jobs of the pool until stop is called.
func (s space) importing(m *rbd.Images) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error)
	go func() { ended <- m.WorkJobs(ctx, s.pool, rbd.WorkOptions{Parallel: 2, Open: glance.OpenDisk}) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	}
}

// TestImportJob: an image is made of a disk file in the cluster, whatever its clusters
// are, with holes where that has none.
func TestImportJob(t *testing.T) {
	data := holes(13)
	for name, args := range map[string][]string{
		"default":     nil,
		"compressed":  {"-c"},
		"of 4K":       {"-c", "-o", "cluster_size=4k"},
		"of 2M":       {"-o", "cluster_size=2M"},
		"version 0.1": {"-o", "compat=0.10"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpload(t, data, args...)
			u.want.ObjectSize = 1 << 20
			job := u.started()
			if again := u.started(); again != job || job.Kind != "import" || job.Subject != u.want.Image.String() || job.Source != u.source.String() || job.State != rbd.JobQueued {
				t.Errorf("StartImport = %+v, then %+v", job, again)
			}
			stop := u.importing(u.images)
			ended := u.until(job.ID, over)
			stop()
			if ended.State != rbd.JobDone || ended.Error != "" || ended.Done != u.size || ended.Total != u.size {
				t.Fatalf("done: %+v", ended)
			}
			u.done()
			if info := u.stat(u.want.Image); info.ObjectSize != 1<<20 {
				t.Errorf("objects of %d bytes", info.ObjectSize)
			}
			if used := len(u.dataObjects(u.want.Image)); used != 9 { // of 14
				t.Errorf("%d objects: no holes, or too many", used)
			}
			_, err := u.images.StartImport(t.Context(), u.want, glance.OpenDisk)
			u.is(err, rbd.ErrExists)
		})
	}
}

// dataObjects are those of an image.
func (s space) dataObjects(spec rbd.ImageSpec) []string {
	s.Helper()
	var list []string
	for _, object := range strings.Fields(string(labtest.Tool(s, "rados", "-p", spec.Pool, "ls"))) {
		if strings.HasPrefix(object, "rbd_data."+s.stat(spec).ID+".") {
			list = append(list, object)
		}
	}
	return list
}

// TestImportJobOfRaw: a file that is its disk needs no protection either.
func TestImportJobOfRaw(t *testing.T) {
	u := newUpload(t, holes(3))
	other := u.slow("raw")
	labtest.RBD(t, "snap", "create", "--no-progress", other.At("s").String())
	u.want.Source, u.want.Format, u.want.Size = other.At("s"), glance.Raw, u.stat(other).Size
	job := u.started()
	defer u.importing(u.images)()
	if j := u.until(job.ID, over); j.State != rbd.JobDone {
		t.Fatalf("%+v", j)
	}
	if u.digest(u.want.Image.At("")) != u.digest(other.At("s")) {
		t.Error("it reads otherwise")
	}
}

// TestImportJobIsRefused: what can't be done is said before anything is begun.
func TestImportJobIsRefused(t *testing.T) {
	u := newUpload(t, holes(3))
	start := func(kind error, change func(*rbd.DiskImport)) {
		t.Helper()
		want := u.want
		change(&want)
		_, err := u.images.StartImport(t.Context(), want, glance.OpenDisk)
		u.is(err, kind)
	}
	start(rbd.ErrNotFound, func(d *rbd.DiskImport) { d.Source.Snap = "none" })
	start(rbd.ErrNotFound, func(d *rbd.DiskImport) { d.Source.Image = "none" })
	start(rbd.ErrNotFound, func(d *rbd.DiskImport) { d.Source.Pool = "nopool" })
	start(rbd.ErrNotFound, func(d *rbd.DiskImport) { d.Image.Pool = "nopool" })
	start(rbd.ErrInvalid, func(d *rbd.DiskImport) { d.Image.Image = "a/b" })
	start(rbd.ErrInvalid, func(d *rbd.DiskImport) { d.Source.Snap = "" })
	start(rbd.ErrInvalid, func(d *rbd.DiskImport) { d.Size = u.size - 512 })
	start(rbd.ErrInvalid, func(d *rbd.DiskImport) { d.Size = 0 })
	start(rbd.ErrInvalid, func(d *rbd.DiskImport) { d.ObjectSize = 5 })
	start(rbd.ErrInvalid, func(d *rbd.DiskImport) { d.Format = glance.Raw })
	start(rbd.ErrExists, func(d *rbd.DiskImport) { d.Image = u.source.ImageSpec })
	u.left("file")
	u.started()
	start(rbd.ErrExists, func(d *rbd.DiskImport) { d.Size += 512 })
	start(rbd.ErrExists, func(d *rbd.DiskImport) { d.Value = "red" })
	jobs, err := u.images.Jobs(t.Context(), u.pool)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
	// A name that is taken meanwhile stays as it is.
	labtest.RBD(t, "create", "--size", "1M", u.want.Image.String())
	defer u.importing(u.images)()
	if j := u.until(jobs[0].ID, over); j.State != rbd.JobFailed || !strings.Contains(j.Error, "stays as it is") {
		t.Errorf("%+v", j)
	}
	if u.stat(u.want.Image).Size != 1<<20 {
		t.Error("the image of that name is another one")
	}
	u.left("file", "v")
}
