package rbd

import (
	"context"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// course is how far an import or a migration is. It is stored when what it says is on
// the disks.
type course struct {
	From    string `json:"from,omitempty"`    // id of the image that is copied, or read
	Version uint64 `json:"version,omitempty"` // of its header when that began
	Begun   int    `json:"begun,omitempty"`   // how often it began
	Made    string `json:"made,omitempty"`    // id of the copy
	Step    int    `json:"step,omitempty"`    // of steps: which one is under way
	Offset  uint64 `json:"offset,omitempty"`  // in bytes: what is before it is done in this step
	Resumed bool   `json:"resumed,omitempty"` // by another process: the copy may hold more than that
	Leaving bool   `json:"leaving,omitempty"` // the image is being taken away: once it is, nothing goes back
	Order   order  `json:"order,omitzero"`    // of an import
}

// StartMigrate queues the move of an image to another pool of the cluster: WorkJobs
// of the image's pool does it. The image keeps its name, namespace, size, object size,
// features, metadata, and the snapshots that somebody took, with their names and their
// protection; it is a clone of nothing afterwards. Clones of it go on working, and keep
// what they need of it in the trash of its old pool, under our mark.
//
// It is copied under another name, and read back, before it goes; until then nothing
// of it is changed, and afterwards it is in one of the two pools, whoever is killed
// when. An image that somebody writes to meanwhile is copied anew. Other operations on
// it wait; a Delete cancels the job. Started again, while it is not done it returns
// the same job.
//
// ErrNotFound when there is no such image or pool; ErrExists when its name is taken in
// that pool; ErrInUse while a client has it open, or it is in a group; ErrDenied when
// this entity may not write there.
//
// Similar To: rbd deep cp <spec> <pool>/<image>; rbd rm <spec>
func (m *Images) StartMigrate(ctx context.Context, spec ImageSpec, pool string) (Job, error) {
	subject := spec.String() + " to " + pool
	to := ImageSpec{Pool: pool, Namespace: spec.Namespace, Image: spec.Image}
	err := spec.validate()
	if err == nil {
		err = to.validate()
	}
	if err == nil && pool == spec.Pool {
		err = fault.New(ErrInvalid, "it is in that pool")
	}
	if err != nil {
		return Job{}, wrap(opMigrate, subject, err)
	}
	info, err := m.Stat(ctx, spec)
	if err != nil {
		return Job{}, err
	}
	job := newJob(opMigrate, info.ID+" "+pool, spec)
	job.Target = pool
	if there, err := m.active(ctx, opMigrate, spec); err != nil || there.ID == job.ID {
		return there, err
	} else if there.ID != "" {
		return Job{}, wrap(opMigrate, subject, fault.Newf(ErrInUse, "job %s moves it to %s", there.ID, there.Target))
	}
	check := func(fn func(*scope) error) error {
		_, err := callRead(ctx, m.cluster, opMigrate, subject, func(s *scope) (struct{}, error) { return struct{}{}, fn(s) })
		return err
	}
	if err := check(func(s *scope) error { return s.mayTake(to) }); err != nil {
		return Job{}, err
	}
	_, _ = m.endJobs(ctx, spec, opFlatten) // it has the image open, and a copy is flat
	if err := check(func(s *scope) error { return s.mayMove(spec) }); err != nil {
		return Job{}, err
	}
	// Whether this entity may write there shows before anybody waits for it.
	if _, err := tryChange(ctx, m, deed{Op: opCheck}, copyOf(job.ID, to), func(*scope, *ioContext) (struct{}, error) {
		return struct{}{}, nil
	}); err != nil {
		return Job{}, err
	}
	_, err = m.queue(ctx, spec.Pool, &job)
	return job, err
}

// Migrated is a job that is done: that of an image which is gone from spec, and is
// there in another pool, as info tells.
func Migrated(spec ImageSpec, info Info) Job {
	j := newJob(opMigrate, info.ID+" "+info.Spec.Pool, spec)
	j.Target, j.State, j.Created = info.Spec.Pool, JobDone, info.Created.UTC()
	return j
}

// mayTake refuses a name that is taken.
func (s *scope) mayTake(to ImageSpec) error {
	ioctx, err := s.poolOf(to)
	if err != nil {
		return err
	}
	there, err := s.taken(ioctx, to.Image)
	if err == nil && there {
		err = fault.Newf(ErrExists, "%s is there: it stays as it is", to)
	}
	return err
}

// mayMove refuses an image that can't be moved as it is now.
func (s *scope) mayMove(spec ImageSpec) error {
	ioctx, err := s.poolOf(spec)
	if err != nil {
		return err
	}
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	return img.movable()
}

// movableFeatures are those of images that can be copied. Where the data objects are
// is for the pool to say where the copy is made.
const movableFeatures = plainFeatures | librbd.FeatureJournaling | featureStriping

const featureStriping = uint64(1 << 1) // RBD_FEATURE_STRIPINGV2

// movable refuses images that are open, or that are a part of something which the
// copy would not be a part of.
func (o *openImage) movable() error {
	if err := o.idle(); err != nil {
		return err
	}
	features, err := native(o.s, "rbd_get_features", o.GetFeatures)
	if err != nil {
		return err
	}
	if odd := features &^ movableFeatures; odd != 0 {
		return fault.Newf(ErrUnsupported, "it has features that a copy would not have: %s (%#x)", names(odd), odd)
	}
	group, err := native(o.s, "rbd_get_group", o.GetGroup)
	if err != nil {
		return err
	}
	if group.Name != "" {
		return fault.Newf(ErrInUse, "it is in the group %s: take it out of that first", group.Name)
	}
	list, err := native(o.s, "rbd_snap_list", o.GetSnapshotNames)
	if err != nil {
		return err
	}
	for _, snap := range list {
		kind, err := native(o.s, "rbd_snap_get_namespace_type", func() (librbd.SnapNamespaceType, error) {
			return o.GetSnapNamespaceType(snap.Id)
		})
		if err != nil {
			return err
		}
		if kind != librbd.SnapNamespaceTypeUser && kind != librbd.SnapNamespaceTypeTrash {
			return fault.Newf(ErrInUse, "its snapshot %s is of a group or of a mirror, which a copy would not be in", snap.Name)
		}
	}
	return nil
}
