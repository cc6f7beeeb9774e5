package rbd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// GroupChange says what is to become of a group.
type GroupChange struct {
	Add, Remove []ImageSpec
}

// ChangeGroup puts images into a group and takes others out. What is so already
// stays, and an image that is gone is out. ErrNotFound when the group, or an image to
// be put in, is not there; ErrExists when one is in another group: an image is in
// one at most. After a failure a part of it may be done.
//
// Similar To: rbd group image add <group> <image>; rbd group image rm <group> <image>
func (m *Images) ChangeGroup(ctx context.Context, g GroupSpec, c GroupChange) error {
	for _, image := range append(c.Add[:len(c.Add):len(c.Add)], c.Remove...) {
		if err := g.checkMember(image); err != nil {
			return wrap(opGroupChange, g.String(), err)
		}
	}
	_, err := changeGroup(ctx, m, deed{Op: opGroupChange}, g, func(s *scope, ioctx *ioContext) (struct{}, error) {
		return struct{}{}, s.changeGroup(ioctx, g, c)
	})
	return err
}

func (g GroupSpec) checkMember(image ImageSpec) error {
	if err := image.validate(); err != nil {
		return err
	}
	if g.image(image.Image) != image {
		return fault.Newf(ErrInvalid, "%s is in another pool or namespace than the group", image)
	}
	return nil
}

