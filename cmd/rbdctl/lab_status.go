package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/lab"
)

func labStatusCommand(e *env) *cli.Command {
	dir := ""
	return &cli.Command{
		Name:  "status",
		Usage: "show the parts of a lab",
		Description: "Asks each daemon how it is. Exit status is 0 whether the lab is up or down, and 3\n" +
			"if there is no lab; --output json has .up and .parts.",
		Flags: []cli.Flag{labDirFlag(&dir)},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			if err := needLabDir(dir); err != nil {
				return err
			}
			return runLabStatus(c.Context, e, dir)
		},
	}
}

func runLabStatus(ctx context.Context, e *env, dir string) error {
	report, err := lab.Status(ctx, dir)
	if err != nil {
		return err
	}
	if e.output == "json" {
		return e.printJSON(report)
	}
	t := e.table("PART", "STATE", "PID")
	for _, p := range report.Parts {
		pid := any("-")
		if p.PID != 0 {
			pid = p.PID
		}
		t.AppendRow([]any{p.Name, p.State, pid})
	}
	t.Render()
	return nil
}
