package pools

import (
	"fmt"
	"strings"
)

// differ settles a difference that moves data: a step when that is allowed,
// else a note. It tells whether the change is made.
func (p *planner) differ(d *draft, diff Difference, step Step) bool {
	if !p.opts.AllowDataMovement {
		d.Kept = append(d.Kept, diff)
		return false
	}
	d.steps = append(d.steps, step)
	return true
}

// compare says what happens to a draft: it is made, finished, changed or kept.
func (p *planner) compare(d *draft) {
	if !d.exists {
		d.Action = Create
		p.checkMinSize(d)
		return
	}
	d.Now = d.now.PGTarget
	p.compareRule(d)
	p.compareSize(d)
	p.compareMode(d)
	p.comparePGs(d)
	p.checkMinSize(d)
	d.Action = Keep
	if len(d.steps) > 0 || len(d.finish()) > 0 || !d.initialised() {
		d.Action = Change
	}
}

func (p *planner) checkMinSize(d *draft) {
	if d.params.MinSize > d.Size {
		p.refuse(ErrInvalid, "min-size", d.Name, "min_size %d is more than size %d", d.params.MinSize, d.Size)
	}
}

func (p *planner) compareRule(d *draft) {
	if d.PoolPlan.Rule != d.now.Rule { // otherwise resolve has kept it
		d.steps = append(d.steps, setStep(phaseMove, d.Name, "crush_rule", d.PoolPlan.Rule))
	}
}

func (p *planner) compareSize(d *draft) {
	if d.Size != d.now.Size { // otherwise resolve has kept it
		d.steps = append(d.steps, setStep(phaseMove, d.Name, "size", d.Size))
	}
}

// compareMode brings the autoscaler's settings in line: the mode first, so that
// it doesn't undo what follows.
func (p *planner) compareMode(d *draft) {
	if d.Mode != d.now.Mode {
		diff := Difference{"pg_autoscale_mode", d.now.Mode, d.Mode, "the autoscaler may change pg_num, or stop doing so", 0}
		if !p.differ(d, diff, setStep(phaseMove, d.Name, "pg_autoscale_mode", d.Mode)) {
			d.Mode = d.now.Mode
		}
	}
	if d.Policy == Pinned { // with the mode off the rest has no effect
		d.PGMin, d.Bulk = d.now.PGMin, d.now.Bulk
		return
	}
	if d.Policy == Floor && d.PGMin != d.now.PGMin {
		diff := Difference{"pg_num_min", fmt.Sprint(d.now.PGMin), fmt.Sprint(d.PGMin), "the autoscaler may split placement groups", 0}
		if !p.differ(d, diff, setStep(phaseMove, d.Name, "pg_num_min", d.PGMin)) {
			d.PGMin = d.now.PGMin
		}
	}
	if d.Bulk != d.now.Bulk {
		diff := Difference{"bulk", fmt.Sprint(d.now.Bulk), fmt.Sprint(d.Bulk), "the autoscaler may split or merge placement groups", 0}
		if !p.differ(d, diff, setStep(phaseMove, d.Name, "bulk", d.Bulk)) {
			d.Bulk = d.now.Bulk
		}
	}
}

func (p *planner) comparePGs(d *draft) {
	now, want := d.now.PGTarget, d.PGNum
	fine := now == want || d.Policy == Managed || d.Policy == Floor && now >= want
	if fine {
		d.PGNum = now
		return
	}
	diff := Difference{"pg_num", fmt.Sprint(now), fmt.Sprint(want), "splitting or merging placement groups moves data", splitMoves(d.now, want)}
	if !p.differ(d, diff, setStep(phaseMove, d.Name, "pg_num", want)) {
		d.PGNum = now
	}
}

// initialised tells whether the pool is finished. The nodelete flag is set last
// of all, so a pool without it may have been left half made, by a run that was
// killed: then everything is done again, which is harmless.
func (d *draft) initialised() bool {
	return d.exists && d.now.tagged() && d.now.Snapshots && d.now.NoDelete
}

// finish is what can be set at any time without moving data.
func (d *draft) finish() []Step {
	var steps []Step
	if want := d.params.MinSize; want > 0 && want != d.now.MinSize {
		steps = append(steps, setStep(phaseFinish, d.Name, "min_size", want))
	}
	if want := d.params.Quota; want > 0 && want != d.now.Quota {
		steps = append(steps, quotaStep(d.Name, want))
	}
	if !d.now.NoDelete {
		steps = append(steps, setStep(phaseFinish, d.Name, "nodelete", true))
	}
	return steps
}

// splitMoves estimates the raw bytes that another pg_num moves: half of them
// when it doubles.
func splitMoves(now Pool, want int) uint64 {
	low, high := min(now.PGTarget, want), max(now.PGTarget, want)
	return uint64(float64(now.Stored) * float64(now.Size) * (1 - float64(low)/float64(high)))
}

// sizeMoves estimates the raw bytes that another size writes.
func sizeMoves(now Pool, want int) uint64 {
	return now.Stored * uint64(max(0, want-now.Size))
}

// steps are all steps of the plan, in the order of their phases.
func (p *planner) steps() []Step {
	var all []Step
	made := map[string]bool{}
	for _, d := range p.drafts {
		if r := d.newRule; r != nil && !made[r.name] {
			made[r.name] = true
			all = append(all, ruleStep(*r))
		}
	}
	for _, d := range p.drafts {
		if d.Action == Create {
			all = append(all, p.createSteps(d)...)
		}
	}
	for _, d := range p.drafts {
		all = append(all, d.steps...)
	}
	for _, d := range p.drafts {
		if !d.initialised() {
			all = append(all, initStep(d.Name))
		}
	}
	for _, d := range p.drafts {
		all = append(all, d.finish()...)
	}
	if p.canRequireMimic() {
		all = append(all, requireStep(requiredClient))
	}
	return all
}

// requiredClient is the oldest client that knows clones whose parent snapshot
// needs no protection.
const requiredClient = "mimic"

// canRequireMimic tells whether older clients are to be shut out: they are not
// yet, and none is connected.
func (p *planner) canRequireMimic() bool {
	return !p.opts.KeepClients && p.top.RequireClient < requiredClient && len(p.oldClients()) == 0
}

// oldClients are connected clients that are certainly too old. Names of releases
// begin with rising letters. Clients of mimic and later look like luminous
// ones, so the last word is the monitors'.
func (p *planner) oldClients() []string {
	var old []string
	for _, c := range p.top.Clients {
		if c.Release < "luminous" || strings.HasPrefix(c.Release, "unknown") {
			old = append(old, fmt.Sprintf("%d of %s", c.Num, c.Release))
		}
	}
	return old
}
