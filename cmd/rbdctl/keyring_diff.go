package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/keyring"
)

func keyringDiffCommand(e *env) *cli.Command {
	var opts keyringDiffOptions
	return &cli.Command{
		Name:      "diff",
		Usage:     "show how the services' entities differ from what they should be",
		ArgsUsage: "[ENTITY...]",
		Description: "Caps are compared by what they mean: order, spaces and quotes don't count. Lines\n" +
			"with '-' are what the monitors have, lines with '+' what issue would give. Without\n" +
			"a difference nothing is printed.",
		Flags: append(opts.flags(),
			&cli.BoolFlag{Name: "exit-code", Destination: &opts.exitCode, Usage: "exit with 1 if there are differences, as git diff does"},
		),
		Action: func(c *cli.Context) error {
			named, err := entityOperands(c)
			if err != nil {
				return err
			}
			if opts.desired, err = opts.layoutOptions.desired(named...); err != nil {
				return err
			}
			return runKeyringDiff(c.Context, e, opts)
		},
	}
}

type keyringDiffOptions struct {
	layoutOptions
	desired  []keyring.Params
	exitCode bool
}

func runKeyringDiff(ctx context.Context, e *env, opts keyringDiffOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	// Pools are no difference: issue asks for them.
	plan, err := keyring.Issue(ctx, cluster, opts.desired, keyring.Options{DryRun: true, AllowMissing: true})
	if err != nil {
		return err
	}
	if e.output == "json" {
		if err := e.printJSON(newPlanResult(plan, true)); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(e.out, capsDiff(plan)); err != nil {
		return err
	}
	if opts.exitCode && plan.Changed() {
		return statusError(1)
	}
	return nil
}

// capsDiff is what plan changes, in lines.
func capsDiff(plan keyring.Plan) string {
	var b strings.Builder
	for _, c := range plan {
		switch c.Action {
		case keyring.Keep:
			continue
		case keyring.Create:
			fmt.Fprintf(&b, "%s does not exist\n", c.Entity)
		default:
			fmt.Fprintln(&b, c.Entity)
		}
		for _, lost := range c.Before.Minus(c.After) {
			fmt.Fprintf(&b, "  - %s %s\n", lost.Daemon, lost.Grant)
		}
		for _, gained := range c.After.Minus(c.Before) {
			fmt.Fprintf(&b, "  + %s %s\n", gained.Daemon, gained.Grant)
		}
	}
	return b.String()
}
