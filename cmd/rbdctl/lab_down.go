package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/lab"
)

func labDownCommand(e *env) *cli.Command {
	var opts lab.DownOptions
	return &cli.Command{
		Name:  "down",
		Usage: "stop a lab and remove its directory",
		Description: "Stops exactly what `rbdctl lab up` started and the guests of the lab's libvirtd,\n" +
			"also when an `up` was killed. A lab that is not there is success; a directory\n" +
			"that is not a lab is refused.",
		Flags: []cli.Flag{
			labDirFlag(&opts.Dir),
			&cli.BoolFlag{
				Name: "keep-data", Destination: &opts.KeepData,
				Usage: "stop in order and keep the directory, for the next `up`",
			},
		},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			if err := needLabDir(opts.Dir); err != nil {
				return err
			}
			return runLabDown(c.Context, e, opts)
		},
	}
}

func runLabDown(ctx context.Context, e *env, opts lab.DownOptions) error {
	opts.Log = e.progressLog()
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	return lab.Down(ctx, opts)
}
