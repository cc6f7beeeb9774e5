package main

import "github.com/urfave/cli/v2"

func diskCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:        "disk",
		Usage:       "disks of Nova instances",
		Subcommands: []*cli.Command{diskCreateCommand(e)},
	}
}
