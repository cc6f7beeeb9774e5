package main

import (
	"context"
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/libvirtsecret"
)

func secretRmCommand(e *env) *cli.Command {
	var opts secretRmOptions
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove secrets that no guest refers to",
		ArgsUsage: "SECRET...",
		Description: "SECRET is a UUID, a usage name, or an entity. A secret that a running or defined\n" +
			"guest or a storage pool of libvirt refers to stays (exit status 5) unless\n" +
			"forced: a running guest would go on, and fail at its next start. Exit status is\n" +
			"3 if a secret is on none of the nodes.",
		Flags: []cli.Flag{
			uriFlag(),
			fsidFlag(&opts.fsid),
			&cli.BoolFlag{Name: "force", Destination: &opts.force, Usage: "remove it although guests refer to it"},
			&cli.BoolFlag{Name: "dry-run", Destination: &opts.dryRun, Usage: "say what would be removed, and do nothing"},
		},
		Action: func(c *cli.Context) error {
			opts.refs = c.Args().Slice()
			if len(opts.refs) == 0 {
				return operands(c, "SECRET")
			}
			if err := operands(c, opts.refs...); err != nil {
				return err
			}
			opts.uris = urisOf(c)
			return runSecretRm(c.Context, e, opts)
		},
	}
}

type secretRmOptions struct {
	refs   []string
	uris   []string
	fsid   string
	force  bool
	dryRun bool
}

// removedRow is one secret on one node. Action is "removed", "would remove", or
// "absent".
type removedRow struct {
	URI    string `json:"uri"`
	Ref    string `json:"ref"`
	Action string `json:"action"`
	libvirtsecret.Secret
}

const actionAbsent = "absent"

func runSecretRm(ctx context.Context, e *env, opts secretRmOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	rows, failed := onNodes(ctx, opts.uris, func(ctx context.Context, store *libvirtsecret.Store) ([]removedRow, error) {
		return removeOn(ctx, store, opts)
	})
	if e.output == "json" {
		if err := e.printJSON(map[string]any{"dry_run": opts.dryRun, "secrets": append([]removedRow{}, rows...)}); err != nil {
			return err
		}
	} else if err := e.printRemoved(rows, len(opts.uris) > 1); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return absentEverywhere(opts.refs, rows)
}

func (e *env) printRemoved(rows []removedRow, several bool) error {
	var table []onNodeRow
	for _, r := range rows {
		line := row{cells: []any{r.Ref, r.Action, orDash(r.UUID)}}
		if r.Usage != "" && r.Usage != r.Ref {
			line.below = []string{r.Usage}
		}
		table = append(table, onNodeRow{r.URI, line})
	}
	return e.printNodes(several, []any{"SECRET", "ACTION", "UUID"}, table)
}

// absentEverywhere is the error for refs that were on no node: most likely they
// were mistyped.
func absentEverywhere(refs []string, rows []removedRow) error {
	var missing []string
	for _, ref := range refs {
		found := false
		for _, r := range rows {
			found = found || r.Ref == ref && r.Action != actionAbsent
		}
		if !found {
			missing = append(missing, ref)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fault.Newf(fault.ErrNotFound, "no secret %q: `rbdctl secret ls` shows those that exist", strings.Join(missing, ", "))
}

// removeOn goes on after a secret that can't be removed, with the next.
func removeOn(ctx context.Context, store *libvirtsecret.Store, opts secretRmOptions) ([]removedRow, error) {
	infos, err := store.List(ctx)
	if err != nil {
		return nil, err
	}
	var rows []removedRow
	var errs []error
	for _, ref := range opts.refs {
		row := removedRow{URI: store.URI(), Ref: ref, Action: actionAbsent}
		info, err := chooseSecret(infos, ref, opts.fsid)
		if err == nil {
			row.Secret = info.Secret
			row.Action, err = removeOne(ctx, store, info.UUID, opts)
		}
		if errors.Is(err, fault.ErrNotFound) {
			row.Action, err = actionAbsent, nil
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, row)
	}
	return rows, errors.Join(errs...)
}

func removeOne(ctx context.Context, store *libvirtsecret.Store, uuid string, opts secretRmOptions) (action string, err error) {
	if !opts.dryRun {
		_, err = store.Remove(ctx, uuid, libvirtsecret.RemoveOptions{Force: opts.force})
		return "removed", err
	}
	users, err := store.Users(ctx, uuid)
	if err == nil && len(users) > 0 && !opts.force {
		err = fault.Newf(fault.ErrInUse, "%s would not be removed: %s refer to it", uuid, strings.Join(users, ", "))
	}
	return "would remove", err
}
