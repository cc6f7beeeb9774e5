package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/keyring"
)

func keyringIssueCommand(e *env) *cli.Command {
	var opts keyringIssueOptions
	return &cli.Command{
		Name:      "issue",
		Usage:     "create the services' entities and give them exactly their caps",
		ArgsUsage: "[ENTITY...]",
		Description: "Entities that don't exist get a new key; those whose caps mean something else get\n" +
			"the whole set anew, and keep their key. A second run changes nothing. Without\n" +
			"operands all entities of the layout are issued.\n" +
			"Exit status is 3 if a pool that the caps name does not exist.",
		Flags: append(opts.flags(),
			&cli.BoolFlag{Name: "dry-run", Destination: &opts.DryRun, Usage: "show what would be done and change nothing"},
			&cli.BoolFlag{Name: "allow-missing-pools", Destination: &opts.AllowMissing, Usage: "issue caps for pools that don't exist yet"},
			&cli.StringFlag{
				Name: "key-type", Usage: "make new keys of `TYPE` aes or aes256k (default: what the cluster prefers)",
				Action: func(_ *cli.Context, v string) error { opts.KeyType = keyring.KeyType(v); return nil },
			},
		),
		Action: func(c *cli.Context) error {
			named, err := entityOperands(c)
			if err != nil {
				return err
			}
			if opts.desired, err = opts.layoutOptions.desired(named...); err != nil {
				return err
			}
			return runKeyringIssue(c.Context, e, opts)
		},
	}
}

type keyringIssueOptions struct {
	layoutOptions
	keyring.Options
	desired []keyring.Params
}

func runKeyringIssue(ctx context.Context, e *env, opts keyringIssueOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	plan, err := keyring.Issue(ctx, cluster, opts.desired, opts.Options)
	if err != nil {
		return err
	}
	for _, c := range plan {
		if lost := c.Before.Minus(c.After); len(lost) > 0 {
			e.notef("note: %s no longer has %s; to have it back: ceph auth caps %s %s", c.Entity, lost, c.Entity, c.Before)
		}
	}
	e.warnNewKeys(plan)
	if e.output == "json" {
		return e.printJSON(newPlanResult(plan, opts.DryRun))
	}
	e.printPlanRows(plan, opts.DryRun)
	return nil
}

func (e *env) printPlanRows(plan keyring.Plan, dryRun bool) {
	words := map[keyring.Action]string{keyring.Create: "created", keyring.Modify: "caps replaced", keyring.Keep: "as wanted"}
	if dryRun {
		words = map[keyring.Action]string{keyring.Create: "would be created", keyring.Modify: "caps would be replaced", keyring.Keep: "as wanted"}
	}
	t := e.table("ENTITY", "RESULT", "KEY TYPE", "FINGERPRINT")
	for _, c := range plan {
		t.AppendRow([]any{c.Entity, words[c.Action], orDash(string(c.Key.Type())), orDash(c.Key.Fingerprint())})
	}
	t.Render()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
