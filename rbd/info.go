package rbd

import (
	"context"
	"slices"
	"syscall"
	"time"

	librbd "github.com/ceph/go-ceph/rbd"
)

// Info is what an image is, by itself.
type Info struct {
	Spec       ImageSpec
	ID         string // RBD's own, part of the names of the data objects
	Size       uint64 // bytes
	ObjectSize uint64 // bytes
	Features   []string
	Created    time.Time
	Parent     *Parent // nil: not a clone
	Snapshots  []Snapshot
}

// Parent is the snapshot that a clone was made from. The names may have changed
// since; the triple of pool, image and snapshot id has not.
type Parent struct {
	SnapSpec
	PoolID  uint64
	ImageID string
	SnapID  uint64
	Trashed bool // the parent image is in the trash
}

// Snapshot is one snapshot of an image.
type Snapshot struct {
	ID        uint64
	Name      string
	Size      uint64 // bytes
	Protected bool
}

// Snapshot finds one by its name.
func (i Info) Snapshot(name string) (Snapshot, bool) {
	for _, s := range i.Snapshots {
		if s.Name == name {
			return s, true
		}
	}
	return Snapshot{}, false
}

// Stat looks at an image, with read caps only. ErrNotFound when it is not there.
//
// Similar To: rbd info <spec>
func (m *Images) Stat(ctx context.Context, spec ImageSpec) (Info, error) {
	if err := spec.validate(); err != nil {
		return Info{}, wrap("info", spec.String(), err)
	}
	info, err := look(ctx, m, "info", spec, (*openImage).info)
	info.Spec = spec
	return info, err
}

// look runs fn on the image of spec, open for reading.
func look[T any](ctx context.Context, m *Images, op string, spec ImageSpec, fn func(*openImage) (T, error)) (T, error) {
	return callRead(ctx, m.cluster, op, spec.String(), func(s *scope) (T, error) {
		var none T
		ioctx, err := s.poolOf(spec)
		if err != nil {
			return none, err
		}
		img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
		if err != nil {
			return none, err
		}
		return fn(img)
	})
}

// info reads everything but the name. The values are cached by librbd since the
// image was opened: no call here goes to the cluster but the parent's names.
func (o *openImage) info() (Info, error) {
	var info Info
	stat, err := native(o.s, "rbd_stat", o.Stat)
	if err != nil {
		return info, err
	}
	info.Size, info.ObjectSize = stat.Size, stat.Obj_size
	if info.ID, err = native(o.s, "rbd_get_id", o.GetId); err != nil {
		return info, err
	}
	bits, err := native(o.s, "rbd_get_features", o.GetFeatures)
	if err != nil {
		return info, err
	}
	set := librbd.FeatureSet(bits)
	info.Features = set.Names()
	slices.Sort(info.Features)
	stamp, err := native(o.s, "rbd_get_create_timestamp", o.GetCreateTimestamp)
	if err != nil {
		return info, err
	}
	info.Created = time.Unix(stamp.Sec, stamp.Nsec)
	if info.Parent, err = o.parent(); err != nil {
		return info, err
	}
	info.Snapshots, err = o.snapshots()
	return info, err
}

// parent is nil for an image that is not a clone.
func (o *openImage) parent() (*Parent, error) {
	p, err := native(o.s, "rbd_get_parent", o.GetParent)
	if isErrno(err, syscall.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	image := ImageSpec{Pool: p.Image.PoolName, Namespace: p.Image.PoolNamespace, Image: p.Image.ImageName}
	return &Parent{
		SnapSpec: image.At(p.Snap.SnapName),
		PoolID:   p.Image.PoolID,
		ImageID:  p.Image.ImageID,
		SnapID:   p.Snap.ID,
		Trashed:  p.Image.Trash,
	}, nil
}

// snapshots are those that somebody took by name: not those of groups, nor those
// that librbd keeps for clones after their removal.
func (o *openImage) snapshots() ([]Snapshot, error) {
	list, err := o.snapshotsOf(librbd.SnapNamespaceTypeUser)
	if err != nil {
		return nil, err
	}
	var snaps []Snapshot
	for _, s := range list {
		protected, err := o.protected(s.Name)
		if err != nil {
			return nil, err
		}
		snaps = append(snaps, Snapshot{ID: s.Id, Name: s.Name, Size: s.Size, Protected: protected})
	}
	return snaps, nil
}

// snapshotsOf lists those of one namespace: users' own, parts of groups' snapshots, or
// the trash of snapshots.
func (o *openImage) snapshotsOf(kind librbd.SnapNamespaceType) ([]librbd.SnapInfo, error) {
	list, err := native(o.s, "rbd_snap_list", o.GetSnapshotNames)
	var found []librbd.SnapInfo
	for _, snap := range list {
		is, err := native(o.s, "rbd_snap_get_namespace_type", func() (librbd.SnapNamespaceType, error) {
			return o.GetSnapNamespaceType(snap.Id)
		})
		if err != nil {
			return nil, err
		}
		if is == kind {
			found = append(found, snap)
		}
	}
	return found, err
}

// snapshot finds one by its name.
func (o *openImage) snapshot(name string) (Snapshot, bool, error) {
	list, err := o.snapshots()
	s, there := Info{Snapshots: list}.Snapshot(name)
	return s, there, err
}

func (o *openImage) protected(snap string) (bool, error) {
	return native(o.s, "rbd_snap_is_protected", o.GetSnapshot(snap).IsProtected)
}

// List names the images of a pool's namespace, sorted by RBD's own order. Names
// of half-removed images are among them: only Stat tells.
//
// Similar To: rbd ls <pool>/<namespace>
func (m *Images) List(ctx context.Context, pool, namespace string) ([]string, error) {
	return callRead(ctx, m.cluster, "ls", pool, func(s *scope) ([]string, error) {
		ioctx, err := s.pool(pool, namespace)
		if err != nil {
			return nil, err
		}
		return native(s, "rbd_list2", func() ([]string, error) { return librbd.GetImageNames(ioctx) })
	})
}

// Watcher is a client that has an image open for writing.
type Watcher struct {
	Address string // "10.0.0.1:0/3141592653": address and nonce
	Client  int64  // the number of client.NNN in Ceph's logs
}

// Watchers lists the clients that hold an image open.
//
// Similar To: rbd status <spec>
func (m *Images) Watchers(ctx context.Context, spec ImageSpec) ([]Watcher, error) {
	return look(ctx, m, "status", spec, func(img *openImage) ([]Watcher, error) {
		list, err := native(img.s, "rbd_watchers_list", img.ListWatchers)
		var watchers []Watcher
		for _, w := range list {
			watchers = append(watchers, Watcher{Address: bareAddress(w.Addr), Client: w.Id})
		}
		return watchers, err
	})
}
