package main

import (
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"rbdctl/keyring"
)

func keyringLsCommand(e *env) *cli.Command {
	var opts keyringLsOptions
	return &cli.Command{
		Name:  "ls",
		Usage: "list the services' entities, their caps and the type of their keys",
		Description: "States: ok, differs (see keyring diff), absent; with --all also other, an entity\n" +
			"that rbdctl leaves alone, and cluster, one that the cluster itself lives on.",
		Flags: append(opts.flags(),
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Destination: &opts.all, Usage: "list every entity of the cluster"},
		),
		Action: func(c *cli.Context) (err error) {
			if err := operands(c); err != nil {
				return err
			}
			if opts.desired, err = opts.layoutOptions.desired(); err != nil {
				return err
			}
			return runKeyringLs(c.Context, e, opts)
		},
	}
}

type keyringLsOptions struct {
	layoutOptions
	desired []keyring.Params
	all     bool
}

// keyringRow is one entity as keyring ls shows it. Fingerprints are shown of our
// own only: those of others could tell where a key is used twice.
type keyringRow struct {
	Entity      keyring.Entity  `json:"entity"`
	State       string          `json:"state"` // ok, differs, absent, other, cluster
	KeyType     keyring.KeyType `json:"key_type"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	Caps        keyring.Caps    `json:"caps"`
}

func runKeyringLs(ctx context.Context, e *env, opts keyringLsOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	var only []keyring.Entity
	for _, p := range opts.desired {
		only = append(only, p.Entity)
	}
	if opts.all {
		only = nil
	}
	current, err := keyring.Read(ctx, cluster, only...)
	if err != nil {
		return err
	}
	plan, err := keyring.Diff(current, opts.desired)
	if err != nil {
		return err
	}
	return e.printKeyringRows(keyringRows(plan, current))
}

// keyringRows are our entities, and then the others of current.
func keyringRows(plan keyring.Plan, current keyring.Keyring) []keyringRow {
	states := map[keyring.Action]string{keyring.Create: "absent", keyring.Modify: "differs", keyring.Keep: "ok"}
	ours := make(map[keyring.Entity]bool)
	var rows []keyringRow
	for _, c := range plan {
		ours[c.Entity] = true
		rows = append(rows, keyringRow{c.Entity, states[c.Action], c.Key.Type(), c.Key.Fingerprint(), c.Before})
	}
	for _, entry := range current {
		if ours[entry.Entity] {
			continue
		}
		state := "other"
		if entry.Entity.Protected() {
			state = "cluster"
		}
		rows = append(rows, keyringRow{Entity: entry.Entity, State: state, KeyType: entry.Key.Type(), Caps: entry.Caps})
	}
	return rows
}

func (e *env) printKeyringRows(rows []keyringRow) error {
	if e.output == "json" {
		return e.printJSON(map[string]any{"entities": append([]keyringRow{}, rows...)})
	}
	var table []row
	for _, r := range rows {
		cells := []any{r.Entity, r.State, orDash(string(r.KeyType)), orDash(r.Fingerprint)}
		table = append(table, row{cells, capLines(r.Caps)})
	}
	_, err := io.WriteString(e.out, e.rowsText([]any{"ENTITY", "STATE", "KEY TYPE", "FINGERPRINT"}, table))
	return err
}

// capLines are caps one by one, for a person.
func capLines(caps keyring.Caps) []string {
	var lines []string
	for _, c := range caps {
		lines = append(lines, c.Daemon+" "+c.Grant.String())
	}
	return lines
}
