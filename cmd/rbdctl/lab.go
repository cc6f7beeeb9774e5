package main

import (
	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
)

// labCommand is the group of commands about a cluster to try things on.
func labCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "lab",
		Usage: "a real Ceph cluster and libvirt in a directory, to try things on",
		Description: "A lab is ceph-mon, ceph-mgr, some ceph-osd and a private libvirtd from the\n" +
			"distribution's packages, as ordinary processes on loopback. No system daemon\n" +
			"and no system file is touched.",
		Subcommands: []*cli.Command{
			labUpCommand(e),
			labDownCommand(e),
			labStatusCommand(e),
			labEnvCommand(e),
		},
	}
}

// labDirFlag names the lab that a command is about.
func labDirFlag(dir *string) cli.Flag {
	return &cli.StringFlag{
		Name: "dir", EnvVars: []string{"RBDCTL_LAB_DIR"}, Destination: dir,
		Usage: "the lab is in `DIR`",
	}
}

// needLabDir complains in the words of the command line.
func needLabDir(dir string) error {
	if dir == "" {
		return fault.Newf(errUsage, "which lab? name its directory with --dir DIR or RBDCTL_LAB_DIR")
	}
	return nil
}
