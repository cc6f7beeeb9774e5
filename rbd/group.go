package rbd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// GroupSpec names a group of images, as the rbd tool does: pool/[namespace/]group.
// Its images are of the same pool and namespace.
type GroupSpec struct {
	Pool, Namespace, Group string
}

func (g GroupSpec) String() string {
	return ImageSpec{Pool: g.Pool, Namespace: g.Namespace, Image: g.Group}.String()
}

// parseGroupSpec is the inverse of String.
func parseGroupSpec(text string) (GroupSpec, error) {
	spec, err := ParseImageSpec(text)
	return GroupSpec{Pool: spec.Pool, Namespace: spec.Namespace, Group: spec.Image}, err
}

// groupPrefix begins the name under which a group has its intent.
const groupPrefix = "group."

// holder is the intent's name of the group.
func (g GroupSpec) holder() ImageSpec {
	return ImageSpec{Pool: g.Pool, Namespace: g.Namespace, Image: groupPrefix + g.Group}
}

// groupOfHolder is the group whose intent's name is holder.
func groupOfHolder(holder ImageSpec) GroupSpec {
	return GroupSpec{Pool: holder.Pool, Namespace: holder.Namespace, Group: strings.TrimPrefix(holder.Image, groupPrefix)}
}

func (g GroupSpec) validate() error {
	if err := CheckName("group", g.Group); err != nil {
		return err
	}
	return g.holder().validate()
}

// image is the image of the group's pool that is called name.
func (g GroupSpec) image(name string) ImageSpec {
	return ImageSpec{Pool: g.Pool, Namespace: g.Namespace, Image: name}
}

// EnsureGroup makes a group be there; created tells whether it made it.
//
// Similar To: rbd group create <group>
func (m *Images) EnsureGroup(ctx context.Context, g GroupSpec) (created bool, err error) {
	return changeGroup(ctx, m, deed{Op: opGroupCreate}, g, func(s *scope, ioctx *ioContext) (bool, error) {
		there, err := s.groupThere(ioctx, g)
		if err != nil || there {
			return false, err
		}
		err = run(s, "rbd_group_create", func() error { return librbd.GroupCreate(ioctx, g.Group) })
		if isErrno(err, syscall.EEXIST) { // a name without a group, of one that was cut short
			if err = s.removeGroup(ioctx, g); err == nil {
				err = run(s, "rbd_group_create", func() error { return librbd.GroupCreate(ioctx, g.Group) })
			}
		}
		if err != nil {
			return false, err
		}
		if there, err = s.groupThere(ioctx, g); err == nil && !there {
			err = fault.Newf(ErrUnavailable, "%s is not there after it was made: try again", g)
		}
		return there, err
	})
}

// groupThere tells whether a group is there, and whole.
func (s *scope) groupThere(ioctx *ioContext, g GroupSpec) (bool, error) {
	id, err := s.groupID(ioctx, g)
	if err != nil || id == "" {
		return false, err
	}
	err = run(s, "rados_stat", func() error {
		_, err := ioctx.Stat("rbd_group_header." + id)
		return err
	})
	if isErrno(err, syscall.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// groupID is the id of the group of this name, "" when there is none: librbd takes
// one that is not there for one without images.
func (s *scope) groupID(ioctx *ioContext, g GroupSpec) (string, error) {
	key := "name_" + g.Group
	values, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
		return ioctx.GetOmapValues("rbd_group_directory", "", key, 1)
	})
	return cephString(values[key]), ignore(err, syscall.ENOENT)
}

// changeGroup is change for a group, bounded.
func changeGroup[T any](ctx context.Context, m *Images, d deed, g GroupSpec, fn func(*scope, *ioContext) (T, error)) (T, error) {
	if err := g.validate(); err != nil {
		var none T
		return none, wrap(d.Op, g.String(), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	return change(ctx, m, d, g.holder(), fn)
}

// DeleteGroup removes a group. Its images stay, and so do their snapshots that
// SnapshotGroup took. Gone is success.
//
// Similar To: rbd group rm <group>
func (m *Images) DeleteGroup(ctx context.Context, g GroupSpec) error {
	_, err := changeGroup(ctx, m, deed{Op: opGroupDelete}, g, func(s *scope, ioctx *ioContext) (struct{}, error) {
		return struct{}{}, s.removeGroup(ioctx, g)
	})
	var held *heldError
	if errors.As(err, &held) && held.record.Subject != g.holder().String() {
		err = wrap(opGroupDelete, g.String(), fault.Newf(ErrUnavailable, "somebody's snapshot of it has to be ended, and another operation is at its image: try again (%v)", held))
	}
	return err
}

// GroupMembers names the images of a group, sorted. ErrNotFound when it is not there.
//
// Similar To: rbd group image ls <group>
func (m *Images) GroupMembers(ctx context.Context, g GroupSpec) ([]ImageSpec, error) {
	if err := g.validate(); err != nil {
		return nil, wrap("group image ls", g.String(), err)
	}
	return callRead(ctx, m.cluster, "group image ls", g.String(), func(s *scope) ([]ImageSpec, error) {
		ioctx, err := s.pool(g.Pool, g.Namespace)
		if err != nil {
			return nil, err
		}
		names, err := s.members(ioctx, g)
		var images []ImageSpec
		for _, name := range names {
			images = append(images, g.image(name))
		}
		return images, err
	})
}

// members are the names of a group's images, sorted. Those that somebody was
// killed over while it put them in are not among them. ErrNotFound when the group is
// not there.
func (s *scope) members(ioctx *ioContext, g GroupSpec) ([]string, error) {
	there, err := s.groupThere(ioctx, g)
	if err == nil && !there {
		err = fault.New(ErrNotFound, "there is no such group")
	}
	if err != nil {
		return nil, err
	}
	list, err := native(s, "rbd_group_image_list", func() ([]librbd.GroupImageInfo, error) {
		return librbd.GroupImageList(ioctx, g.Group)
	})
	var names []string
	for _, i := range list {
		if i.State == librbd.GroupImageStateAttached {
			names = append(names, i.Name)
		}
	}
	slices.Sort(names)
	return names, err
}
