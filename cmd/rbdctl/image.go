package main

import "github.com/urfave/cli/v2"

func imageCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:        "image",
		Usage:       "RAW Glance images",
		Subcommands: []*cli.Command{imageImportCommand(e)},
	}
}