func (s *scope) changeGroup(ioctx *ioContext, g GroupSpec, c GroupChange) error {
	if _, err := s.members(ioctx, g); err != nil {
		return err
	}
	for _, step := range []struct {
		op     string
		images []ImageSpec
		do     func(*ioContext, GroupSpec, ImageSpec) error
	}{{opLeave, c.Remove, s.leave}, {opJoin, c.Add, s.join}} {
		for _, image := range step.images {
			// Under its intent: a delete takes it out of its group, too.
			i, err := s.beginDeed(deed{Op: step.op, Other: g.String()}, image)
			if err != nil {
				return err
			}
			if err := i.end(step.do(ioctx, g, image)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *scope) join(ioctx *ioContext, g GroupSpec, image ImageSpec) error {
	in, err := s.groupOf(ioctx, image)
	if err != nil {
		return err
	}
	if in.Group != "" && in != g {
		return fault.Newf(ErrExists, "%s is in the group %s: take it out there first", image, in)
	}
	if err := s.rejoin(ioctx, g, image); err != nil {
		return err
	}
	names, err := s.members(ioctx, g)
	if err == nil && !slices.Contains(names, image.Image) {
		err = fault.Newf(ErrUnavailable, "%s is not in the group after it was put in: try again", image)
	}
	return err
}

// rejoin puts an image into a group, which may be of another pool; into none, if g
// has no name.
func (s *scope) rejoin(ioctx *ioContext, g GroupSpec, image ImageSpec) error {
	if g.Group == "" {
		return nil
	}
	at, err := s.pool(g.Pool, g.Namespace)
	if err != nil {
		return err
	}
	err = run(s, "rbd_group_image_add", func() error {
		return librbd.GroupImageAdd(at, g.Group, ioctx, image.Image)
	})
	return ignore(err, syscall.EEXIST)
}

// leave takes an image out of the group, if it is in.
func (s *scope) leave(ioctx *ioContext, g GroupSpec, image ImageSpec) error {
	in, err := s.groupOf(ioctx, image)
	if isErrno(err, syscall.ENOENT) {
		return nil
	}
	if err != nil || in != g {
		return err
	}
	return s.leaveGroup(ioctx, in, image)
}

// leaveAny takes an image that is deleted out of the group that it is in, which it
// returns: librbd never removes one that is in a group. The intent names the group
// before: an image that was half taken out does not know its group any more, but the
// group knows the image, and cannot be listed when that is gone.
func (s *scope) leaveAny(ioctx *ioContext, img *openImage, image ImageSpec) (GroupSpec, error) {
	g, err := img.group(image.Namespace)
	if err != nil {
		return g, err
	}
	if i := s.holds(image); i != nil && i.record.Op == opDelete {
		switch {
		case g.Group == "" && i.record.Other != "":
			g, err = parseGroupSpec(i.record.Other)
		case g.Group != "":
			i.record.Other = g.String()
			err = i.write("intent group")
		}
	}
	if err != nil || g.Group == "" {
		return g, err
	}
	return g, s.leaveGroup(ioctx, g, image)
}

// groupLeft is the group that a delete of the image, of which this call holds the intent,
// took it out of, now or before it was cut short; without a name when there is none.
func (s *scope) groupLeft(image ImageSpec) GroupSpec {
	var g GroupSpec
	if i := s.holds(image); i != nil && i.record.Op == opDelete && i.record.Other != "" {
		g, _ = parseGroupSpec(i.record.Other) // which was parsed before it was written
	}
	return g
}

// giveBack puts an image whose deletion is refused with cause back into its group g. From
// here on a delete's intent is of that: whoever takes it over deletes nothing. It returns
// cause when nothing is left to be done, so that the image is as it was.
func (s *scope) giveBack(ioctx *ioContext, g GroupSpec, image ImageSpec, cause error) error {
	if g.Group == "" || !refusal(cause) {
		return cause
	}
	if i := s.holds(image); i != nil && i.record.Op == opDelete {
		i.record.deed = deed{Op: opJoin, Other: g.String()}
		if err := i.write("intent rejoin"); err != nil {
			return err
		}
	}
	err := s.joinAgain(ioctx, g, image)
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		return cause
	case unsure(err):
		return fmt.Errorf("%s; it is to be put back into its group: %w", cause.Error(), err)
	}
	return fault.Newf(ErrUnavailable, "%v; it is to be put back into its group: try again (%v)", cause, err)
}

// joinAgain puts an image into the group g that it had been in, if that is still there, and
// takes it: under the group's intent, as it may be about to go. A *heldError tells of another
// operation at the group.
func (s *scope) joinAgain(ioctx *ioContext, g GroupSpec, image ImageSpec) error {
	join := func() error {
		return ignore(s.rejoin(ioctx, g, image), syscall.ENOENT, syscall.EINVAL, syscall.EPERM, syscall.EACCES)
	}
	if i := s.holds(g.holder()); i != nil {
		if i.record.Op == opGroupDelete {
			return nil
		}
		return join()
	}
	i, err := s.beginDeed(deed{Op: opGroupChange}, g.holder())
	if err != nil {
		return err
	}
	return i.end(join())
}

// settleMember ends what was begun with an image and the group g: it goes in, or out.
func (s *scope) settleMember(ioctx *ioContext, i *intent) error {
	g, err := parseGroupSpec(i.record.Other)
	if err != nil {
		return err
	}
	in, err := s.groupOf(ioctx, i.spec)
	if err != nil || in.Group != "" && in != g {
		return ignore(err, syscall.ENOENT) // it is gone, or another group's: nothing was begun
	}
	if i.record.Op == opJoin {
		err = s.joinAgain(ioctx, g, i.spec)
	} else {
		err = s.leaveGroup(ioctx, g, i.spec)
	}
	return ignore(err, syscall.ENOENT) // the group is gone
}

// leaveGroup takes an image out of its group, which may be of another pool.
func (s *scope) leaveGroup(ioctx *ioContext, g GroupSpec, image ImageSpec) error {
	at, err := s.pool(g.Pool, g.Namespace)
	if err != nil {
		return err
	}
	err = run(s, "rbd_group_image_remove", func() error {
		return librbd.GroupImageRemove(at, g.Group, ioctx, image.Image)
	})
	if err = ignore(err, syscall.ENOENT); err != nil {
		return err
	}
	in, err := s.groupOf(ioctx, image)
	if err == nil && in.Group != "" {
		err = fault.Newf(ErrUnavailable, "%s is still in the group %s after it was taken out: try again", image, in)
	}
	return ignore(err, syscall.ENOENT)
}

// groupOf is the group that an image is in; without a name when it is in none.
func (s *scope) groupOf(ioctx *ioContext, image ImageSpec) (GroupSpec, error) {
	img, err := s.imageReadOnly(ioctx, image.Image, librbd.NoSnapshot)
	if err != nil {
		return GroupSpec{}, err
	}
	g, err := img.group(image.Namespace)
	if closing := img.close(); err == nil {
		err = closing
	}
	return g, err
}

func (o *openImage) group(namespace string) (GroupSpec, error) {
	in, err := native(o.s, "rbd_get_group", o.GetGroup)
	if err != nil || in.Name == "" {
		return GroupSpec{}, err
	}
	pool, err := native(o.s, "rados_pool_reverse_lookup", func() (string, error) { return o.s.conn().GetPoolByID(in.PoolID) })
	return GroupSpec{Pool: pool, Namespace: namespace, Group: in.Name}, err
}
