package main

import (
	"github.com/urfave/cli/v2"

	"rbdctl/internal/lab"
)

func labEnvCommand(e *env) *cli.Command {
	dir := ""
	return &cli.Command{
		Name:  "env",
		Usage: "print what makes a shell use a lab",
		Description: "Lines for a POSIX shell: CEPH_CONF for rbdctl and the Ceph tools,\n" +
			"RBDCTL_LIBVIRT_URI for rbdctl, LIBVIRT_DEFAULT_URI for virsh.\n\n" +
			"   eval \"$(rbdctl lab env --dir DIR)\"",
		Flags: []cli.Flag{labDirFlag(&dir)},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			if err := needLabDir(dir); err != nil {
				return err
			}
			return runLabEnv(e, dir)
		},
	}
}

func runLabEnv(e *env, dir string) error {
	l, err := lab.Open(dir)
	if err != nil {
		return err
	}
	vars := l.Env()
	if e.output != "json" {
		return lab.WriteEnv(e.out, vars)
	}
	values := map[string]string{}
	for _, v := range vars {
		values[v.Name] = v.Value
	}
	return e.printJSON(values)
}
