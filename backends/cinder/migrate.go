package cinder

import (
	"context"
	"errors"

	"rbdctl/backends"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// Migrate moves a volume to another pool of the cluster, in the background: the job
// tells how far it is. The volume keeps its id, content, snapshots, limits and
// features, and stops being a clone; the same request to create it goes on being
// success, of the backend of that pool. One that is in that pool already, and not in
// this one, is success: a job that is done.
//
// ErrInUse while a client has it open. See rbd.Images.StartMigrate.
// See: cinder/volume/drivers/rbd.py, migrate_volume.
//
// Similar To: rbd deep cp volumes/volume-<uuid> <pool>/volume-<uuid>; rbd rm volumes/volume-<uuid>
func (v Volumes) Migrate(ctx context.Context, id, pool string) (rbd.Job, error) {
	spec, err := v.volume(id)
	if err != nil {
		return rbd.Job{}, err
	}
	if pool == v.Pool {
		return rbd.Job{}, fault.Newf(ErrInvalid, "volume %s: pool %s is the one that this backend has", id, pool)
	}
	if job, err := v.moving(ctx, spec, pool); err != nil || job.ID != "" {
		return job, err
	}
	info, err := v.lookAt(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return v.migrated(ctx, id, pool, err)
	}
	if err != nil {
		return rbd.Job{}, err
	}
	if s := v.sourceOf(info); s.Kind != Empty { // its parent tells no more afterwards
		if err := v.Images.SetMetadata(ctx, spec, map[string]string{originKey: origin(id, s)}, nil); err != nil {
			return rbd.Job{}, err
		}
	}
	return v.Images.StartMigrate(ctx, spec, pool)
}

// moving finds the job that moves a volume to a pool; one without an id is none.
func (v Volumes) moving(ctx context.Context, spec rbd.ImageSpec, pool string) (rbd.Job, error) {
	jobs, err := v.Images.Jobs(ctx, v.Pool)
	for _, j := range jobs {
		running := j.State == rbd.JobQueued || j.State == rbd.JobRunning
		if running && j.Subject == spec.String() && j.Target == pool {
			return j, nil
		}
	}
	return rbd.Job{}, err
}

// migrated is the job of a volume that is in the other pool; missing is what else
// there is to say.
func (v Volumes) migrated(ctx context.Context, id, pool string, missing error) (rbd.Job, error) {
	info, err := v.Images.Whole(ctx, backends.Volume(pool, id))
	if errors.Is(err, ErrNotFound) {
		return rbd.Job{}, missing
	}
	return rbd.Migrated(backends.Volume(v.Pool, id), info), err
}
