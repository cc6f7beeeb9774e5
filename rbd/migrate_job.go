package rbd

import (
	"context"
	"errors"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// migrating is a migration that this process is at. It holds the intent of the image,
// so that nobody changes it, and that of the copy, which says whose that is.
//
// What it has come to is in the job's entry (course). Whoever takes over from a process
// that died has fenced it, and finds one of these:
//
//   - a copy that is not whole, or not yet compared: it is gone on with, from the last
//     place that is on the disks, if the image's header is what it was;
//   - a copy that is whole, and the image still there (Leaving): as before;
//   - the image gone to the trash by this job (Leaving): the copy gets its name.
type migrating struct {
	copying
	ctx     context.Context // the work stops when it ends
	spec    ImageSpec
	source  *ioContext
	leaving *intent // of spec
	failure error   // of do
}

// errNoImage is why there is nothing to move.
var errNoImage = fault.New(ErrNotFound, "the image is gone")

// migrateTask is the task of a job that moves an image.
func (s *scope) migrateTask(ctx context.Context, a *atJob) task {
	g := &migrating{copying: copying{scope: s, at: a}, ctx: ctx}
	return task{
		do:    func() (*Parent, error) { g.failure = withoutSpace(g.do()); return nil, g.failure },
		undo:  g.undo,
		leave: g.leave,
		gone:  func(err error) bool { return errors.Is(err, errNoImage) },
	}
}

// withoutSpace makes a lack of space an end: nobody knows when there will be more.
func withoutSpace(err error) error {
	if isErrno(err, syscall.EDQUOT, syscall.ENOSPC) {
		return fault.New(nil, err.Error())
	}
	return err
}

// again is how often a migration begins anew because its image was changed.
const again = 3

// do moves the image.
func (g *migrating) do() error {
	if err := g.begin(); err != nil {
		return err
	}
	switch gone, err := g.left(); {
	case err != nil:
		return err
	case gone:
		return g.arrive()
	}
	plan, err := g.plan()
	if err != nil {
		return err
	}
	if err := g.openCopy(plan); err != nil {
		return err
	}
	if err := g.follow(plan); err != nil {
		return err
	}
	if err := g.finishCopy(); err != nil {
		return err
	}
	return g.swap()
}

// begin takes the intents, which brings to an end what others had begun.
func (g *migrating) begin() error {
	if err := g.locate(); err != nil {
		return err
	}
	if err := g.takeImage(); err != nil {
		return err
	}
	return g.takeCopy()
}

// takeImage takes the intent of the image, unless it is held. What a dead process had
// begun at it is then ended, and the entry of the job says so.
func (g *migrating) takeImage() error {
	if g.leaving != nil {
		return nil
	}
	var err error
	if g.leaving, err = g.beginDeed(deed{Op: opMoveAway, Other: g.at.now().ID}, g.spec); err != nil {
		g.leaving = nil
		return err
	}
	return g.at.reload()
}

// locate opens the pools.
func (g *migrating) locate() error {
	j := g.at.now()
	var err error
	if g.spec, err = ParseImageSpec(j.Subject); err != nil {
		return err
	}
	g.copy = copyOf(j.ID, ImageSpec{Pool: j.Target, Namespace: g.spec.Namespace})
	g.as = deed{Op: opMoveTo, Other: g.spec.Pool}
	if g.source, err = g.poolOf(g.spec); err != nil {
		return err
	}
	g.target, err = g.poolOf(g.copy)
	return err
}

// left tells whether the image has gone to the trash, by this job. errNoImage when it
// is gone otherwise.
func (g *migrating) left() (bool, error) {
	c := g.at.now().Course
	id, err := g.idOf(g.source, g.spec.Image)
	if err != nil {
		return false, err
	}
	if c.Leaving && id != c.From {
		return true, nil
	}
	if id == "" {
		return false, errNoImage
	}
	return false, nil
}

// plan decides what is to be done, from the image as it is. What was done so far
// counts if the image has not changed since.
func (g *migrating) plan() (plan, error) {
	img, err := g.imageReadOnly(g.source, g.spec.Image, librbd.NoSnapshot)
	if err != nil {
		return plan{}, err
	}
	if err := img.movable(); err != nil {
		return plan{}, err
	}
	info, err := img.info()
	if err = errors.Join(err, img.close()); err != nil {
		return plan{}, err
	}
	version, err := g.headerVersion(g.spec, info.ID)
	if err != nil {
		return plan{}, err
	}
	c := g.at.now().Course
	if c.From == info.ID && c.Version == version {
		return newPlan(info), nil
	}
	if c.Begun >= again {
		return plan{}, fault.Newf(ErrInUse, "it was changed while it was copied, %d times: move it when nothing writes to it", c.Begun)
	}
	err = g.at.store(func(j *Job) {
		j.Course = course{From: info.ID, Version: version, Begun: c.Begun + 1}
	})
	return newPlan(info), err
}

// headerVersion is a number that changes with an image: with its size, snapshots and
// metadata, and whenever a client takes its exclusive lock to write to it. It would
// change with the time of the last read, too, if connections of ours noted that.
func (s *scope) headerVersion(spec ImageSpec, id string) (uint64, error) {
	ioctx, err := s.poolOf(spec) // of its own: it remembers the version of its last read
	if err != nil {
		return 0, err
	}
	return native(s, "rados_omap_get", func() (uint64, error) {
		if _, err := ioctx.GetOmapValues("rbd_header."+id, "", "size", 1); err != nil {
			return 0, err
		}
		return ioctx.GetLastVersion()
	})
}

// leave lets go of a migration that somebody else is to go on with.
func (g *migrating) leave(cause error) error {
	err := errors.Join(g.closeImages(), g.leaveCopy(cause))
	if g.leaving == nil || g.leaving.done {
		return err
	}
	if g.at.now().Course.Leaving {
		return errors.Join(err, g.leaving.release(cause))
	}
	return errors.Join(err, g.leaving.finish())
}

// undo removes the copy, while the image is there, or is gone by somebody else's
// doing.
func (g *migrating) undo() error {
	if err := g.closeImages(); err != nil {
		return err
	}
	if g.source == nil {
		if err := g.locate(); err != nil {
			return err
		}
	}
	if errors.Is(g.failure, errCopyLost) {
		return errors.Join(g.making.finish(), g.leaving.finish())
	}
	if err := g.takeImage(); err != nil {
		return err
	}
	if gone, err := g.left(); gone {
		return errTooLate
	} else if err != nil && !errors.Is(err, errNoImage) {
		return err
	}
	if err := g.unmarkImage(); err != nil {
		return err
	}
	if err := g.takeCopy(); err != nil {
		return err
	}
	if err := g.discard(); err != nil {
		return err
	}
	if err := g.making.finish(); err != nil {
		return err
	}
	if g.leaving == nil || g.leaving.done {
		return nil
	}
	return g.leaving.finish()
}

// unmarkImage drops the mark of an image that was about to leave: a purge must not take it for
// deleted once the copy is gone.
func (g *migrating) unmarkImage() error {
	c := g.at.now().Course
	if !c.Leaving {
		return nil
	}
	marks, err := g.register(g.spec.Pool, trashRegister)
	if err != nil {
		return err
	}
	return marks.drop(inNamespace(g.spec.Namespace, c.From))
}

// purgeCopies removes the copies for good that were taken away from a pool. What does
// not come off is left to the purge of that pool.
func (m *Images) purgeCopies(ctx context.Context, pool string) error {
	deleted, err := m.Deleted(ctx, pool)
	if err != nil {
		return err
	}
	var copies []string
	for _, d := range deleted {
		if OfJob(d.Name) {
			copies = append(copies, d.ID)
		}
	}
	if len(copies) == 0 {
		return nil
	}
	_, err = m.Purge(ctx, pool, PurgeOptions{IDs: copies})
	return err
}
