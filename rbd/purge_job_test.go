package rbd_test

import (
	"slices"
	"testing"
	"time"

	"rbdctl/rbd"
)

// TestPurgeIsListed: a purge that takes time is a job as long as it runs. Cancelled,
// it stops, and the next one goes on.
func TestPurgeIsListed(t *testing.T) {
	s := inPool(t)
	for _, name := range []string{"v", "w"} {
		s.must(s.images.Create(t.Context(), s.image(name), 8<<40, rbd.CreateOptions{}))
		s.delete(name)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.images.Purge(t.Context(), s.pool, rbd.PurgeOptions{})
		ended <- err
	}()
	var found rbd.Job
	for found.ID == "" {
		select {
		case err := <-ended:
			t.Fatalf("it was over before it was listed: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		jobs, err := s.images.Jobs(t.Context(), s.pool)
		s.must(err)
		if i := slices.IndexFunc(jobs, func(j rbd.Job) bool { return j.Kind == "purge" }); i >= 0 {
			found = jobs[i]
		}
	}
	if found.Subject != s.pool || found.State != rbd.JobRunning || found.Total != 2 {
		t.Errorf("listed as %+v", found)
	}
	s.must(s.images.CancelJob(t.Context(), s.pool, found.ID))
	s.is(<-ended, rbd.ErrUnavailable)
	if list, err := s.images.Deleted(t.Context(), s.pool); err != nil || len(list) == 0 {
		t.Errorf("nothing waits after it was stopped: %+v, %v", list, err)
	}
	s.gone(found.ID)
	s.purge(rbd.PurgeOptions{})
	s.gone(found.ID)
}

// gone fails the test if there is a job of this id.
func (s space) gone(id string) {
	s.Helper()
	_, err := s.images.Job(s.Context(), s.pool, id)
	s.is(err, rbd.ErrNotFound)
}
