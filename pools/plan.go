package pools

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"rbdctl/internal/fault"
)

// Options shape a plan. Zero values mean defaults.
type Options struct {
	Formula           Formula // empty: Card
	Target            int     // PG replicas per OSD to aim at; 0: DefaultTarget
	AllowDataMovement bool    // may change pg_num, size, rule and mode of pools that exist
	KeepClients       bool    // leave require_min_compat_client as it is
}

// Plan is what it takes to get from a topology to a set of pools. It is data:
// making one changes nothing.
type Plan struct {
	FSID        string     `json:"fsid,omitempty"`
	Version     string     `json:"version,omitempty"` // of the monitors; empty offline
	OSDs        int        `json:"osds"`              // that take part
	Formula     Formula    `json:"rule"`
	Target      int        `json:"target"`
	MaxPGPerOSD int        `json:"mon_max_pg_per_osd"` // running value
	Existing    []Existing `json:"existing,omitempty"` // pools that stay beside those of the plan
	Pools       []PoolPlan `json:"pools"`
	Replicas    Replicas   `json:"pg_replicas_per_osd"`
	Steps       []Step     `json:"steps"`
	Warnings    []Warning  `json:"warnings,omitempty"`
	Refusals    []Warning  `json:"refusals,omitempty"`

	params  []Params // what was asked for, to compare with afterwards
	options Options
}

// Replicas is the PG replicas per OSD, with the plan and before it, over the
// OSDs that the planned pools use.
type Replicas struct {
	Load
	Before Load `json:"before"`
}

// Existing is a pool that the plan does not touch but counts.
type Existing struct {
	Name  string `json:"name"`
	PGNum int    `json:"pg_num"`
	Size  int    `json:"size"`
}

// Action is what a plan does with a pool.
type Action string

// What a plan does with a pool.
const (
	Create Action = "create"
	Change Action = "change" // it exists and needs finishing or changing
	Keep   Action = "keep"
)

// PoolPlan is one pool of a plan.
type PoolPlan struct {
	Name      string       `json:"name"`
	PGNum     int          `json:"pg_num"`     // once the plan is performed
	Now       int          `json:"pg_num_now"` // 0: there is no such pool
	Action    Action       `json:"action"`
	Rule      string       `json:"crush_rule"`
	Domain    string       `json:"failure_domain"`
	Size      int          `json:"size"`
	Weight    float64      `json:"weight_percent"`
	Policy    Policy       `json:"pg_policy"`
	Mode      string       `json:"autoscale_mode"`
	PGMin     int          `json:"pg_num_min,omitempty"`
	Bulk      bool         `json:"bulk"`
	Raw       float64      `json:"raw"` // the card's number before rounding
	Card      int          `json:"card"`
	PGCalc    int          `json:"pgcalc"`
	Predicted Prediction   `json:"autoscaler"`
	Kept      []Difference `json:"kept,omitempty"`
}

// Difference is something of an existing pool that is not as wanted, and stays
// so because changing it would move data.
type Difference struct {
	Field  string `json:"field"`
	Now    string `json:"now"`
	Want   string `json:"want"`
	Reason string `json:"reason"`
	Moved  uint64 `json:"moved_bytes"` // raw bytes that a change would move, about
}

// Warning is something that the operator should know. Code is stable.
type Warning struct {
	Code string `json:"code"`
	Pool string `json:"pool,omitempty"` // empty: the plan as a whole
	Text string `json:"text"`
}

// NewPlan plans the whole set of pools at once. The same arguments give the
// same plan.
//
// It refuses what the monitors would refuse, and what they would accept to
// nobody's good, with an error of kind ErrInvalid; a pool that belongs to
// another application with one of kind ErrInUse. The plan is returned beside
// such an error, with every reason in Refusals, so that it can be shown.
func NewPlan(top Topology, set []Params, opts Options) (Plan, error) {
	if opts.Formula == "" {
		opts.Formula = Card
	}
	if opts.Target == 0 {
		opts.Target = DefaultTarget
	}
	if _, err := ParseFormula(string(opts.Formula)); err != nil {
		return Plan{}, err
	}
	if opts.Target < 1 || opts.Target > maxTarget {
		return Plan{}, refuse("target %d: want 1 to %d PG replicas per OSD", opts.Target, maxTarget)
	}
	if err := validate(set); err != nil {
		return Plan{}, err
	}
	p := planner{top: top, opts: opts, set: set}
	return p.plan()
}

