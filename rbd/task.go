package rbd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rbdctl/internal/fault"
)

// task is the work of one kind of job, under the job's intent.
type task struct {
	do    func() (*Parent, error) // the snapshot that the image was a clone of until now, if any
	undo  func() error            // after a failure, or when it is cancelled; errTooLate: it goes on
	leave func(cause error) error // when cause stopped it midway: another process goes on
	gone  func(error) bool        // do failed because there is nothing to do it to any more
}

// errTooLate is why a job can't be undone any more: it is carried out.
var errTooLate = fault.New(ErrInvalid, "it is past the point of return")

// task is that of a job.
func (s *scope) task(ctx context.Context, a *atJob) task {
	switch a.now().Kind {
	case opMigrate:
		return s.migrateTask(ctx, a)
	case opImport:
		return s.importTask(ctx, a)
	}
	return s.flattenTask(ctx, a)
}

// atJob is a job that this process is at, for all who write to its entry.
type atJob struct {
	register register
	opener   Opener
	mu       sync.Mutex
	job      Job
}

func (a *atJob) now() Job {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.job
}

// tell notes how far the job has come: beats store it.
func (a *atJob) tell(done, total uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.job.Done, a.job.Total = done, total
}

// store changes the entry, here and in the register.
func (a *atJob) store(change func(*Job)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.job)
	a.job.Updated = time.Now().UTC().Truncate(time.Millisecond)
	return a.register.put(a.job.ID, a.job)
}

// reload reads the entry again: whoever ended what a dead process had begun may
// have changed it.
func (a *atJob) reload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	j, err := a.register.job(a.job.ID)
	if err == nil {
		j.State, j.Error = a.job.State, a.job.Error
		a.job = j
	}
	return err
}

// beats stores every second how far the job has come, and looks whether it is to be
// cancelled: then it calls stop. It ends with ctx; finished waits for that, and tells
// whether it was to be cancelled.
func (a *atJob) beats(ctx context.Context, stop func()) (finished func() (cancelled bool)) {
	var cancelled atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = a.store(func(*Job) {}) // the next one tells
				if a.unwanted() {
					cancelled.Store(true)
					stop()
				}
			}
		}
	}()
	return func() bool {
		<-ended
		return cancelled.Load()
	}
}

// unwanted tells whether the job is to be cancelled.
func (a *atJob) unwanted() bool {
	var wanted bool
	there, err := a.register.get(wish(a.now().ID), &wanted)
	return err == nil && there
}

// work does a job and stores how it ended. One that was stopped, or that the cluster
// gave no answer to, is queued again.
func (s *scope) work(ctx context.Context, a *atJob) (*Parent, error) {
	if err := a.store(func(j *Job) { j.State, j.Error = JobRunning, "" }); err != nil {
		return nil, err
	}
	inner, stop := context.WithCancel(ctx)
	defer stop()
	finished := a.beats(inner, stop)
	t := s.task(inner, a)
	var parent *Parent
	err := error(nil)
	if a.unwanted() {
		stop() // it was cancelled while nobody was at it
		err = stopped(inner)
	} else {
		parent, err = t.do()
	}
	stop()
	cancelled := finished() || a.unwanted()
	if err == nil {
		j := a.now()
		j.Done = j.Total
		return parent, a.register.end(j, JobDone, nil)
	}
	return nil, s.failed(ctx, a, t, cancelled, err)
}

// failed stores what becomes of a job that was not done.
func (s *scope) failed(ctx context.Context, a *atJob, t task, cancelled bool, cause error) error {
	state := JobFailed
	switch {
	case cancelled, t.gone(cause):
		state = JobCancelled
	case ctx.Err() != nil:
		return errors.Join(t.leave(cause), a.again(nil))
	case passes(cause):
		return errors.Join(t.leave(cause), a.again(cause))
	}
	err := t.undo()
	if errors.Is(err, errTooLate) {
		return errors.Join(t.leave(err), a.register.drop(wish(a.now().ID)), a.again(cause))
	}
	if err != nil {
		return errors.Join(err, t.leave(err), a.again(err))
	}
	if state == JobCancelled {
		cause = nil
	}
	return a.register.end(a.now(), state, cause)
}

// again queues a job that did not come further, because of cause; nil: this process
// was stopped.
func (a *atJob) again(cause error) error {
	return a.store(func(j *Job) {
		if j.State = JobQueued; cause != nil {
			j.Error = oneLine(cause)
		}
	})
}

// passes tells whether what a job failed with can be over the next time.
func passes(err error) bool {
	var held *heldError
	if errors.As(err, &held) {
		return true
	}
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOutcomeUnknown) || errors.Is(kindOf(err), ErrUnavailable)
}
