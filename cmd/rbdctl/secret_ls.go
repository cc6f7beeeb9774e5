package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"rbdctl/libvirtsecret"
)

func secretLsCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "ls",
		Usage: "list the secrets that libvirt holds for Ceph",
		Description: "Value is \"key\", \"none\", \"garbage\" (no cephx key) or \"private\" (libvirt does not\n" +
			"show it). The fingerprint is the one that `rbdctl keyring ls` shows for the key.",
		Flags: []cli.Flag{uriFlag()},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			return runSecretLs(c.Context, e, urisOf(c))
		},
	}
}

type listedRow struct {
	URI string `json:"uri"`
	libvirtsecret.Info
}

func runSecretLs(ctx context.Context, e *env, uris []string) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	rows, failed := onNodes(ctx, uris, func(ctx context.Context, store *libvirtsecret.Store) ([]listedRow, error) {
		infos, err := store.List(ctx)
		rows := make([]listedRow, 0, len(infos))
		for _, info := range infos {
			rows = append(rows, listedRow{store.URI(), info})
		}
		return rows, err
	})
	if e.output == "json" {
		if err := e.printJSON(map[string]any{"secrets": append([]listedRow{}, rows...)}); err != nil {
			return err
		}
		return failed
	}
	var table []onNodeRow
	for _, r := range rows {
		usage := r.Usage
		if r.Ephemeral {
			usage += " (ephemeral)"
		}
		cells := []any{r.UUID, r.Value, orDash(r.Fingerprint)}
		table = append(table, onNodeRow{r.URI, row{cells, []string{usage}}})
	}
	err := e.printNodes(len(uris) > 1, []any{"UUID", "VALUE", "FINGERPRINT"}, table)
	return errors.Join(failed, err)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
