package sidecar

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/backends/cinder"
	"rbdctl/rbd"
)

func (a *api) registerJobs() {
	huma.Register(a, operation(http.MethodPost, "/v1/volumes/{id}/flatten", "flatten-volume",
		"Begin to cut a volume from its parent, by a job", status(http.StatusAccepted)), a.flatten)
	huma.Register(a, operation(http.MethodPost, "/v1/volumes/{id}/migrate", "migrate-volume",
		"Begin to move a volume to another pool of the cluster, by a job; one that is there already is success", status(http.StatusAccepted)), a.migrate)
	huma.Register(a, operation(http.MethodPost, "/v1/volumes/{id}/import", "import-volume",
		"Begin to make a volume of a Glance image that cannot be cloned, by a job; one that was made so is success", status(http.StatusAccepted)), a.importImage)
	huma.Register(a, operation(http.MethodGet, "/v1/jobs", "list-jobs", "List the jobs of the pool"), a.jobs)
	huma.Register(a, operation(http.MethodGet, "/v1/jobs/{job_id}", "get-job", "Look at a job"), a.job)
	huma.Register(a, operation(http.MethodDelete, "/v1/jobs/{job_id}", "cancel-job",
		"Stop a job; what it has done stays done"), a.cancelJob)
	a.registerEvents()
}

// Job is long work, done by whichever sidecar comes to it.
type Job struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind" doc:"flatten, import, migrate or purge."`
	Subject string    `json:"subject" doc:"The image, as pool/image; of a purge the pool."`
	Source  string    `json:"source,omitempty" doc:"Of an import: what is read, as pool/image@snapshot."`
	Target  string    `json:"target,omitempty" doc:"Of a migration: the pool that the image goes to."`
	State   string    `json:"state" enum:"queued,running,done,failed,cancelled"`
	Done    uint64    `json:"done"`
	Total   uint64    `json:"total" doc:"In the unit of done; 0 while it is not known."`
	Error   string    `json:"error,omitempty" doc:"Of a failed one, or why one that is queued came no further."`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

func newJob(j rbd.Job) Job {
	return Job{
		ID: j.ID, Kind: j.Kind, Subject: j.Subject, Source: j.Source, Target: j.Target, State: j.State,
		Done: j.Done, Total: j.Total, Error: j.Error, Created: j.Created, Updated: j.Updated,
	}
}

// over tells whether nothing more happens to a job.
func (j Job) over() bool {
	return j.State == rbd.JobDone || j.State == rbd.JobFailed || j.State == rbd.JobCancelled
}

// endsUnseen tells whether a job that was there ended, from the failure to look at it:
// a purge goes with its end.
func (j Job) endsUnseen(err error) bool {
	return j.Kind == "purge" && errors.Is(err, rbd.ErrNotFound)
}

func (j Job) ended() Job {
	j.State, j.Done = rbd.JobDone, j.Total
	return j
}

type jobOutput struct{ Body Job }

func (a *api) flatten(ctx context.Context, in *ByID) (*jobOutput, error) {
	j, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (rbd.Job, error) {
		return v.Flatten(ctx, in.ID)
	})
	return &jobOutput{newJob(j)}, err
}

type migrateInput struct {
	ByID
	Body struct {
		Pool string `json:"pool" minLength:"1" doc:"The pool that the volume is to be in."`
	}
}

func (a *api) migrate(ctx context.Context, in *migrateInput) (*jobOutput, error) {
	j, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (rbd.Job, error) {
		return v.Migrate(ctx, in.ID, in.Body.Pool)
	})
	return &jobOutput{newJob(j)}, err
}

type importInput struct {
	ByID
	Body struct {
		ImageID    string `json:"image_id" doc:"Of the Glance image, which is in the sidecar's pool of images."`
		Format     string `json:"format" enum:"qcow2,raw" doc:"What Glance says that it is; content that shows another one is invalid."`
		Size       uint64 `json:"size_bytes" minimum:"1" doc:"What the volume is to have, exactly."`
		ObjectSize uint64 `json:"object_size_bytes,omitempty" doc:"A power of two from 4 KiB to 32 MiB; without it the cluster's default."`
	}
}

func (a *api) importImage(ctx context.Context, in *importInput) (*jobOutput, error) {
	want := cinder.Import{
		ID: in.ID, ImageID: in.Body.ImageID, Format: in.Body.Format, Size: in.Body.Size, ObjectSize: in.Body.ObjectSize,
	}
	j, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (rbd.Job, error) {
		return v.Import(ctx, want)
	})
	return &jobOutput{newJob(j)}, err
}

type jobsOutput struct {
	Body struct {
		Jobs []Job `json:"jobs"`
	}
}

func (a *api) jobs(ctx context.Context, _ *struct{}) (*jobsOutput, error) {
	list, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) ([]rbd.Job, error) {
		return v.Images.Jobs(ctx, v.Pool)
	})
	out := &jobsOutput{}
	out.Body.Jobs = []Job{}
	for _, j := range list {
		out.Body.Jobs = append(out.Body.Jobs, newJob(j))
	}
	return out, err
}

// ByJobID is the operand of operations on a job.
type ByJobID struct {
	ID string `path:"job_id"`
}

func (a *api) job(ctx context.Context, in *ByJobID) (*jobOutput, error) {
	j, err := a.lookAtJob(ctx, in.ID)
	return &jobOutput{j}, err
}

func (a *api) lookAtJob(ctx context.Context, id string) (Job, error) {
	j, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (rbd.Job, error) {
		return v.Images.Job(ctx, v.Pool, id)
	})
	return newJob(j), err
}

func (a *api) cancelJob(ctx context.Context, in *ByJobID) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error {
		return v.Images.CancelJob(ctx, v.Pool, in.ID)
	})
}
