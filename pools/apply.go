package pools

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"rbdctl/internal/fault"
)

// Result is what Apply found when it read everything back.
type Result struct {
	Changed  bool         `json:"changed"`
	Pools    []PoolResult `json:"pools"`
	Replicas Load         `json:"pg_replicas_per_osd"`
	Warnings []Warning    `json:"warnings,omitempty"`
}

// PoolResult is one pool as the cluster has it now.
type PoolResult struct {
	Name         string       `json:"name"`
	Action       Action       `json:"action"` // that was performed
	PGNum        int          `json:"pg_num"`
	Mode         string       `json:"autoscale_mode"`
	PGMin        int          `json:"pg_num_min"`
	Bulk         bool         `json:"bulk"`
	Size         int          `json:"size"`
	MinSize      int          `json:"min_size"`
	Rule         string       `json:"crush_rule"`
	Applications []string     `json:"applications"`
	NoDelete     bool         `json:"nodelete"`
	Quota        uint64       `json:"quota_bytes"`
	Kept         []Difference `json:"kept,omitempty"`
}

// Apply performs a plan, reads everything back and compares. A plan without
// steps changes nothing; Changed says so. It may be killed anywhere: reading,
// planning and applying again goes on from there.
//
// An error of kind ErrUnavailable says that the cluster took the steps and is
// not as it was told to be; one of kind ErrExists that another made a pool of
// that name in the meantime, otherwise than planned.
//
// Similar To: ceph osd pool create; rbd pool init; ceph osd pool set
func Apply(ctx context.Context, mon monitor, init initialiser, plan Plan) (Result, error) {
	if len(plan.Refusals) > 0 {
		return Result{}, refuse("the plan is refused: %s", plan.Refusals[0].Text)
	}
	var late []Warning
	for _, group := range phases(plan.Steps) {
		warnings, err := perform(ctx, mon, init, group)
		late = append(late, warnings...)
		if err != nil {
			return Result{Changed: true}, err
		}
	}
	result, err := readBack(ctx, mon, plan)
	result.Warnings = append(result.Warnings, late...)
	return result, err
}

// phases cuts the steps where their phase changes.
func phases(steps []Step) [][]Step {
	var groups [][]Step
	for i, s := range steps {
		if i == 0 || s.phase != steps[i-1].phase {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], s)
	}
	return groups
}

// perform runs the steps of one phase: those of a pool in order, the pools side
// by side, for every step waits for a new map. Pools are created one at a time.
func perform(ctx context.Context, mon monitor, init initialiser, steps []Step) ([]Warning, error) {
	chains := map[string][]Step{}
	var names []string
	for _, s := range steps {
		name := s.Pool
		if s.phase == phaseCreate {
			name = ""
		}
		if chains[name] == nil {
			names = append(names, name)
		}
		chains[name] = append(chains[name], s)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(names))
	warnings := make([][]Warning, len(names))
	for i, name := range names {
		wg.Go(func() {
			for _, s := range chains[name] {
				if errs[i] = s.perform(ctx, mon, init); errs[i] == nil {
					continue
				}
				if warnings[i], errs[i] = s.forgive(errs[i]); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return slices.Concat(warnings...), oneLine(errs...)
}

func (s Step) perform(ctx context.Context, mon monitor, init initialiser) error {
	if s.prefix == "" {
		return init.InitPool(ctx, s.Pool)
	}
	return tell(ctx, mon, s.prefix, s.args)
}

// forgive makes a warning of a refusal that the monitors know better about:
// they can tell clients apart that look alike from outside.
func (s Step) forgive(err error) ([]Warning, error) {
	if s.phase != phaseCluster || !errors.Is(err, fault.ErrDenied) {
		return nil, err
	}
	return []Warning{{Code: "old-clients", Text: err.Error() + ": clones need protected snapshots until then"}}, nil
}

// readBack reads the cluster again, plans again, and expects nothing to do.
func readBack(ctx context.Context, mon monitor, plan Plan) (Result, error) {
	top, err := Read(ctx, mon)
	if err != nil {
		return Result{Changed: len(plan.Steps) > 0}, err
	}
	if top.FSID != plan.FSID {
		return Result{}, refuse("the plan is for cluster %s, this is %s", plan.FSID, top.FSID)
	}
	again, err := NewPlan(top, plan.params, plan.options)
	result := Result{Changed: len(plan.Steps) > 0, Replicas: again.Replicas.Load, Warnings: plan.Warnings}
	for i, p := range again.Pools {
		now, _ := top.Pool(p.Name)
		result.Pools = append(result.Pools, PoolResult{
			Name: p.Name, Action: plan.Pools[i].Action,
			PGNum: now.PGTarget, Mode: now.Mode, PGMin: now.PGMin, Bulk: now.Bulk,
			Size: now.Size, MinSize: now.MinSize, Rule: now.Rule,
			Applications: now.Applications, NoDelete: now.NoDelete, Quota: now.Quota,
			Kept: p.Kept,
		})
	}
	if err != nil {
		return result, err
	}
	return result, compareBack(plan, again)
}

// compareBack reports what is not as it was planned.
func compareBack(plan, again Plan) error {
	var left []string
	for _, s := range again.Steps {
		if s.phase != phaseCluster { // forgiven
			left = append(left, s.Command)
		}
	}
	if len(left) > 0 {
		return fault.New(ErrUnavailable, "the cluster took the changes and shows none of these: "+
			strings.Join(left, ", ")+": run it again")
	}
	for i, p := range again.Pools {
		for _, k := range p.Kept {
			same := func(old Difference) bool { return old.Field == k.Field }
			if !slices.ContainsFunc(plan.Pools[i].Kept, same) {
				return fault.New(fault.ErrExists, fmt.Sprintf("pool %s: wanted %s %s, the cluster has %s: "+
					"somebody else made the pool meanwhile", p.Name, k.Field, k.Want, k.Now))
			}
		}
	}
	return nil
}
