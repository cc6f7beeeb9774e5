package main

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"rbdctl/rbd"
)

func jobsLsCommand(e *env) *cli.Command {
	var pool string
	return &cli.Command{
		Name:  "ls",
		Usage: "list the jobs of a pool and how far they are",
		Flags: []cli.Flag{poolFlag(&pool)},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			return runJobsLs(c.Context, e, pool)
		},
	}
}

func runJobsLs(ctx context.Context, e *env, pool string) error {
	var jobs []rbd.Job
	err := e.quickOnImages(ctx, func(ctx context.Context, images *rbd.Images) (err error) {
		jobs, err = images.Jobs(ctx, pool)
		return err
	})
	if err != nil {
		return err
	}
	if e.output == "json" {
		rows := []jobJSON{}
		for _, j := range jobs {
			rows = append(rows, jobJSONOf(j))
		}
		return e.printJSON(map[string]any{"jobs": rows})
	}
	if len(jobs) == 0 {
		return nil
	}
	var rows []row
	for _, j := range jobs {
		r := row{cells: []any{j.ID, j.Kind, j.State, progressText(j), humanize.Time(j.Updated)}, below: []string{jobSubject(j)}}
		if j.Error != "" {
			r.below = append(r.below, j.Error)
		}
		rows = append(rows, r)
	}
	_, err = fmt.Fprint(e.out, e.rowsText([]any{"ID", "KIND", "STATE", "DONE", "CHANGED"}, rows))
	return err
}

// jobSubject is what a job is about.
func jobSubject(j rbd.Job) string {
	switch {
	case j.Source != "":
		return j.Source + " to " + j.Subject
	case j.Target != "":
		return j.Subject + " to " + j.Target
	}
	return j.Subject
}

// progressText is how far a job is.
func progressText(j rbd.Job) string {
	if j.Total == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(min(j.Done, j.Total))/float64(j.Total))
}
