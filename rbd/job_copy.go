package rbd

import (
	"errors"
	"strings"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"
)

// copyPrefix begins the names of images that jobs make; behind it comes the id of the
// job.
const copyPrefix = "rbdctl-job-"

// OfJob tells whether an image's name is that of one which a job makes: it is nobody's
// yet, and goes when the job is undone.
func OfJob(image string) bool { return strings.HasPrefix(image, copyPrefix) }

// copyOf names the copy that a job makes, in the pool of the image that is to be.
func copyOf(job string, to ImageSpec) ImageSpec {
	to.Image = copyPrefix + job
	return to
}

// copying is an image that a job makes under a name of its own, until it is whole. The
// intent of that name says whose it is.
type copying struct {
	*scope
	at     *atJob
	copy   ImageSpec
	as     deed // of making
	target *ioContext
	making *intent // of copy
}

// takeCopy takes the intent of the copy, unless it is held.
func (c *copying) takeCopy() error {
	if c.making != nil {
		return nil
	}
	var err error
	if c.making, err = c.beginDeed(c.as, c.copy); err != nil {
		c.making = nil
	}
	return err
}

// findCopy finds the copy that an earlier attempt has made. It may hold more than is
// stored of it.
func (c *copying) findCopy() (bool, error) {
	id, err := c.idOf(c.target, c.copy.Image)
	if err != nil {
		return false, err
	}
	if made := c.at.now().Course.Made; id == "" || id != made || id != c.making.record.Made {
		return false, nil
	}
	if err := c.at.store(func(j *Job) { j.Course.Resumed = true }); err != nil {
		return false, err
	}
	return true, c.endDeadWatches(id)
}

// endDeadWatches ends the watches of clients that are fenced, if there are no others:
// every change to the image would wait for their answers.
func (c *copying) endDeadWatches(id string) error {
	img, err := c.imageReadOnly(c.target, c.copy.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	watchers, live, err := img.watchers()
	switch {
	case err == nil && len(live) > 0:
		err = openBy(live)
	case err == nil && len(watchers) > 0:
		err = ignore(c.dropWatches(c.target, id), syscall.ERANGE, syscall.EOVERFLOW)
	}
	return errors.Join(err, img.close())
}

// noteCopy writes down the id of the copy, which is there, and empty.
func (c *copying) noteCopy() error {
	id, err := c.imageID(c.target, c.copy.Image)
	if err != nil {
		return err
	}
	if err := c.making.made(id); err != nil {
		return err
	}
	return c.at.store(func(j *Job) { j.Course.Made = id })
}

// discard takes the copy away, whatever there is of it: to the trash, from where it is
// purged like other images.
func (c *copying) discard() error {
	if err := c.closeImages(); err != nil {
		return err
	}
	if err := c.delete(c.target, c.copy, 0); err != nil {
		return err
	}
	if c.at.now().Course.Made == "" {
		return nil
	}
	return c.at.store(func(j *Job) {
		now := &j.Course
		now.Made, now.Step, now.Offset, now.Resumed, now.Leaving = "", 0, 0, false, false
	})
}

// takeName takes the intent of the name that the copy is to have.
func (c *copying) takeName(image string) (*intent, error) {
	to := c.copy
	to.Image = image
	return c.beginDeed(deed{Op: opRenameTo, Other: c.copy.Image}, to)
}

// leaveCopy lets go of a copy that somebody else is to go on with.
func (c *copying) leaveCopy(cause error) error {
	if c.making == nil || c.making.done {
		return nil
	}
	return c.making.release(cause)
}
