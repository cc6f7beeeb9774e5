package main

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v2"

	"rbdctl/backends/integration"
	"rbdctl/internal/fault"
	"rbdctl/internal/spec"
)

// statusOtherwise is the exit status of status when something is not as wanted.
const statusOtherwise statusError = 1

func statusCommand(e *env) *cli.Command {
	var opts wishOptions
	return &cli.Command{
		Name:  "status",
		Usage: "say of every part whether it is there and as rbdctl.yaml wants it",
		Description: "Compares as plan does and shows a state for each pool, entity and secret:\n" +
			"  ok           as wanted\n" +
			"  kept         as wanted but for what would move data\n" +
			"  differs      apply would change it\n" +
			"  missing      apply would make it\n" +
			"  refused      it is in the way of what is wanted\n" +
			"  unreachable  nothing is known\n" +
			"`rbdctl secret verify` tries the keys themselves.\n\n" +
			"EXIT STATUS\n" +
			"  0  all is ok or kept\n" +
			"  1  something differs, is missing or refused; or any other failure\n" +
			"  2  the file or the command line is wrong   3  there is no such file\n" +
			"  6  denied   7  the cluster or a node is unavailable   8  unsupported\n" +
			"  9  outcome unknown",
		Flags: opts.flags(),
		Action: func(c *cli.Context) error {
			if err := opts.read(c); err != nil {
				return err
			}
			return runStatus(c.Context, e, opts)
		},
	}
}

func runStatus(ctx context.Context, e *env, opts wishOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	wish, err := e.wish(opts)
	if err != nil {
		return err
	}
	plan, err := planFor(ctx, e, wish)
	status := plan.Status()
	if errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrDenied) {
		status = integration.Unknown(err)
	} else if err != nil {
		return err
	}
	if err := e.printStatus(status, wish.File); err != nil {
		return err
	}
	switch failed := errors.Join(err, plan.Failed()); {
	case failed != nil:
		return failed
	case !status.AsWanted:
		return statusOtherwise
	}
	return nil
}

// planFor makes a plan over a connection of its own.
func planFor(ctx context.Context, e *env, wish spec.Spec) (integration.Plan, error) {
	cluster, err := e.cluster(ctx)
	if err != nil {
		return integration.Plan{}, err
	}
	defer cluster.Close()
	return integration.NewPlan(ctx, cluster, wish)
}

// statusJSON is what status prints with --output json.
type statusJSON struct {
	Config string `json:"config"`
	integration.Status
}

func (e *env) printStatus(s integration.Status, config string) error {
	if e.output == "json" {
		return e.printJSON(statusJSON{config, s})
	}
	nodes := map[string]bool{}
	for _, f := range s.Findings {
		nodes[f.Node] = true
	}
	delete(nodes, "")
	header := []any{"PART", "NAME", "STATE"}
	if len(nodes) > 1 {
		header = append(header, "NODE")
	}
	var rows []row
	for _, f := range s.Findings {
		cells := []any{f.Part, orDash(f.Name), f.State, f.Node}[:len(header)]
		rows = append(rows, row{cells, wrapWords(f.Detail, helpWidth-2)})
	}
	_, err := io.WriteString(e.out, e.rowsText(header, rows))
	return err
}
