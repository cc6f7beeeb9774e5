package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
)

func keyringRmCommand(e *env) *cli.Command {
	var opts keyringRmOptions
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove a service's entity and its key",
		ArgsUsage: "ENTITY",
		Description: "Only the entities that keyring issue makes can be removed, of either layout. Asks\n" +
			"for the entity's name, or takes it from --confirm. Clients that run as the entity\n" +
			"keep the tickets that they have, for up to hours, and then lose the cluster: a\n" +
			"guest's disk hangs. Keyring files and libvirt secrets stay where they are.\n" +
			"Exit status is 3 if there is no such entity.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "confirm", Destination: &opts.confirm, Usage: "the `ENTITY` once more, instead of being asked"},
			&cli.BoolFlag{Name: "dry-run", Destination: &opts.dryRun, Usage: "show what would be removed and change nothing"},
		},
		Action: func(c *cli.Context) (err error) {
			if err := operands(c, "ENTITY"); err != nil {
				return err
			}
			if opts.entity, err = keyring.ParseEntity(c.Args().First()); err != nil {
				return err
			}
			if err := refuseOthers(opts.entity); err != nil {
				return err
			}
			return runKeyringRm(c.Context, e, opts)
		},
	}
}

type keyringRmOptions struct {
	entity  keyring.Entity
	confirm string
	dryRun  bool
}

// refuseOthers refuses an entity that no layout has.
func refuseOthers(entity keyring.Entity) error {
	ours, err := keyring.Standard(keyring.Separate, keyring.Pools{})
	if err != nil {
		return err
	}
	shared, err := keyring.Standard(keyring.SharedCinder, keyring.Pools{})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(append(ours, shared...), func(p keyring.Params) bool { return p.Entity == entity }) {
		return nil
	}
	return notOurs(entity, "any layout", ours)
}

func runKeyringRm(ctx context.Context, e *env, opts keyringRmOptions) error {
	bounded, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(bounded)
	if err != nil {
		return err
	}
	defer cluster.Close()
	found, err := keyring.Read(bounded, cluster, opts.entity)
	if err != nil {
		return err
	}
	entry, ok := found.Find(opts.entity)
	if !ok {
		return fault.Newf(fault.ErrNotFound, "%s does not exist", opts.entity)
	}
	e.notef("%s has key %s and the caps", entry.Entity, entry.Key.Fingerprint())
	for _, line := range capLines(entry.Caps) {
		e.notef("  %s", line)
	}
	e.notef("clients of %s keep their tickets for hours; then their disks hang", opts.entity)
	if !opts.dryRun {
		if err := e.confirm(ctx, question{lost: opts.entity.String(), name: opts.entity.String(), given: opts.confirm}); err != nil {
			return err
		}
		// The limit starts anew: a person may have taken longer to answer.
		ctx, again := e.bounded(ctx)
		defer again()
		if err := keyring.Remove(ctx, cluster, opts.entity); err != nil {
			return err
		}
	}
	if e.output == "json" {
		return e.printJSON(map[string]any{"entity": opts.entity, "fingerprint": entry.Key.Fingerprint(), "removed": !opts.dryRun, "dry_run": opts.dryRun})
	}
	result := "removed"
	if opts.dryRun {
		result = "would be removed:"
	}
	_, err = fmt.Fprintln(e.out, result, opts.entity)
	return err
}
