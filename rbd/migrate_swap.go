package rbd

import (
	"errors"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// errCopyLost is why a migration can neither go on nor back.
var errCopyLost = fault.New(nil, "the copy is gone, and not by our doing: the image waits in the trash of its pool (`rbdctl trash ls`)")

// swap takes the image away and gives its name, in the other pool, to the copy, which
// is whole. This process holds the intents of the image, of the copy, and of the name:
// no other operation of ours sees anything between the two.
func (g *migrating) swap() error {
	if err := stopped(g.ctx); err != nil { // the last moment to do so
		return err
	}
	if err := g.closeImages(); err != nil {
		return err
	}
	name, err := g.takeName(g.spec.Image)
	if err != nil {
		return err
	}
	if err := g.depart(name.spec); err != nil {
		return errors.Join(err, name.finish())
	}
	return g.giveName(name)
}

// arrive gives the copy its name after its image has gone.
func (g *migrating) arrive() error {
	name, err := g.takeName(g.spec.Image)
	if err != nil {
		return err
	}
	return g.giveName(name)
}

// depart moves the image to the trash, if it is still what was copied and nobody has
// it open. When it fails, the image is there as it was, unless the outcome is not
// known: then the entry of the job says Leaving.
func (g *migrating) depart(to ImageSpec) error {
	if err := g.mayTake(to); err != nil {
		return err
	}
	img, err := g.imageReadOnly(g.source, g.spec.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	if err := errors.Join(img.movable(), img.close()); err != nil {
		return err
	}
	c := g.at.now().Course
	version, err := g.headerVersion(g.spec, c.From)
	if err != nil {
		return err
	}
	if version != c.Version {
		return fault.Newf(ErrUnavailable, "it was changed while it was copied: it is copied anew")
	}
	if err := g.leaving.still(); err != nil {
		return err
	}
	if err := g.at.store(func(j *Job) { j.Course.Leaving = true }); err != nil {
		return err
	}
	err = g.delete(g.source, g.spec, 0)
	if err != nil && refusal(err) {
		err = errors.Join(err, g.at.store(func(j *Job) { j.Course.Leaving = false }))
	}
	return err
}

// giveName renames the copy, and ends what this process holds.
func (g *migrating) giveName(name *intent) error {
	err := g.making.still()
	if err == nil {
		err = g.renameCopy(name.spec)
	}
	if err = name.end(err); err != nil {
		return err
	}
	return errors.Join(g.making.finish(), g.leaving.finish())
}

func (g *migrating) renameCopy(to ImageSpec) error {
	made := g.at.now().Course.Made
	old, err := g.idOf(g.target, g.copy.Image)
	if err != nil {
		return err
	}
	now, err := g.idOf(g.target, to.Image)
	if err != nil {
		return err
	}
	if old != made && now != made {
		return errCopyLost
	}
	return g.rename(g.target, g.making, to.Image)
}
