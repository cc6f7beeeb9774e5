package rbd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"rbdctl/internal/fault"
)

// Job is long work that is kept in the cluster and done by whichever process comes
// to it: an entry of the jobs register of the pool, and an intent while somebody is
// at it.
type Job struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`             // "flatten", "import", "migrate" or "purge"
	Subject string    `json:"subject"`          // the spec of the image; of a purge the pool
	Source  string    `json:"source,omitempty"` // of an import: the spec of the snapshot that is read
	Target  string    `json:"target,omitempty"` // of a migration: the pool to be
	State   string    `json:"state"`            // one of the states below
	Done    uint64    `json:"done"`
	Total   uint64    `json:"total"`           // in the unit of Done; zero while not known
	Error   string    `json:"error,omitempty"` // of a failed one, or why one that is queued did not come further
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	Course  course    `json:"course,omitzero"` // of an import or a migration, for whoever goes on with it
}

// The states of a job. The last three are final.
const (
	JobQueued    = "queued"
	JobRunning   = "running"
	JobDone      = "done"
	JobFailed    = "failed"
	JobCancelled = "cancelled"
)

// final tells whether the job changes no more.
func (j Job) final() bool {
	return j.State == JobDone || j.State == JobFailed || j.State == JobCancelled
}

// kept is how long a job is listed after it came to its end.
const kept = 10 * time.Minute

// wish is the key under which it is noted that a job is to be cancelled.
func wish(id string) string { return id + cancelSuffix }

const cancelSuffix = ".cancel"

// jobSpace names the jobs of images: one image has one job of a kind at a time.
var jobSpace = uuid.MustParse("0c1ea1e0-7f0e-4b7c-9d0a-6a1d6f5f6c11") //nolint:gochecknoglobals // constant

// StartFlatten queues the flattening of a clone: WorkJobs does it. While it is not
// done, to start it again returns the same job. ErrNotFound when the image is not
// there.
func (m *Images) StartFlatten(ctx context.Context, spec ImageSpec) (Job, error) {
	info, err := m.Stat(ctx, spec)
	if err != nil {
		return Job{}, err
	}
	job := newJob(opFlatten, info.ID, spec)
	_, err = m.queue(ctx, spec.Pool, &job)
	return job, err
}

// jobID names a job at an image: by the image's id, too, since another image may have
// the name by the time that the job is done.
func jobID(kind, imageID, subject string) string {
	return uuid.NewSHA1(jobSpace, []byte(kind+" "+imageID+" "+subject)).String()
}

// newJob is a job at the image id, which spec names.
func newJob(kind, id string, spec ImageSpec) Job {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return Job{
		ID:   jobID(kind, id, spec.String()),
		Kind: kind, Subject: spec.String(), State: JobQueued, Created: now, Updated: now,
	}
}

// queue puts a job into the register, unless it is there and not yet final, or somebody is
// at it.
func (m *Images) queue(ctx context.Context, pool string, job *Job) (bool, error) {
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	type queued struct {
		job Job
		new bool
	}
	q, err := afterOthers(ctx, func() (queued, error) {
		q, err := tryChange(ctx, m, deed{Op: opCheck}, jobEntry(pool, job.ID), func(s *scope, _ *ioContext) (queued, error) {
			r, err := s.register(pool, jobsRegister)
			if err != nil {
				return queued{}, err
			}
			var there Job
			if found, err := r.get(job.ID, &there); err != nil || found && !there.final() {
				return queued{job: there}, err
			}
			if err := r.drop(wish(job.ID)); err != nil {
				return queued{}, err
			}
			return queued{*job, true}, r.put(job.ID, *job)
		})
		var held *heldError
		if errors.As(err, &held) {
			there, look := m.Job(ctx, pool, job.ID)
			if !errors.Is(look, ErrNotFound) { // else it is about to be put in, or whoever was at that is dead
				return queued{job: there}, look
			}
		}
		return q, err
	})
	if err == nil {
		*job = q.job
	}
	return q.new, err
}

// jobEntry names a job as the subject of an intent.
func jobEntry(pool, id string) ImageSpec { return ImageSpec{Pool: pool, Image: "job." + id} }

// Jobs lists the jobs of a pool, oldest first; those that came to their end for ten
// minutes.
func (m *Images) Jobs(ctx context.Context, pool string) ([]Job, error) {
	return callRead(ctx, m.cluster, "jobs", pool, func(s *scope) ([]Job, error) { return s.jobs(pool) })
}

func (s *scope) jobs(pool string) ([]Job, error) {
	r, err := s.register(pool, jobsRegister)
	if err != nil {
		return nil, err
	}
	values, err := r.entries()
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for key, text := range values {
		if strings.HasSuffix(key, cancelSuffix) {
			continue
		}
		var j Job
		if err := r.decode(key, text, &j); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b Job) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return jobs, nil
}

// active finds the job of a kind that is at an image; none has no id.
func (m *Images) active(ctx context.Context, kind string, spec ImageSpec) (Job, error) {
	jobs, err := m.Jobs(ctx, spec.Pool)
	for _, j := range jobs {
		if j.Kind == kind && j.Subject == spec.String() && !j.final() {
			return j, nil
		}
	}
	return Job{}, err
}

// Job looks at one job. ErrNotFound when there is none of this id, or none any more.
func (m *Images) Job(ctx context.Context, pool, id string) (Job, error) {
	return callRead(ctx, m.cluster, "job", pool+"/"+id, func(s *scope) (Job, error) {
		r, err := s.register(pool, jobsRegister)
		if err != nil {
			return Job{}, err
		}
		return r.job(id)
	})
}

func (r register) job(id string) (Job, error) {
	var j Job
	there, err := r.get(id, &j)
	if err == nil && !there {
		err = fault.New(ErrNotFound, "there is no such job, or it ended a while ago")
	}
	return j, err
}

// CancelJob asks that a job be stopped: whoever is at it stops within seconds, and
// one that nobody is at is cancelled at once. What was done so far is kept, and the
// image is whole. A job that came to its end stays as it is. A purge that is stopped is
// begun anew before long.
func (m *Images) CancelJob(ctx context.Context, pool, id string) error {
	subject := pool + "/" + id
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	asked, err := call(ctx, m.cluster, "cancel", subject, func(s *scope) (bool, error) {
		r, err := s.register(pool, jobsRegister)
		if err != nil {
			return false, err
		}
		j, err := r.job(id)
		if err != nil || j.final() {
			return true, err
		}
		return j.Kind == opPurge, r.put(wish(id), true) // it holds no intent
	})
	if err != nil || asked {
		return err
	}
	_, err = tryChange(ctx, m, deed{Op: opCheck}, jobEntry(pool, id), func(s *scope, _ *ioContext) (struct{}, error) {
		r, err := s.register(pool, jobsRegister)
		if err != nil {
			return struct{}{}, err
		}
		j, err := r.job(id)
		if err != nil || j.final() {
			return struct{}{}, err
		}
		return struct{}{}, s.cancelled(ctx, r, j)
	})
	var held *heldError
	if errors.As(err, &held) {
		return nil // whoever is at it will see the wish
	}
	return err
}

// cancelled ends a job that nobody is at. This process holds its intent.
func (s *scope) cancelled(ctx context.Context, r register, j Job) error {
	a := &atJob{register: r, job: j}
	t := s.task(ctx, a)
	err := t.undo()
	if errors.Is(err, errTooLate) {
		return errors.Join(t.leave(err), r.drop(wish(j.ID))) // it is carried out
	}
	if err != nil {
		return errors.Join(err, t.leave(err))
	}
	return r.end(a.now(), JobCancelled, nil)
}

// end stores the last state of a job.
func (r register) end(j Job, state string, cause error) error {
	j.State, j.Error, j.Updated = state, "", time.Now().UTC().Truncate(time.Millisecond)
	if cause != nil {
		j.Error = oneLine(cause)
	}
	return errors.Join(r.put(j.ID, j), r.drop(wish(j.ID)))
}

// oneLine is the text of an error, which may be several that were joined.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
