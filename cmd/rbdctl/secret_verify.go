package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"rbdctl/backends"
	"rbdctl/internal/fault"
	"rbdctl/keyring"
	"rbdctl/libvirtsecret"
	"rbdctl/rbd"
)

// probeLimit bounds one try of a key: without, a dead monitor would cost 300 s.
const probeLimit = 5 * time.Second

func secretVerifyCommand(e *env) *cli.Command {
	var opts secretVerifyOptions
	return &cli.Command{
		Name:      "verify",
		Usage:     "try the stored keys against the cluster",
		ArgsUsage: "[ENTITY...]",
		Description: "Connects to the cluster of --ceph-conf with the key that each libvirt holds for\n" +
			"the entities (client.cinder and client.nova unless named) and lists the pools,\n" +
			"volumes for the one and vms for the other unless named. No administrator's key\n" +
			"is needed. Each try answers within 5 seconds. The states:\n" +
			"  ok  private  unreachable  no-pool  no-access  no-value  missing  garbage\n" +
			"  wrong-key  failed\n" +
			"Exit status is 0 if all are ok, else by the worst: 3 missing, no-value, no-pool;\n" +
			"6 wrong-key, no-access; 7 unreachable; 8 private; 2 garbage.",
		Flags: []cli.Flag{
			uriFlag(),
			&cli.StringSliceFlag{Name: "pool", Usage: "list `[ENTITY=]POOL`; may be repeated"},
			&cli.StringSliceFlag{Name: "secret", Usage: "the entity's secret is `[ENTITY=]SECRET`, a UUID or usage name, such as that of an adopted one"},
			fsidFlag(&opts.fsid),
		},
		Action: func(c *cli.Context) (err error) {
			if opts.entities, err = entityOperands(c, entityCinder, entityNova); err != nil {
				return err
			}
			opts.uris = urisOf(c)
			if opts.pools, err = poolsToList(c.StringSlice("pool"), opts.entities); err != nil {
				return err
			}
			if opts.secrets, err = parsePerEntity("secret", c.StringSlice("secret"), opts.entities); err != nil {
				return err
			}
			if err := opts.secrets.onlyOne("secret", opts.entities); err != nil {
				return err
			}
			return runSecretVerify(c.Context, e, opts)
		},
	}
}

// poolsToList reads --pool; without it, the standard entities have their standard
// pools.
func poolsToList(values []string, entities []keyring.Entity) (perEntity, error) {
	if len(values) > 0 {
		return parsePerEntity("pool", values, entities)
	}
	return perEntity{of: map[string][]string{
		entityCinder: {backends.PoolVolumes},
		entityNova:   {backends.PoolVMs},
	}}, nil
}

type secretVerifyOptions struct {
	entities []keyring.Entity
	uris     []string
	pools    perEntity
	secrets  perEntity
	fsid     string
}

type verifiedRow struct {
	URI string `json:"uri"`
	libvirtsecret.Verdict
}

func runSecretVerify(ctx context.Context, e *env, opts secretVerifyOptions) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	rows, failed := onNodes(ctx, opts.uris, func(ctx context.Context, store *libvirtsecret.Store) ([]verifiedRow, error) {
		return verifyOn(ctx, store, keyProber{confFile: e.confFile}, opts)
	})
	if e.output == "json" {
		if err := e.printJSON(map[string]any{"ok": failed == nil && worst(rows, false) == nil, "verdicts": append([]verifiedRow{}, rows...)}); err != nil {
			return err
		}
	} else if err := e.printVerdicts(rows, len(opts.uris) > 1); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return worst(rows, len(opts.uris) > 1)
}

func (e *env) printVerdicts(rows []verifiedRow, several bool) error {
	var table []onNodeRow
	for _, r := range rows {
		line := row{cells: []any{r.Entity, orDash(r.Pool), r.State, orDash(r.UUID)}}
		if r.Detail != "" {
			line.below = wrapWords(r.Detail, helpWidth-2)
		}
		table = append(table, onNodeRow{r.URI, line})
	}
	return e.printNodes(several, []any{"ENTITY", "POOL", "STATE", "UUID"}, table)
}

// worst is the error of the worst verdict; nil when all are ok. It names the
// libvirt where there are several.
func worst(rows []verifiedRow, several bool) error {
	state, err := libvirtsecret.StateOK, error(nil)
	for _, r := range rows {
		if r.State.Worse(state) {
			if state, err = r.State, r.Err(); several {
				err = fmt.Errorf("%s: %w", r.URI, err)
			}
		}
	}
	return err
}

func verifyOn(ctx context.Context, store *libvirtsecret.Store, p keyProber, opts secretVerifyOptions) ([]verifiedRow, error) {
	infos, err := store.List(ctx)
	if err != nil {
		return nil, err
	}
	var rows []verifiedRow
	for _, entity := range opts.entities {
		ref := entity.String()
		if named := opts.secrets.get(entity); len(named) > 0 {
			ref = named[len(named)-1]
		}
		info, err := chooseSecret(infos, ref, opts.fsid)
		switch {
		case err == nil:
			ref = info.UUID
		case !errors.Is(err, fault.ErrNotFound): // a missing secret is a finding
			return rows, err
		}
		verdicts, err := store.Verify(ctx, libvirtsecret.Check{Ref: ref, Entity: entity.String(), Pools: opts.pools.get(entity)}, p)
		if err != nil {
			return rows, err
		}
		for _, v := range verdicts {
			if v.State == libvirtsecret.StateMissing && ref == entity.String() {
				v.Detail += "; if it was adopted, name it with --secret"
			}
			rows = append(rows, verifiedRow{store.URI(), v})
		}
	}
	return rows, nil
}

// keyProber tries keys against the cluster of confFile.
type keyProber struct{ confFile string }

// Probe connects as entity with key, and lists the images of pool unless that is
// empty. It answers within twice probeLimit, and in the common cases within one.
func (p keyProber) Probe(ctx context.Context, entity string, key []byte, pool string) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fault.Newf(fault.ErrUnavailable, "no answer within %s", probeLimit))
	defer cancel()
	cluster, err := rbd.Dial(ctx, rbd.Config{
		ConfFile: p.confFile, Entity: entity, Key: key,
		ConnectTimeout: probeLimit, OpTimeout: probeLimit,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if pool == "" {
		return nil
	}
	_, err = rbd.NewImages(cluster).List(ctx, pool, "")
	return err
}