// Most PG replicas per OSD that can be aimed at: far beyond what an OSD bears.
const maxTarget = 10_000

// planner makes one plan.
type planner struct {
	top     Topology
	opts    Options
	set     []Params
	drafts  []draft // one for each of set
	refused []refusal
	warned  []Warning
}

// draft is a pool on its way into the plan.
type draft struct {
	params  Params
	rule    crushRule
	osds    []int       // that the rule can use
	newRule *ruleParams // the rule is to be made first
	exists  bool
	now     Pool
	PoolPlan
	steps []Step
}

// refusal is a reason not to perform the plan.
type refusal struct {
	Warning
	kind error
}

func (p *planner) refuse(kind error, code, pool, format string, args ...any) {
	p.refused = append(p.refused, refusal{Warning{code, pool, fmt.Sprintf(format, args...)}, kind})
}

func (p *planner) warn(code, pool, format string, args ...any) {
	p.warned = append(p.warned, Warning{code, pool, fmt.Sprintf(format, args...)})
}

func (p *planner) plan() (Plan, error) {
	for _, params := range p.set {
		p.drafts = append(p.drafts, p.resolve(params))
	}
	if len(p.refused) == 0 { // a pool that can't be placed can't be counted
		p.count()
		for i := range p.drafts {
			p.compare(&p.drafts[i])
		}
		p.checkBudget()
	}
	p.survey()
	out := p.assemble()
	return out, p.err()
}

// err joins the refusals into one error; pools that are refused for the same
// reason share a sentence.
func (p *planner) err() error {
	var errs []error
	var said []string
	for _, r := range p.refused {
		if slices.Contains(said, r.Text) {
			continue
		}
		said = append(said, r.Text)
		var names []string
		for _, same := range p.refused {
			if same.Text == r.Text && same.Pool != "" {
				names = append(names, same.Pool)
			}
		}
		errs = append(errs, fault.New(r.kind, about(names)+r.Text))
	}
	return oneLine(errs...)
}

// about is the beginning of a sentence on some pools.
func about(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return "pool " + names[0] + ": "
	}
	return "pools " + strings.Join(names, ", ") + ": "
}

func (p *planner) assemble() Plan {
	out := Plan{
		FSID: p.top.FSID, Version: p.top.Version, OSDs: p.top.In(),
		Formula: p.opts.Formula, Target: p.opts.Target, MaxPGPerOSD: p.top.Limits.MaxPGPerOSD,
		Pools: []PoolPlan{}, Steps: []Step{}, Warnings: p.warned,
		params: p.set, options: p.opts,
	}
	for _, e := range p.others() {
		out.Existing = append(out.Existing, Existing{e.Name, e.PGTarget, e.Size})
	}
	for _, r := range p.refused {
		out.Refusals = append(out.Refusals, r.Warning)
	}
	for _, d := range p.drafts {
		out.Pools = append(out.Pools, d.PoolPlan)
	}
	osds := p.osds()
	out.Replicas = Replicas{
		Load:   p.top.loadOver(p.loadAfter(), osds),
		Before: p.top.loadOver(p.top.load(p.top.Pools), osds),
	}
	if len(p.refused) == 0 {
		out.Steps = p.steps()
	}
	return out
}

// osds are those that the planned pools use, sorted.
func (p *planner) osds() []int {
	var all []int
	for _, d := range p.drafts {
		all = append(all, d.osds...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// others are the pools that exist and are not planned.
func (p *planner) others() []Pool {
	var out []Pool
	for _, e := range p.top.Pools {
		planned := false
		for _, d := range p.drafts {
			planned = planned || d.params.Name == e.Name
		}
		if !planned {
			out = append(out, e)
		}
	}
	return out
}

// loadAfter is the PG replicas on each OSD once the plan is performed.
func (p *planner) loadAfter() map[int]float64 {
	load := p.top.load(p.others())
	for _, d := range p.drafts {
		p.top.crush.spread(load, d.rule, d.PGNum, d.Size)
	}
	return load
}

// round drops what floating point left behind.
func round(x float64) float64 { return math.Round(x*1e6) / 1e6 }
