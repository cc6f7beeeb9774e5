package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
)

// keyringCommand is the group of commands about cephx entities.
func keyringCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "keyring",
		Usage: "cephx entities of the services: their caps, keys and keyring files",
		Description: "Each service has an entity with the least caps that it can work with. Keys are\n" +
			"never printed: they go from the monitors into files that only the service reads.\n" +
			"Other entities, and the ones of the cluster itself, are left alone.",
		Subcommands: []*cli.Command{
			keyringIssueCommand(e),
			keyringLsCommand(e),
			keyringDiffCommand(e),
			keyringExportCommand(e),
			keyringRmCommand(e),
		},
	}
}

// layoutOptions say which entities there are to be.
type layoutOptions struct {
	layout keyring.Layout
	pools  keyring.Pools
}

func (o *layoutOptions) flags() []cli.Flag {
	o.layout = keyring.Separate
	return []cli.Flag{
		&cli.StringFlag{
			Name: "layout", DefaultText: string(keyring.Separate),
			Usage:  "`LAYOUT` of the entities: separate, one for each service; or shared-cinder, Nova uses client.cinder",
			Action: func(_ *cli.Context, v string) error { o.layout = keyring.Layout(v); return nil },
		},
		&cli.StringSliceFlag{
			Name:   "pool",
			Usage:  "`ROLE=NAME` of a pool with another name than its role: volumes, vms, images or backups; may be repeated",
			Action: func(_ *cli.Context, pairs []string) error { return o.renamePools(pairs) },
		},
	}
}

func (o *layoutOptions) renamePools(pairs []string) error {
	roles := map[string]*string{
		"volumes": &o.pools.Volumes, "vms": &o.pools.VMs, "images": &o.pools.Images, "backups": &o.pools.Backups,
	}
	for _, pair := range pairs {
		role, name, ok := strings.Cut(pair, "=")
		if !ok || roles[role] == nil || name == "" {
			return fault.Newf(errUsage, "--pool %q: want ROLE=NAME, and volumes, vms, images or backups for the role", pair)
		}
		if *roles[role] != "" {
			return fault.Newf(errUsage, "--pool %q: %s has a name already", pair, role)
		}
		*roles[role] = name
	}
	return nil
}

// desired returns the entities of the layout, or those of them that are named.
func (o *layoutOptions) desired(named ...keyring.Entity) ([]keyring.Params, error) {
	all, err := keyring.Standard(o.layout, o.pools)
	if err != nil || len(named) == 0 {
		return all, err
	}
	var chosen []keyring.Params
	for _, entity := range named {
		i := slices.IndexFunc(all, func(p keyring.Params) bool { return p.Entity == entity })
		if i < 0 {
			return nil, notOurs(entity, fmt.Sprintf("layout %s", o.layout), all)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// notOurs is the error of an entity that is none of a layout's.
func notOurs(entity keyring.Entity, where string, ours []keyring.Params) error {
	if entity.Protected() {
		return fault.Newf(fault.ErrInvalid, "%s belongs to the cluster itself: it is neither changed nor given out", entity)
	}
	names := make([]string, len(ours))
	for i, p := range ours {
		names[i] = p.Entity.String()
	}
	return fault.Newf(fault.ErrInvalid, "%s is not an entity of %s, which has %s: others are neither changed nor given out",
		entity, where, strings.Join(names, ", "))
}

// entityRow is one entity as the commands show it. It has no key in it.
type entityRow struct {
	Entity      keyring.Entity  `json:"entity"`
	Action      keyring.Action  `json:"action"`
	KeyType     keyring.KeyType `json:"key_type,omitempty"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	Caps        keyring.Caps    `json:"caps"`
	Before      *keyring.Caps   `json:"caps_before,omitempty"` // only when they change
}

// planResult is what issue and diff print as JSON.
type planResult struct {
	Changed  bool        `json:"changed"` // or would be
	DryRun   bool        `json:"dry_run"`
	Entities []entityRow `json:"entities"`
}

func newPlanResult(plan keyring.Plan, dryRun bool) planResult {
	result := planResult{Changed: plan.Changed(), DryRun: dryRun, Entities: []entityRow{}}
	for _, c := range plan {
		row := entityRow{Entity: c.Entity, Action: c.Action, KeyType: c.Key.Type(), Fingerprint: c.Key.Fingerprint(), Caps: c.After}
		if c.Action == keyring.Modify {
			row.Before = &c.Before
		}
		result.Entities = append(result.Entities, row)
	}
	return result
}

// warnNewKeys tells what a key of the new type asks of those who use it.
func (e *env) warnNewKeys(plan keyring.Plan) {
	for _, c := range plan {
		if c.Key.Type() == keyring.AES256K {
			e.notef("note: the key of %s is of type aes256k: every host that uses it needs Ceph 19.2.6 or 20.2.4, or newer, and a kernel client Linux 7.0", c.Entity)
		}
	}
}
