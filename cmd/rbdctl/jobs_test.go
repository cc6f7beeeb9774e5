package main

import (
	"context"
	"strings"
	"testing"

	"rbdctl/rbd"
)

// work works on the jobs of the pool until the function that it returns is called.
func (v volumesOn) work() (stop func()) {
	ctx, cancel := context.WithCancel(v.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Images.WorkJobs(ctx, v.Pool, rbd.WorkOptions{}) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			v.Error(err)
		}
	}
}

func (v volumesOn) jobs() []jobJSON {
	v.Helper()
	var list struct{ Jobs []jobJSON }
	v.answer(&list, 0, "jobs", "ls", "--pool", v.Pool)
	return list.Jobs
}

func TestJobs(t *testing.T) {
	v := newVolumes(t)
	if out, _, status := v.run("jobs", "ls", "--pool", v.Pool); status != 0 || out != "" || len(v.jobs()) != 0 {
		t.Errorf("no jobs: status %d, %s", status, out)
	}
	source := v.make("")
	first, second := v.make(source), v.make(source)
	done, err := v.Flatten(t.Context(), first)
	v.must(err)
	cancelled, err := v.Flatten(t.Context(), second)
	v.must(err)

	out, _, status := v.run("jobs", "ls", "--pool", v.Pool)
	if status != 0 || !strings.Contains(out, done.ID+"  flatten  queued  -") || !strings.Contains(out, "\n  "+v.Pool+"/volume-"+first+"\n") {
		t.Errorf("status %d\n%s", status, out)
	}
	for range 2 {
		if out, errOut, status := v.run("jobs", "cancel", "--pool", v.Pool, cancelled.ID); status != 0 || !strings.HasPrefix(out, cancelled.ID) {
			t.Errorf("cancel: status %d, %s%s", status, out, errOut)
		}
	}
	defer v.work()()
	var j jobJSON
	v.answer(&j, 0, "jobs", "watch", "--pool", v.Pool, done.ID)
	if j.State != rbd.JobDone || j.ID != done.ID {
		t.Errorf("watched: %+v", j)
	}
	if out, errOut, status := v.run("jobs", "watch", "--pool", v.Pool, done.ID); status != 0 || out != "flatten of "+v.Pool+"/volume-"+first+": done\n" || errOut != "" {
		t.Errorf("watch: status %d, %s%s", status, out, errOut)
	}
	if out, errOut, status := v.run("jobs", "watch", "--pool", v.Pool, cancelled.ID); status != 1 || !strings.HasSuffix(out, ": cancelled\n") || !strings.Contains(errOut, "was cancelled") {
		t.Errorf("watch of a cancelled job: status %d, %s%s", status, out, errOut)
	}
	for id, depth := range map[string]int{first: 0, second: 1} {
		if got, err := v.Get(t.Context(), id); err != nil || got.Depth != depth {
			t.Errorf("depth %d, want %d: %v", got.Depth, depth, err)
		}
	}
	for _, command := range []string{"watch", "cancel"} {
		if out, errOut, status := v.run("jobs", command, "--pool", v.Pool, "nothing"); status != 3 || out != "" || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%s of nothing: status %d, %s%s", command, status, out, errOut)
		}
	}
}

func TestJobsUsage(t *testing.T) {
	for _, args := range []string{"jobs frobnicate", "jobs ls extra", "jobs watch", "jobs cancel", "jobs cancel a b", "jobs watch a --pool b"} {
		out, errOut, status := onlyText(t, strings.Fields(args)...)
		if status != 2 || out != "" || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, status, out, errOut)
		}
	}
}
