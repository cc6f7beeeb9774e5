package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/pools"
)

func poolsInitCommand(e *env) *cli.Command {
	var text poolSetText
	var opts poolsInitOptions
	return &cli.Command{
		Name:  "init",
		Usage: "create and initialise the pools",
		Description: "Plans the whole set, refuses before anything is made, performs the plan and reads\n" +
			"everything back. A second run changes nothing and says so. Exit status is 2 if the\n" +
			"plan is refused, and 5 if a pool belongs to another application. --output json has\n" +
			".changed and .pools[] as the cluster has them.",
		Flags: append(text.flags(),
			&cli.BoolFlag{Name: "dry-run", Destination: &opts.dryRun, Usage: "print the plan and change nothing"},
		),
		Action: func(c *cli.Context) (err error) {
			if err := operands(c); err != nil {
				return err
			}
			if opts.set, err = text.parse(c); err != nil {
				return err
			}
			return runPoolsInit(c.Context, e, opts)
		},
	}
}

type poolsInitOptions struct {
	set    poolSetOptions
	dryRun bool
}

func runPoolsInit(ctx context.Context, e *env, opts poolsInitOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	top, err := pools.Read(ctx, cluster)
	if err != nil {
		return err
	}
	plan, err := pools.NewPlan(top, opts.set.params, opts.set.options)
	if opts.dryRun {
		return e.showPlan(plan, err)
	}
	if err != nil {
		return err
	}
	for _, s := range plan.Steps { // as a shell with set -x shows what it does
		e.notef("+ %s", s)
	}
	result, err := pools.Apply(ctx, cluster, cluster, plan)
	if err != nil {
		return err
	}
	if result.Changed {
		e.printWarnings(result.Warnings)
	}
	return e.printPools(result)
}
