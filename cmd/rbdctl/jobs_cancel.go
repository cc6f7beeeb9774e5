package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"rbdctl/rbd"
)

func jobsCancelCommand(e *env) *cli.Command {
	var pool string
	return &cli.Command{
		Name:      "cancel",
		Usage:     "stop a job where that can be done without harm",
		ArgsUsage: "ID",
		Description: "What the job was to change stays usable: a volume that was being flattened keeps\n" +
			"its parent, one that was being moved stays in its pool, and of one that was being\n" +
			"imported nothing stays. A purge goes on later. A job that has ended stays as it is.\n" +
			"Exit status is 3 if there is none.",
		Flags: []cli.Flag{poolFlag(&pool)},
		Action: func(c *cli.Context) error {
			if err := operands(c, "ID"); err != nil {
				return err
			}
			return runJobsCancel(c.Context, e, pool, c.Args().First())
		},
	}
}

func runJobsCancel(ctx context.Context, e *env, pool, id string) error {
	return e.quickOnImages(ctx, func(ctx context.Context, images *rbd.Images) error {
		if err := images.CancelJob(ctx, pool, id); err != nil {
			return err
		}
		if e.output == "json" {
			return e.printJSON(map[string]string{"cancelled": id})
		}
		_, err := fmt.Fprintf(e.out, "%s is to be cancelled\n", id)
		return err
	})
}
