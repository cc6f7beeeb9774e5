package integration

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"rbdctl/pools"
)

// planPools plans the pools, all at once.
func (p *Plan) planPools(ctx context.Context, c cluster) error {
	top, err := pools.Read(ctx, c)
	if err != nil {
		return err
	}
	plan, err := pools.NewPlan(top, p.wish.Pools, p.wish.Count)
	if err != nil && len(plan.Refusals) == 0 {
		return err // there is no plan to be shown
	}
	p.pools, p.FSID, p.Replicas = plan, plan.FSID, plan.Replicas
	p.Warnings = append(p.Warnings, plan.Warnings...)
	if err != nil {
		p.refuse(err, poolRefusals(plan)...)
	}
	moved := p.movement(top)
	if steps := stepsOf(plan, ""); len(steps) > 0 {
		p.Items = append(p.Items, Item{Part: Cluster, Name: plan.FSID, Action: Change, Want: "settings that concern all pools", Steps: steps})
	}
	for i, pool := range plan.Pools {
		if pool.Action == "" { // it is refused before it could be counted
			continue
		}
		item := Item{
			Part: Pool, Name: pool.Name, Action: poolActions[pool.Action], Want: describePool(p.wish.Pools[i], pool),
			Steps: stepsOf(plan, pool.Name), Kept: pool.Kept,
		}
		if item.Action == Change {
			item.Moved = moved[pool.Name]
		}
		p.Items = append(p.Items, item)
	}
	return nil
}

// poolActions translates the words of package pools.
//
//nolint:gochecknoglobals // a constant table
var poolActions = map[pools.Action]Action{pools.Create: Create, pools.Change: Change, pools.Keep: Keep}

func poolRefusals(plan pools.Plan) []Refusal {
	var out []Refusal
	for _, r := range plan.Refusals {
		out = append(out, Refusal{Part: Pool, Name: r.Pool, Code: r.Code, Text: r.Text})
	}
	return out
}

// movement is what the changes of each pool move. Where they are allowed they are
// steps like any other; what they cost is told by a plan that does without them.
func (p *Plan) movement(top pools.Topology) map[string]uint64 {
	moved := map[string]uint64{}
	if !p.wish.Count.AllowDataMovement {
		return moved
	}
	still := p.wish.Count
	still.AllowDataMovement = false
	plan, _ := pools.NewPlan(top, p.wish.Pools, still) // a refusal has been noted already
	for _, pool := range plan.Pools {
		for _, difference := range pool.Kept {
			moved[pool.Name] += difference.Moved
		}
	}
	return moved
}

// stepsOf are the commands of one pool; "" means the cluster.
func stepsOf(plan pools.Plan, pool string) []string {
	var out []string
	for _, s := range plan.Steps {
		if s.Pool == pool {
			out = append(out, s.Command)
		}
	}
	return out
}

func describePool(wish pools.Params, pool pools.PoolPlan) string {
	pgs := fmt.Sprintf("%d PGs", pool.PGNum)
	if pool.Now > 0 && pool.Now != pool.PGNum {
		pgs = fmt.Sprintf("%d -> %s", pool.Now, pgs)
	}
	words := []string{pgs, fmt.Sprintf("size %d", pool.Size), "rule " + pool.Rule, string(pool.Policy)}
	if wish.MinSize > 0 {
		words = append(words, fmt.Sprintf("min_size %d", wish.MinSize))
	}
	if wish.Quota > 0 {
		words = append(words, "quota "+humanize.IBytes(wish.Quota))
	}
	return strings.Join(words, ", ")
}
