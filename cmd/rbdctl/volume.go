package main

import "github.com/urfave/cli/v2"

func volumeCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:        "volume",
		Usage:       "Cinder volumes",
		Subcommands: []*cli.Command{volumeCreateCommand(e)},
	}
}
