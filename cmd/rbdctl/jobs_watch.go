package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

func jobsWatchCommand(e *env) *cli.Command {
	var pool string
	return &cli.Command{
		Name:      "watch",
		Usage:     "wait until a job has ended",
		ArgsUsage: "ID",
		Description: "Shows the progress on a terminal. Exit status is 0 when the job is done, 1 when it\n" +
			"failed or was cancelled, 3 if there is none. A job goes on when nobody watches.",
		Flags: []cli.Flag{poolFlag(&pool)},
		Action: func(c *cli.Context) error {
			if err := operands(c, "ID"); err != nil {
				return err
			}
			return runJobsWatch(c.Context, e, pool, c.Args().First())
		},
	}
}

// jobsPause is between two looks at a job.
const jobsPause = 500 * time.Millisecond

func runJobsWatch(ctx context.Context, e *env, pool, id string) error {
	return e.onImages(ctx, func(images *rbd.Images) error {
		bar := e.progress("job")
		job, err := untilEnded(ctx, images, pool, id, bar.report)
		bar.end(err == nil && job.State == rbd.JobDone)
		if err != nil {
			return err
		}
		return e.printEndedJob(job)
	})
}

// untilEnded looks at a job again and again. A cluster that does not answer for a
// while does not end it.
func untilEnded(ctx context.Context, images *rbd.Images, pool, id string, progress rbd.Progress) (rbd.Job, error) {
	tick := time.NewTicker(jobsPause)
	defer tick.Stop()
	var seen rbd.Job
	for {
		job, err := images.Job(ctx, pool, id)
		if seen.Kind == "purge" && errors.Is(err, fault.ErrNotFound) { // it goes with its end
			job, err = seen, nil
			job.State, job.Done = rbd.JobDone, job.Total
		}
		if err == nil {
			seen = job
		}
		if err != nil && !errors.Is(err, fault.ErrUnavailable) {
			return job, err
		}
		if err == nil {
			progress(job.Done, job.Total)
		}
		if err == nil && ended(job) {
			return job, nil
		}
		select {
		case <-ctx.Done():
			return job, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// printEndedJob prints how a job ended, and is an error if that was not well.
func (e *env) printEndedJob(job rbd.Job) error {
	if e.output == "json" {
		if err := e.printJSON(jobJSONOf(job)); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(e.out, "%s of %s: %s\n", job.Kind, jobSubject(job), job.State); err != nil {
		return err
	}
	switch job.State {
	case rbd.JobDone:
		return nil
	case rbd.JobFailed:
		return fault.Newf(nil, "job %s failed: %s", job.ID, job.Error)
	}
	return fault.Newf(nil, "job %s was cancelled", job.ID)
}
