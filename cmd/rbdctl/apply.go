package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/backends/integration"
	"rbdctl/internal/spec"
	"rbdctl/rbd"
)

func applyCommand(e *env) *cli.Command {
	var opts applyOptions
	return &cli.Command{
		Name:  "apply",
		Usage: "make the cluster and the libvirts what rbdctl.yaml wants",
		Description: "Performs what plan shows: pools, then entities, then secrets, and reads each back.\n" +
			"A second run changes nothing; after a run that was killed the next goes on. On a\n" +
			"terminal it shows the plan and asks, unless --yes; elsewhere it does not ask.\n" +
			"Nothing is done when something changed between plan and application. A node that\n" +
			"can't be reached stops nothing else.\n\n" +
			"EXIT STATUS\n" +
			"  0  all is as wanted\n" +
			"  1  the plan was not confirmed, or any other failure\n" +
			"  2  the file or the command line is wrong, or the plan is refused\n" +
			"  3  there is no such file\n" +
			"  5  a pool belongs to another application, or something changed meanwhile\n" +
			"  6  denied   7  the cluster or a node is unavailable   8  unsupported\n" +
			"  9  outcome unknown: run it again",
		Flags: append(opts.wish.flags(),
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Destination: &opts.yes, Usage: "do not ask"},
			&cli.BoolFlag{Name: "dry-run", Destination: &opts.dryRun, Usage: "print the plan and change nothing"},
		),
		Action: func(c *cli.Context) error {
			if err := opts.wish.read(c); err != nil {
				return err
			}
			return runApply(c.Context, e, opts)
		},
	}
}

type applyOptions struct {
	wish   wishOptions
	yes    bool
	dryRun bool
}

func runApply(ctx context.Context, e *env, opts applyOptions) error {
	bounded, cancel := e.bounded(ctx)
	defer cancel()
	wish, err := e.wish(opts.wish)
	if err != nil {
		return err
	}
	cluster, err := e.cluster(bounded)
	if err != nil {
		return err
	}
	defer cluster.Close()
	plan, err := integration.NewPlan(bounded, cluster, wish)
	if err != nil {
		return err
	}
	if opts.dryRun {
		err := e.showIntegration(plan, wish.File)
		return errors.Join(err, plan.Refused(), plan.Failed())
	}
	if err := plan.Refused(); err != nil {
		return err
	}
	if plan.Changed() && !opts.yes && interactive(e.in) {
		if err := e.askFor(ctx, plan); err != nil {
			return err
		}
	}
	return e.perform(ctx, cluster, plan, wish)
}

// errNotConfirmed has no kind: nothing went wrong.
var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// askFor shows the plan to the person at the terminal and asks for a yes.
func (e *env) askFor(ctx context.Context, plan integration.Plan) error {
	e.printWarnings(plan.Warnings)
	if err := writeIntegration(e.err, plan); err != nil {
		return err
	}
	line, err := e.ask(ctx, "perform this plan? [y/N] ")
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer := strings.ToLower(line); answer != "y" && answer != "yes" {
		return errNotConfirmed
	}
	return nil
}

// perform applies the plan and prints what came of it, also when a node failed.
// The time limit starts anew: a person may have taken longer to answer.
func (e *env) perform(ctx context.Context, cluster *rbd.Cluster, plan integration.Plan, wish spec.Spec) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	several := severalNodes(plan.Items)
	result, failed := integration.Apply(ctx, cluster, plan, func(i integration.Item) {
		if !several {
			i.Node = ""
		}
		if e.output != "json" {
			e.notef("%s %s", marks[i.Action], i)
		}
	})
	if failed != nil && len(result.Failures) == 0 {
		return failed // not done: there is no result to be shown
	}
	if err := e.printApplied(result, wish.File); err != nil {
		return err
	}
	return failed
}

// appliedJSON is what apply prints with --output json.
type appliedJSON struct {
	Config string `json:"config"`
	integration.Result
}

func (e *env) printApplied(result integration.Result, config string) error {
	if e.output == "json" {
		return e.printJSON(appliedJSON{config, result})
	}
	e.printWarnings(result.Warnings)
	var b strings.Builder
	changed := 0
	for _, i := range brief(result.Items) {
		if i.Action != integration.Keep {
			changed++
		}
		b.WriteString(headline(i))
		writeItemKept(&b, i)
	}
	writeFailures(&b, result.Failures)
	if changed == 0 {
		b.WriteString("\nnothing to change\n")
	} else {
		fmt.Fprintf(&b, "\n%d of %d changed\n", changed, len(result.Items))
	}
	_, err := io.WriteString(e.out, b.String())
	return err
}
