package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/pools"
)

func poolsCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "pools",
		Usage: "the pools of Glance, Cinder and Nova",
		Subcommands: []*cli.Command{
			poolsPlanCommand(e),
			poolsInitCommand(e),
			poolsLsCommand(e),
			poolsRmCommand(e),
		},
	}
}

// poolSetOptions say which pools are wanted, and how their placement groups are
// counted. Planning and initialising share them.
type poolSetOptions struct {
	params  []pools.Params
	options pools.Options
}

// poolSetText is the same as typed.
type poolSetText struct {
	names, rule, policy, crushRule, class string
	size, minSize, target                 int
	move, keepClients                     bool
}

const standardPools = "volumes,vms,images,backups"

func (t *poolSetText) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pools", Value: standardPools, Destination: &t.names, Usage: "the whole set of pools, as `NAMES` with commas"},
		&cli.IntFlag{Name: "size", Destination: &t.size, Usage: "keep `N` replicas (default: the pool's own, or osd_pool_default_size)"},
		&cli.IntFlag{Name: "min-size", Destination: &t.minSize, Usage: "take I/O with `N` replicas (default: as the cluster sets it)"},
		&cli.IntFlag{Name: "target", Value: pools.DefaultTarget, Destination: &t.target, Usage: "aim at `N` PG replicas per OSD"},
		&cli.StringFlag{Name: "rule", Value: string(pools.Card), Destination: &t.rule, Usage: "count placement groups by `FORMULA`: card (even parts) or pgcalc (by expected data)"},
		&cli.StringFlag{Name: "pg-policy", Value: string(pools.Pinned), Destination: &t.policy, Usage: "let `POLICY` decide pg_num later: pinned, floor or managed"},
		&cli.StringFlag{Name: "crush-rule", Destination: &t.crushRule, Usage: "place by CRUSH rule `NAME` (default: the pool's own, or the cluster's)"},
		&cli.StringFlag{Name: "class", Destination: &t.class, Usage: "keep to OSDs of device `CLASS`"},
		&cli.BoolFlag{Name: "allow-data-movement", Destination: &t.move, Usage: "may change pg_num, size, rule and autoscale mode of pools that exist"},
		&cli.BoolFlag{Name: "keep-min-compat-client", Destination: &t.keepClients, Usage: "leave require-min-compat-client as it is"},
	}
}

// parse turns the text into domain types. The flags that c says were not given
// keep their defaults; a zero that was typed is an error.
func (t *poolSetText) parse(c *cli.Context) (poolSetOptions, error) {
	var opts poolSetOptions
	for name, value := range map[string]int{"size": t.size, "min-size": t.minSize, "target": t.target} {
		if c.IsSet(name) && value < 1 {
			return opts, fault.Newf(errUsage, "--%s %d: want at least 1", name, value)
		}
	}
	formula, err := pools.ParseFormula(t.rule)
	if err != nil {
		return opts, err
	}
	policy, err := pools.ParsePolicy(t.policy)
	if err != nil {
		return opts, err
	}
	opts.params = pools.Named(strings.Split(t.names, ",")...)
	for i := range opts.params {
		p := &opts.params[i]
		p.Size, p.MinSize, p.Policy = t.size, t.minSize, policy
		p.Rule, p.Class = t.crushRule, t.class
	}
	opts.options = pools.Options{
		Formula: formula, Target: t.target,
		AllowDataMovement: t.move, KeepClients: t.keepClients,
	}
	return opts, nil
}
