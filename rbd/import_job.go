package rbd

import (
	"context"

	"github.com/dustin/go-humanize"

	"rbdctl/internal/fault"
)

// DiskImport is an image that is to be made of the disk in a file, which is the content
// of a snapshot.
type DiskImport struct {
	Image      ImageSpec
	Size       uint64 // bytes; what the disk leaves is zeroes
	ObjectSize uint64 // bytes; 0: ceph.conf's default
	Source     SnapSpec
	Format     string // of the file, for the Opener
	Key, Value string // metadata that the image has from its beginning; an empty key: none
}

// order is what an import job has to know beside the specs, and to find as it was.
type order struct {
	Snap       uint64 `json:"snap"` // id of the snapshot
	Size       uint64 `json:"size"`
	ObjectSize uint64 `json:"object_size,omitempty"`
	Format     string `json:"format"`
	Key        string `json:"key,omitempty"`
	Value      string `json:"value,omitempty"`
}

// order is that of d, of a snapshot by its id.
func (d DiskImport) order(snap uint64) order {
	return order{Snap: snap, Size: d.Size, ObjectSize: d.ObjectSize, Format: d.Format, Key: d.Key, Value: d.Value}
}

// checkJob is ErrExists for a job that does not do what d asks for.
func (d DiskImport) checkJob(j Job) error {
	o := j.Course.Order
	if j.Source == d.Source.String() && o == d.order(o.Snap) {
		return nil
	}
	return wrap(opImport, d.subject(), fault.Newf(ErrExists, "job %s makes it, of %s and otherwise than this", j.ID, j.Source))
}

func (d DiskImport) subject() string { return d.Source.String() + " to " + d.Image.String() }

// StartImport queues the making of an image of a file that is in the cluster: WorkJobs
// of the image's pool does it, with the same Opener. The image has a name of its own
// until it is whole, so that one which is called as it is to be called is the result.
// Nothing is changed of the snapshot, which need not be protected; if it goes before
// the job has ended, the job fails. A Delete of the image cancels the job. Started
// again, while it is not done, it returns the same job.
//
// What open refuses, and a disk that is larger than the image, are ErrInvalid.
// ErrNotFound when there is no such snapshot or pool; ErrExists when the name is taken,
// or a job makes another image for it.
//
// Similar To: rbd export <source> file; qemu-img convert -O raw file rbd:<spec>
func (m *Images) StartImport(ctx context.Context, d DiskImport, open Opener) (Job, error) {
	err := checkCreate(d.Image, d.Size, d.ObjectSize)
	if err == nil {
		err = d.Source.validate()
	}
	if err != nil {
		return Job{}, wrap(opImport, d.subject(), err)
	}
	if there, err := m.active(ctx, opImport, d.Image); err != nil || there.ID != "" {
		if err == nil {
			err = d.checkJob(there)
		}
		return there, err
	}
	job, err := callRead(ctx, m.cluster, opImport, d.subject(), func(s *scope) (Job, error) { return s.importable(d, open) })
	if err != nil {
		return Job{}, err
	}
	if _, err = m.queue(ctx, d.Image.Pool, &job); err == nil {
		err = d.checkJob(job)
	}
	return job, err
}

// importable is the job, after a look at what it is to read, and whether the name is
// free.
func (s *scope) importable(d DiskImport, open Opener) (Job, error) {
	if err := s.mayTake(d.Image); err != nil {
		return Job{}, err
	}
	src, err := s.openSource(d.Source)
	if err != nil {
		return Job{}, err
	}
	if _, err := src.disk(d.order(src.snap), open); err != nil {
		return Job{}, err
	}
	job := newJob(opImport, src.id, d.Image)
	job.Source = d.Source.String()
	job.Course = course{From: src.id, Order: d.order(src.snap)}
	return job, src.img.close()
}

// ImportedOf is a job that is done: that of an image which is there, as info tells, and
// was made of source.
func ImportedOf(source SnapSpec, info Info) Job {
	j := newJob(opImport, info.ID, info.Spec)
	j.Source, j.State, j.Created = source.String(), JobDone, info.Created.UTC()
	return j
}

// disk finds the disk that is to be imported.
func (src *source) disk(o order, open Opener) (Disk, error) {
	disk, err := open(src, src.size, o.Format)
	if err == nil && disk.Size() > o.Size {
		err = fault.Newf(ErrInvalid, "size %s (%d bytes) is smaller than the disk in %s, %s (%d bytes): ask for at least that",
			humanize.IBytes(o.Size), o.Size, src.spec, humanize.IBytes(disk.Size()), disk.Size())
	}
	if err == nil && disk.Size()%sectorSize != 0 {
		err = fault.Newf(ErrInvalid, "the disk in %s has %d bytes, which is no whole number of %d-byte sectors: resize it with `qemu-img resize`",
			src.spec, disk.Size(), sectorSize)
	}
	return disk, err
}
