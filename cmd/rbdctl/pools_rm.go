package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"rbdctl/pools"
)

func poolsRmCommand(e *env) *cli.Command {
	var opts poolsRmOptions
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove a pool that nobody needs any more",
		ArgsUsage: "POOL",
		Description: "Shows the images in the pool, their clones in other pools, who has them open, and\n" +
			"the trash. A pool with clones elsewhere, open images or a filled trash is never\n" +
			"removed; one with images only with --with-images. Asks for the pool's name, or\n" +
			"takes it from --confirm. The pool's nodelete flag and the monitors'\n" +
			"mon_allow_pool_delete are lifted for the moment and put back.\n" +
			"Exit status is 3 if there is no such pool, 5 if it is needed.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "with-images", Destination: &opts.withImages, Usage: "remove the images in it too"},
			&cli.StringFlag{Name: "confirm", Destination: &opts.confirm, Usage: "the pool's `NAME` once more, instead of being asked"},
			&cli.BoolFlag{Name: "dry-run", Destination: &opts.dryRun, Usage: "show what is in the pool and change nothing"},
		},
		Action: func(c *cli.Context) error {
			if err := operands(c, "POOL"); err != nil {
				return err
			}
			opts.pool = c.Args().First()
			return runPoolsRm(c.Context, e, opts)
		},
	}
}

type poolsRmOptions struct {
	pool       string
	confirm    string
	withImages bool
	dryRun     bool
}

func runPoolsRm(ctx context.Context, e *env, opts poolsRmOptions) error {
	bounded, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(bounded)
	if err != nil {
		return err
	}
	defer cluster.Close()
	contents, err := readContents(bounded, cluster, opts.pool)
	if err != nil {
		return err
	}
	if e.output != "json" {
		contents.print(e)
	}
	if opts.dryRun && e.output == "json" {
		if err := e.printJSON(contents); err != nil {
			return err
		}
	}
	if err := contents.refusal(opts.withImages); err != nil || opts.dryRun {
		return err
	}
	if err := e.confirm(ctx, question{lost: "pool " + opts.pool, name: opts.pool, given: opts.confirm}); err != nil {
		return err
	}
	// The limit starts anew: a person may have taken longer to answer.
	ctx, again := e.bounded(ctx)
	defer again()
	if err := pools.Remove(ctx, cluster, opts.pool); err != nil {
		return err
	}
	if e.output == "json" {
		return e.printJSON(map[string]any{"removed": opts.pool, "contents": contents})
	}
	_, err = fmt.Fprintf(e.out, "removed %s\n", opts.pool)
	return err
}
