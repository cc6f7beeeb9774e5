package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/internal/lab"
)

func labUpCommand(e *env) *cli.Command {
	var opts lab.Options
	store := ""
	return &cli.Command{
		Name:  "up",
		Usage: "start a lab, make it first, or complete one",
		Description: "Parts that run stay as they are, dead ones are started again on their data,\n" +
			"and OSDs that are missing are added. The lines that `rbdctl lab env` prints\n" +
			"make a shell use the lab.",
		Flags: []cli.Flag{
			labDirFlag(&opts.Dir),
			&cli.IntFlag{Name: "osds", Destination: &opts.OSDs, Usage: "run `N` OSDs", DefaultText: "as it was, at first 3"},
			&cli.StringFlag{
				Name: "store", Destination: &store,
				Usage:       "keep objects in `STORE`: bluestore, or memstore for speed",
				DefaultText: "as it was, at first bluestore",
			},
			&cli.BoolFlag{Name: "no-libvirt", Destination: &opts.NoLibvirt, Usage: "leave libvirtd out"},
			&cli.BoolFlag{
				Name: "fast-mon", Destination: &opts.FastMon,
				Usage: "let the monitor decide every 50 ms, not every second: for tests",
			},
		},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			if err := needLabDir(opts.Dir); err != nil {
				return err
			}
			if c.IsSet("osds") && opts.OSDs < 1 { // 0 would mean the default
				return fault.Newf(errUsage, "--osds %d: want at least 1", opts.OSDs)
			}
			opts.Store = lab.Store(store)
			return runLabUp(c.Context, e, opts)
		},
	}
}

func runLabUp(ctx context.Context, e *env, opts lab.Options) error {
	opts.Log = e.progressLog()
	l, err := lab.Up(ctx, opts)
	if err != nil {
		return err
	}
	if e.output == "json" {
		report, err := lab.Status(ctx, l.Dir())
		if err != nil {
			return err
		}
		return e.printJSON(report)
	}
	_, err = fmt.Fprintf(e.out, "the lab is up: eval \"$(rbdctl lab env --dir %s)\"\n", l.Dir())
	return err
}
