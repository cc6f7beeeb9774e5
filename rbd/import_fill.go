package rbd

import (
	"context"
	"errors"
	"maps"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// filling is an import job that this process is at. It holds the intent of the image
// under its own name.
//
// What it has come to is in the job's entry (course). Whoever takes over from a process
// that died has fenced it, and finds one of these:
//
//   - an image that is not whole: it is gone on with, from the last place that is on
//     the disks; one that nothing accounts for is made anew;
//   - an image that has both names, or only the new one: it is whole.
type filling struct {
	copying
	ctx    context.Context // the work stops when it ends
	spec   ImageSpec
	source *source
	disk   Disk
}

// importTask is the task of a job that imports.
func (s *scope) importTask(ctx context.Context, a *atJob) task {
	f := &filling{copying: copying{scope: s, at: a}, ctx: ctx}
	return task{
		do:    func() (*Parent, error) { return nil, withoutSpace(f.do()) },
		undo:  f.undo,
		leave: func(cause error) error { return errors.Join(f.closeImages(), f.leaveCopy(cause)) },
		gone:  func(error) bool { return false },
	}
}

// do makes the image.
func (f *filling) do() error {
	if err := f.begin(); err != nil {
		return err
	}
	made, err := f.arrived()
	if err != nil {
		return err
	}
	if !made {
		if err := f.fill(); err != nil {
			return err
		}
	}
	return f.arrive()
}

// begin opens the pool and takes the intent, unless that is done.
func (f *filling) begin() error {
	j := f.at.now()
	var err error
	if f.spec, err = ParseImageSpec(j.Subject); err != nil {
		return err
	}
	f.copy = copyOf(j.ID, f.spec)
	f.as = deed{Op: opImportTo, Other: f.spec.Pool}
	if f.target == nil {
		if f.target, err = f.poolOf(f.spec); err != nil {
			return err
		}
	}
	return f.takeCopy()
}

// arrived tells whether the image has the name that it is to have: then it is whole.
func (f *filling) arrived() (bool, error) {
	id, err := f.idOf(f.target, f.spec.Image)
	return id != "" && id == f.at.now().Course.Made, err
}

// fill makes the image whole, under its own name.
func (f *filling) fill() error {
	if err := f.mayTake(f.spec); err != nil {
		return err
	}
	if err := f.makeCopy(); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return err
	}
	to, err := f.image(f.target, f.copy.Image)
	if err != nil {
		return err
	}
	if err := f.laps(to); err != nil {
		return err
	}
	want := map[string]string{}
	if o := f.at.now().Course.Order; o.Key != "" {
		want[o.Key] = o.Value
	}
	if err := to.setMetadata(want, nil); err != nil {
		return err
	}
	if err := to.close(); err != nil {
		return err
	}
	if err := f.look(want); err != nil {
		return err
	}
	return f.closeImages()
}

// open opens the snapshot, which must be the one that was asked for.
func (f *filling) open() error {
	j := f.at.now()
	spec, err := ParseSnapSpec(j.Source)
	if err != nil {
		return err
	}
	if f.source, err = f.openSource(spec); err != nil {
		return err
	}
	if f.source.id != j.Course.From || f.source.snap != j.Course.Order.Snap {
		return fault.Newf(ErrNotFound, "%s is another one than it was", spec)
	}
	f.disk, err = f.source.disk(j.Course.Order, f.at.opener)
	return err
}

// makeCopy makes the image, empty, unless an earlier attempt has.
func (f *filling) makeCopy() error {
	if there, err := f.findCopy(); err != nil || there {
		return err
	}
	if err := f.discard(); err != nil {
		return err
	}
	o := f.at.now().Course.Order
	if err := f.create(f.target, f.copy.Image, o.Size, CreateOptions{ObjectSize: o.ObjectSize}); err != nil {
		return err
	}
	return f.noteCopy()
}

// laps goes through the disk, and stores how far it is.
func (f *filling) laps(to *openImage) error {
	c, size := f.at.now().Course, f.disk.Size()
	p := pairing{from: onDisk{f.disk}, to: to, blank: c.Offset == 0 && !c.Resumed}
	for begin := c.Offset; begin < size; {
		end := min(begin+lap, size)
		f.at.tell(begin, size)
		err := walk(f.ctx, p, begin, end, to.mend)
		if gone := f.source.still(); err == nil || errors.Is(gone, ErrNotFound) {
			err = gone
		}
		if err == nil {
			err = run(f.scope, "rbd_flush", to.Flush)
		}
		if err != nil {
			return err
		}
		begin = end
		if err := f.at.store(func(j *Job) { j.Course.Offset = begin }); err != nil {
			return err
		}
	}
	f.at.tell(size, size)
	return nil
}

// look holds the image against what it is to be, but for its content.
func (f *filling) look(metadata map[string]string) error {
	img, err := f.imageReadOnly(f.target, f.copy.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	have, err := img.info()
	if err != nil {
		return err
	}
	holding, err := native(f.scope, "rbd_metadata_list", img.ListMetadata)
	if err != nil {
		return err
	}
	c := f.at.now().Course
	switch {
	case have.ID != c.Made:
		return fault.Newf(ErrUnavailable, "there is another image than the one that was made")
	case have.Size != c.Order.Size || have.Parent != nil || len(have.Snapshots) > 0 || !maps.Equal(holding, metadata):
		return fault.Newf(nil, "the image was changed while it was filled: it has %d bytes, %d snapshots, and the metadata %v",
			have.Size, len(have.Snapshots), holding)
	}
	return img.close()
}

// arrive gives the image its name, and ends what this process holds.
func (f *filling) arrive() error {
	if err := stopped(f.ctx); err != nil { // the last moment to do so
		return err
	}
	name, err := f.takeName(f.spec.Image)
	if err != nil {
		return err
	}
	err = f.making.still()
	if err == nil {
		err = f.rename(f.target, f.making, f.spec.Image)
	}
	if err = name.end(err); err != nil {
		return err
	}
	return f.making.finish()
}

// undo removes the image, unless it has its name.
func (f *filling) undo() error {
	if err := f.closeImages(); err != nil {
		return err
	}
	if err := f.begin(); err != nil {
		return err
	}
	if made, err := f.arrived(); err != nil || made {
		if made {
			err = errTooLate
		}
		return err
	}
	if err := f.discard(); err != nil {
		return err
	}
	return f.making.finish()
}
