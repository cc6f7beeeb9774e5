package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/pools"
)

func poolsPlanCommand(e *env) *cli.Command {
	var text poolSetText
	var opts poolsPlanOptions
	return &cli.Command{
		Name:  "plan",
		Usage: "show what pools init would do, or plan for a cluster that is not there",
		Description: "With --osds no cluster is asked. Exit status is 0, and 2 if the plan is refused:\n" +
			"then nothing of it would be done. --output json has .pools[].pg_num and\n" +
			".pg_replicas_per_osd; --output commands prints Ceph's own commands.",
		Flags: append(text.flags(),
			&cli.IntFlag{Name: "osds", Destination: &opts.imagined.OSDs, Usage: "plan for `N` OSDs, all alike, without a cluster"},
			&cli.IntFlag{Name: "hosts", Destination: &opts.imagined.Hosts, Usage: "with --osds: on `N` hosts, no two replicas on one (default: on one OSD)"},
			&cli.IntFlag{Name: "max-pg-per-osd", Destination: &opts.imagined.MaxPGs, Usage: "with --osds: the monitors' limit is `N` (default: 250)"},
			e.outputFlag(false, "table", "json", "commands"),
		),
		Action: func(c *cli.Context) (err error) {
			if err := operands(c); err != nil {
				return err
			}
			opts.offline = c.IsSet("osds")
			for _, name := range []string{"hosts", "max-pg-per-osd"} {
				if c.IsSet(name) && (!opts.offline || c.Int(name) < 1) {
					return fault.Newf(errUsage, "--%s %d: want at least 1, and --osds with it", name, c.Int(name))
				}
			}
			if opts.set, err = text.parse(c); err != nil {
				return err
			}
			return runPoolsPlan(c.Context, e, opts)
		},
	}
}

type poolsPlanOptions struct {
	set      poolSetOptions
	offline  bool
	imagined pools.Imagined
}

func runPoolsPlan(ctx context.Context, e *env, opts poolsPlanOptions) error {
	top, err := planTopology(ctx, e, opts)
	if err != nil {
		return err
	}
	plan, err := pools.NewPlan(top, opts.set.params, opts.set.options)
	return e.showPlan(plan, err)
}

// showPlan prints a plan and passes on why it is refused. Of a refused plan
// there is something to see only when its pools could at least be counted.
func (e *env) showPlan(plan pools.Plan, refused error) error {
	if refused != nil && (len(plan.Pools) == 0 || plan.Pools[0].PGNum == 0) {
		return refused
	}
	e.printWarnings(plan.Warnings)
	if err := e.printPlan(plan); err != nil {
		return err
	}
	return refused
}

func planTopology(ctx context.Context, e *env, opts poolsPlanOptions) (pools.Topology, error) {
	if opts.offline {
		return pools.Offline(opts.imagined)
	}
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return pools.Topology{}, err
	}
	defer cluster.Close()
	return pools.Read(ctx, cluster)
}
