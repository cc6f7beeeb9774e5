package sidecar

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rbdctl/rbd"
)

// slow makes a clone that takes seconds to flatten: it has thousands of objects.
func (r *running) slow() (source, clone string) {
	r.Helper()
	const size = 8 * mib
	source, clone = "/v1/volumes/"+uuid.NewString(), "/v1/volumes/"+uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, source, map[string]any{"size_bytes": size, "object_size_bytes": 4096})
	r.wants(http.StatusOK, http.MethodPut, source+"/data", strings.Repeat("x", size))
	r.wants(http.StatusCreated, http.MethodPut, clone, map[string]any{
		"size_bytes": size,
		"source":     map[string]any{"kind": "volume", "id": strings.TrimPrefix(source, "/v1/volumes/")},
	})
	return source, clone
}

// flatten begins a job, and returns its path.
func (r *running) flatten(volume string) string {
	r.Helper()
	return "/v1/jobs/" + text(r.wants(http.StatusAccepted, http.MethodPost, volume+"/flatten", nil).doc["id"])
}

// getsOn waits until a job is worked on, and has come some way.
func (r *running) getsOn(job string) {
	r.Helper()
	r.eventually("the job gets on", func() bool {
		j := r.wants(http.StatusOK, http.MethodGet, job, nil)
		done, _ := j.doc["done"].(float64)
		if state := text(j.doc["state"]); state != rbd.JobQueued && state != rbd.JobRunning {
			r.Fatalf("it is over: %s", j.text)
		}
		return done > 0
	})
}

// TestCancel: a job stops when it is told to, and who follows it is told how far it has
// come, and of its end.
func TestCancel(t *testing.T) {
	r := start(t, ownPool(t))
	source, clone := r.slow()
	job := r.flatten(clone)
	var told []Job
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		told = r.follow(job + "/events")
	}()
	r.getsOn(job)
	r.wants(http.StatusNoContent, http.MethodDelete, job, nil)
	<-followed
	if len(told) == 0 || told[len(told)-1].State != rbd.JobCancelled {
		t.Errorf("the events are %+v", told)
	}
	if !slices.ContainsFunc(told, func(j Job) bool { return j.State == rbd.JobRunning && j.Done > 0 && j.Done < j.Total }) {
		t.Errorf("the events do not tell how far it has come: %+v", told)
	}
	if got := r.wants(http.StatusOK, http.MethodGet, clone, nil); got.doc["parent"] == nil {
		t.Errorf("after it was cancelled: %s", got.text)
	}
	r.wants(http.StatusNoContent, http.MethodDelete, job, nil)
	r.wants(http.StatusNotFound, http.MethodDelete, "/v1/jobs/none", nil)
	r.wants(http.StatusNoContent, http.MethodDelete, clone, nil)
	r.wants(http.StatusNoContent, http.MethodDelete, source, nil)
}

// TestJobsAtATime: of two jobs the second waits for the first, when a sidecar is to work on
// one at a time.
func TestJobsAtATime(t *testing.T) {
	r := start(t, ownPool(t), func(c *Config) { c.Jobs = 1 })
	_, first := r.slow()
	_, second := r.slow()
	r.flatten(first)
	r.flatten(second)
	waited := false
	r.eventually("both are done", func() bool {
		list := r.wants(http.StatusOK, http.MethodGet, "/v1/jobs", nil)
		in := map[string]int{}
		jobs, _ := list.doc["jobs"].([]any)
		for _, j := range jobs {
			in[text(j.(map[string]any)["state"])]++
		}
		if in[rbd.JobRunning] > 1 {
			t.Errorf("two at a time: %s", list.text)
		}
		waited = waited || in[rbd.JobRunning] == 1 && in[rbd.JobQueued] == 1
		return in[rbd.JobDone] == 2 || t.Failed()
	})
	if !waited {
		t.Error("none was seen to wait")
	}
}

// TestStopDuringAJob: a sidecar that is told to stop leaves the job that it is at to another
// one, which finishes it.
func TestStopDuringAJob(t *testing.T) {
	r := start(t, ownPool(t))
	_, clone := r.slow()
	job := r.flatten(clone)
	r.getsOn(job)
	other := another(t, func(c *Config) { c.Pool, c.ImagePool = r.cfg.Pool, r.cfg.ImagePool })
	r.must(r.stop())
	if told := other.follow(job + "/events"); len(told) == 0 || told[len(told)-1].State != rbd.JobDone {
		t.Errorf("the events are %+v", told)
	}
	if got := other.wants(http.StatusOK, http.MethodGet, clone, nil); got.doc["parent"] != nil {
		t.Errorf("after the job: %s", got.text)
	}
}
