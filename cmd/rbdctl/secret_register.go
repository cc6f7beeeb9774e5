package main

import (
	"context"
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
	"rbdctl/libvirtsecret"
)

func secretRegisterCommand(e *env) *cli.Command {
	var opts secretRegisterOptions
	return &cli.Command{
		Name:      "register",
		Usage:     "make libvirt hold the keys of entities",
		ArgsUsage: "[ENTITY...]",
		Description: "The entities are client.cinder and client.nova unless named; of these two one\n" +
			"that does not exist is left out. The secret of an entity has the same UUID on\n" +
			"every node, made from the cluster's fsid and the entity's name. A secret that\n" +
			"has the usage name already is adopted and keeps its UUID, which is then the one\n" +
			"to put into cinder.conf and nova.conf (rbd_secret_uuid). The same command again\n" +
			"changes nothing.\n\n" +
			"The keys come from the cluster, as the entity of --entity; on a node without an\n" +
			"administrator's key, from a keyring file. Exit status is 4 if the UUID belongs\n" +
			"to a secret with another usage name.",
		Flags: []cli.Flag{
			uriFlag(),
			&cli.StringFlag{Name: "keyring", Destination: &opts.keyringFile, Usage: "take the keys from keyring `FILE` and not from the monitors"},
			&cli.StringSliceFlag{Name: "uuid", Usage: "use `[ENTITY=]UUID` for a new secret"},
			&cli.StringSliceFlag{Name: "adopt", Usage: "use the secret with the usage name `[ENTITY=]USAGE` if it exists, such as \"client.cinder secret\""},
			&cli.BoolFlag{Name: "private", Destination: &opts.private, Usage: "libvirt gives the value to guests only; it can't be verified, nor made readable again"},
			&cli.BoolFlag{Name: "ephemeral", Destination: &opts.ephemeral, Usage: "libvirt forgets the secret when its daemon restarts"},
			&cli.BoolFlag{Name: "dry-run", Destination: &opts.dryRun, Usage: "say what would be done, and do nothing"},
		},
		Action: func(c *cli.Context) (err error) {
			if opts.entities, err = entityOperands(c, entityCinder, entityNova); err != nil {
				return err
			}
			opts.optional = !c.Args().Present()
			opts.uris = urisOf(c)
			if opts.uuids, err = parsePerEntity("uuid", c.StringSlice("uuid"), opts.entities); err != nil {
				return err
			}
			if err := opts.uuids.onlyOne("uuid", opts.entities); err != nil {
				return err
			}
			if opts.adopt, err = parsePerEntity("adopt", c.StringSlice("adopt"), opts.entities); err != nil {
				return err
			}
			if err := opts.adopt.onlyOne("adopt", opts.entities); err != nil {
				return err
			}
			return runSecretRegister(c.Context, e, opts)
		},
	}
}

type secretRegisterOptions struct {
	entities    []keyring.Entity
	optional    bool // an entity that does not exist is left out
	uris        []string
	keyringFile string
	uuids       perEntity
	adopt       perEntity
	private     bool
	ephemeral   bool
	dryRun      bool
}

// registeredJSON is what `secret register` prints with --output json.
type registeredJSON struct {
	Changed bool            `json:"changed"`
	DryRun  bool            `json:"dry_run"`
	Secrets []registeredRow `json:"secrets"`
}

type registeredRow struct {
	URI    string `json:"uri"`
	Entity string `json:"entity"`
	libvirtsecret.Result
}

func runSecretRegister(ctx context.Context, e *env, opts secretRegisterOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	wanted, err := wantedSecrets(ctx, e, opts)
	if err != nil {
		return err
	}
	rows, failed := onNodes(ctx, opts.uris, func(ctx context.Context, store *libvirtsecret.Store) ([]registeredRow, error) {
		return registerOn(ctx, store, wanted, opts.dryRun)
	})
	for _, r := range rows {
		if r.Action == libvirtsecret.ActionAdopted {
			e.notef("%s: adopted the secret %q of %s: its uuid is %s", r.URI, r.Usage, r.Entity, r.UUID)
		}
	}
	return errors.Join(failed, printRegistered(e, rows, opts))
}

// wantedSecret is a secret with the key that it is to hold.
type wantedSecret struct {
	entity string
	secret libvirtsecret.Secret
	key    keyring.Key
	adopt  []string
}

func wantedSecrets(ctx context.Context, e *env, opts secretRegisterOptions) ([]wantedSecret, error) {
	fsid, entries, err := secretKeys(ctx, e, opts)
	if err != nil {
		return nil, err
	}
	var wanted []wantedSecret
	for _, entity := range opts.entities {
		entry, found := entries.Find(entity)
		if !found && opts.optional {
			continue
		}
		if !found || entry.Key.IsZero() {
			return nil, fault.Newf(fault.ErrNotFound, "there is no key of %s: issue it with `rbdctl keyring issue`", entity)
		}
		secret, err := libvirtsecret.For(fsid, entity.String())
		if err != nil {
			return nil, err
		}
		if uuids := opts.uuids.get(entity); len(uuids) > 0 {
			secret.UUID = strings.ToLower(uuids[len(uuids)-1])
		}
		secret.Private, secret.Ephemeral = opts.private, opts.ephemeral
		wanted = append(wanted, wantedSecret{entity.String(), secret, entry.Key, opts.adopt.get(entity)})
	}
	if len(wanted) == 0 {
		return nil, fault.Newf(fault.ErrNotFound, "there is neither %s nor %s: issue them with `rbdctl keyring issue`, or name others", entityCinder, entityNova)
	}
	return wanted, nil
}

// registerOn goes on after an entity that fails, with the next, and returns what
// was done.
func registerOn(ctx context.Context, store *libvirtsecret.Store, wanted []wantedSecret, dryRun bool) ([]registeredRow, error) {
	register := store.Register
	if dryRun {
		register = store.Plan
	}
	var rows []registeredRow
	var errs []error
	for _, w := range wanted {
		result, err := register(ctx, w.secret, w.key, w.adopt...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, registeredRow{store.URI(), w.entity, result})
	}
	return rows, errors.Join(errs...)
}

func printRegistered(e *env, rows []registeredRow, opts secretRegisterOptions) error {
	if e.output == "json" {
		j := registeredJSON{DryRun: opts.dryRun, Secrets: append([]registeredRow{}, rows...)}
		for _, r := range rows {
			j.Changed = j.Changed || r.Changed
		}
		return e.printJSON(j)
	}
	var table []onNodeRow
	for _, r := range rows {
		table = append(table, onNodeRow{r.URI, row{cells: []any{r.Entity, r.Action, yesNo(r.Changed), r.UUID}}})
	}
	return e.printNodes(len(opts.uris) > 1, []any{"ENTITY", "ACTION", "CHANGED", "UUID"}, table)
}
