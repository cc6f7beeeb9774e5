package cinder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"rbdctl/backends/glance"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// qcow2 stores a Glance image of 3 MiB of noise and 5 of nothing that qemu-img makes, as
// Glance does; it returns the digest of a volume of 16 MiB of it, too.
func (b backend) qcow2(args ...string) (id, sum string) {
	b.Helper()
	id = uuid.NewString()
	dir := b.TempDir()
	raw, file := filepath.Join(dir, "raw"), filepath.Join(dir, "qcow2")
	f, err := os.Create(raw)
	b.must(err)
	_, err = f.ReadFrom(noise(3 * mib))
	b.must(err)
	b.must(f.Truncate(8 * mib))
	b.must(f.Close())
	labtest.Tool(b, "qemu-img", append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), raw, file)...)
	labtest.Tool(b, "qemu-img", "resize", "-q", "-f", "raw", raw, "16M")
	b.tool("import", "--no-progress", "--dest-pool", b.ImagePool, file, id)
	b.tool("snap", "create", "--no-progress", b.ImagePool+"/"+id+"@snap")
	b.tool("snap", "protect", b.ImagePool+"/"+id+"@snap")
	b.tool("import", "--no-progress", "--dest-pool", b.ImagePool, raw, "raw-"+id)
	return id, b.digest("raw-" + id)
}

// imports works on the jobs of the pool until one of them has ended.
func (b backend) imports(id string) rbd.Job {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Images.WorkJobs(ctx, b.Pool, rbd.WorkOptions{Open: glance.OpenDisk}) }()
	defer func() {
		cancel()
		b.must(<-ended)
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		j, err := b.Images.Job(b.Context(), b.Pool, id)
		b.must(err)
		if j.State == rbd.JobDone || j.State == rbd.JobFailed || j.State == rbd.JobCancelled {
			return j
		}
		if time.Now().After(deadline) {
			b.Fatalf("%+v", j)
		}
	}
}

// TestImport: a volume of an image that can't be cloned is one like others when the job
// is done: the request that makes it is success, and gives it its limits.
func TestImport(t *testing.T) {
	b := newAlone(t)
	image, sum := b.qcow2("-c")
	request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromImage, ID: image}, QoS: map[string]string{"total_iops_sec": "1000"}}
	if _, err := b.Create(t.Context(), request); !errors.Is(err, ErrInvalid) {
		t.Errorf("cloned: %v", err)
	}
	want := Import{ID: request.ID, ImageID: image, Format: glance.QCOW2, Size: request.Size}
	job, err := b.Import(t.Context(), want)
	b.must(err)
	if again, err := b.Import(t.Context(), want); err != nil || again.ID != job.ID {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if _, err := b.Get(t.Context(), request.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("before the job: %v", err)
	}
	if j := b.imports(job.ID); j.State != rbd.JobDone {
		t.Fatalf("%+v", j)
	}
	if done, err := b.Create(t.Context(), request); err != nil || done.Created {
		t.Errorf("the request that makes it = %+v, %v", done, err)
	}
	now, err := b.Get(t.Context(), request.ID)
	b.must(err)
	if now.Size != request.Size || now.Parent != nil || now.Metadata["conf_rbd_qos_iops_limit"] != "1000" || b.digest(now.Name) != sum {
		t.Errorf("there is %+v", now)
	}
	b.tool("snap", "unprotect", b.image(image)+"@snap") // Glance deletes the image
	b.tool("snap", "rm", "--no-progress", b.image(image)+"@snap")
	b.tool("rm", "--no-progress", b.image(image))
	if done, err := b.Create(t.Context(), request); err != nil || done.Created {
		t.Errorf("without the image: %+v, %v", done, err)
	}
	if again, err := b.Import(t.Context(), want); err != nil || again.State != rbd.JobDone || again.Kind != "import" || again.Source != b.image(image)+"@snap" {
		t.Errorf("asked again when it is there: %+v, %v", again, err)
	}
	for name, change := range map[string]func(*Import){
		"size":  func(i *Import) { i.Size += mib },
		"image": func(i *Import) { i.ImageID = uuid.NewString() },
	} {
		other := want
		change(&other)
		if _, err := b.Import(t.Context(), other); !errors.Is(err, ErrExists) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	other := request
	other.Size += mib
	if _, err := b.Create(t.Context(), other); err == nil {
		t.Error("another size was taken for the same")
	}
	b.must(b.Delete(t.Context(), request.ID))
}

// TestImportIsRefused: what the job could not do is said at once.
func TestImportIsRefused(t *testing.T) {
	b := newAlone(t)
	image, _ := b.qcow2()
	blank := b.volumeOn(Source{})
	clone := b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	for _, tt := range []struct {
		name string
		want Import
		kind error
	}{
		{"no id", Import{ID: "x", ImageID: image, Format: glance.QCOW2, Size: gib}, ErrInvalid},
		{"no image's id", Import{ImageID: "x", Format: glance.QCOW2, Size: gib}, ErrInvalid},
		{"no image", Import{ImageID: uuid.NewString(), Format: glance.QCOW2, Size: gib}, ErrNotFound},
		{"another format", Import{ImageID: image, Format: "vmdk", Size: gib}, ErrInvalid},
		{"a wrong claim", Import{ImageID: image, Format: glance.Raw, Size: gib}, ErrInvalid},
		{"too small", Import{ImageID: image, Format: glance.QCOW2, Size: 8*mib - 512}, ErrInvalid},
		{"a volume that is there", Import{ID: blank, ImageID: image, Format: glance.QCOW2, Size: 16 * mib}, ErrExists},
		{"a clone that is there", Import{ID: clone, ImageID: image, Format: glance.QCOW2, Size: 16 * mib}, ErrExists},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want.ID == "" {
				tt.want.ID = uuid.NewString()
			}
			if job, err := b.Import(t.Context(), tt.want); !errors.Is(err, tt.kind) || job.ID != "" {
				t.Errorf("%+v, %v", job, err)
			}
		})
	}
	if jobs, err := b.Images.Jobs(t.Context(), b.Pool); err != nil || len(jobs) != 0 {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
}
