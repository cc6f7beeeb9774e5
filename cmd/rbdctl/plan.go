package main

import (
	"context"
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/backends/integration"
	"rbdctl/internal/fault"
)

// The exit statuses of plan, beside 0 for nothing to change.
const (
	statusChanges statusError = 2
	statusRefused statusError = 3
)

func planCommand(e *env) *cli.Command {
	var opts wishOptions
	return &cli.Command{
		Name:  "plan",
		Usage: "show what apply would change, what that costs, and what is refused",
		Description: "Compares rbdctl.yaml with the cluster and the libvirts, and changes nothing.\n" +
			"Without a file the standard integration is wanted: four pools, five entities,\n" +
			"and the secrets of client.cinder and client.nova on every libvirt that is known.\n" +
			"  + is made   ~ is changed   = stays   ! is refused   ? can't be asked\n\n" +
			"EXIT STATUS\n" +
			"  0  nothing to change\n" +
			"  2  there are changes\n" +
			"  3  the plan is refused: apply would do nothing of it\n" +
			"  6  denied   7  the cluster or a node is unavailable   8  unsupported\n" +
			"  9  outcome unknown\n" +
			"  1  any other failure, a wrong file or command line among them, so that 2\n" +
			"     and 3 always mean a plan",
		Flags: opts.flags(),
		Action: func(c *cli.Context) error {
			if err := opts.read(c); err != nil {
				return err
			}
			return runPlan(c.Context, e, opts)
		},
	}
}

func runPlan(ctx context.Context, e *env, opts wishOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	wish, err := e.wish(opts)
	if err != nil {
		return err
	}
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	plan, err := integration.NewPlan(ctx, cluster, wish)
	if err != nil {
		return err
	}
	if err := e.showIntegration(plan, wish.File); err != nil {
		return err
	}
	switch {
	case len(plan.Refusals) > 0:
		return statusRefused
	case len(plan.Failures) > 0:
		return plan.Failed()
	case plan.Changed():
		return statusChanges
	}
	return nil
}

// planFailure is a failure of plan that would have the status of a result.
type planFailure struct{ error }

func (f planFailure) Unwrap() []error { return []error{f.error, statusError(1)} }

// ownStatus keeps the statuses of plan's results apart from those of its failures,
// also of failures before plan itself runs.
func ownStatus(app *cli.App, args []string, err error) error {
	var result statusError
	taken := errors.Is(err, fault.ErrInvalid) || errors.Is(err, fault.ErrNotFound)
	if !taken || errors.As(err, &result) || firstCommand(app, args) != "plan" {
		return err
	}
	return planFailure{err}
}

// firstCommand is the word in args that is no global flag, nor the value of one.
func firstCommand(app *cli.App, args []string) string {
	for i := 1; i < len(args); i++ {
		switch {
		case takesNext(app.Flags, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}
