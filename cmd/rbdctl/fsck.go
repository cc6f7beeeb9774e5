package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"rbdctl/backends"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

func fsckCommand(e *env) *cli.Command {
	var opts fsckOptions
	return &cli.Command{
		Name:      "fsck",
		Usage:     "look for what does not belong in the pools",
		ArgsUsage: "[POOL...]",
		Description: "Attributes every object in the pools to an image, the trash or an operation, and\n" +
			"names the rest. Changes nothing without --repair, and with it only what is ours\n" +
			"beyond doubt. Without POOL it looks at those of volumes, vms, images and backups\n" +
			"that there are. Exit status is 0 when all is well, 1 when something is left.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair", Usage: "take away what can be repaired", Destination: &opts.repair},
		},
		Action: func(c *cli.Context) error {
			opts.pools = c.Args().Slice()
			if err := operands(c, opts.pools...); err != nil {
				return err
			}
			return runFsck(c.Context, e, opts)
		},
	}
}

type fsckOptions struct {
	pools  []string
	repair bool
}

// findingJSON is one finding as JSON output shows it.
type findingJSON struct {
	Pool       string `json:"pool"`
	Object     string `json:"object"`
	Class      string `json:"class"`
	Image      string `json:"image,omitempty"`
	Detail     string `json:"detail"`
	Repairable bool   `json:"repairable"`
}

// fsckJSON is what `fsck --output json` prints.
type fsckJSON struct {
	Pools    []string      `json:"pools"`
	Findings []findingJSON `json:"findings"` // what is there now
	Repaired []findingJSON `json:"repaired"` // what was there
}

func runFsck(ctx context.Context, e *env, opts fsckOptions) error {
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if len(opts.pools) == 0 {
		if opts.pools, err = ourPools(ctx, cluster); err != nil {
			return err
		}
	}
	images := rbd.NewImages(cluster)
	found, err := images.Fsck(ctx, opts.pools, opts.repair)
	if err != nil && len(found) == 0 {
		return err
	}
	var before []rbd.Finding
	if opts.repair && len(found) > 0 {
		var look error
		before = found
		if found, look = images.Fsck(ctx, opts.pools, false); look != nil {
			return errors.Join(err, look)
		}
	}
	j := fsckJSON{Pools: opts.pools, Findings: findingRows(found), Repaired: findingRows(repaired(before, found))}
	if err := e.printFsck(j); err != nil {
		return err
	}
	if err == nil && len(found) > 0 {
		err = statusError(1)
	}
	return err
}

// ourPools are the standard pools that the cluster has.
func ourPools(ctx context.Context, cluster *rbd.Cluster) ([]string, error) {
	answer, err := cluster.MonCommand(ctx, []byte(`{"prefix":"osd pool ls","format":"json"}`))
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(answer, &names); err != nil {
		return nil, fmt.Errorf("answer of the monitors to `osd pool ls`: %w", err)
	}
	ours := []string{}
	for _, name := range []string{backends.PoolVolumes, backends.PoolVMs, backends.PoolImages, backends.PoolBackups} {
		if slices.Contains(names, name) {
			ours = append(ours, name)
		}
	}
	if len(ours) == 0 {
		return nil, fault.New(fault.ErrNotFound, "none of the standard pools is there: name a pool")
	}
	return ours, nil
}

// repaired are the findings of before that are not among those of now.
func repaired(before, now []rbd.Finding) []rbd.Finding {
	return slices.DeleteFunc(slices.Clone(before), func(f rbd.Finding) bool {
		return slices.ContainsFunc(now, func(n rbd.Finding) bool {
			return n.Pool == f.Pool && n.Object == f.Object && n.Class == f.Class
		})
	})
}

func findingRows(found []rbd.Finding) []findingJSON {
	rows := []findingJSON{}
	for _, f := range found {
		rows = append(rows, findingJSON(f))
	}
	return rows
}

func (e *env) printFsck(j fsckJSON) error {
	if e.output == "json" {
		return e.printJSON(j)
	}
	var rows []row
	for _, f := range j.Findings {
		how := "by hand"
		if f.Repairable {
			how = "--repair"
		}
		rows = append(rows, row{cells: []any{f.Pool, f.Class, how}, below: []string{f.Object + ": " + f.Detail}})
	}
	if len(rows) > 0 {
		if _, err := fmt.Fprint(e.out, e.rowsText([]any{"POOL", "CLASS", "REPAIR"}, rows)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(e.out, "%d found, %d repaired\n", len(j.Findings), len(j.Repaired))
	return err
}
