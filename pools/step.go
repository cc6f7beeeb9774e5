package pools

import (
	"fmt"
	"strings"
)

// Step is one change to the cluster. It prints as the command of Ceph's tools
// that does the same.
type Step struct {
	Pool    string `json:"pool,omitempty"` // empty: the cluster
	Command string `json:"command"`

	phase  phase
	prefix string // of the monitor command; empty: the pool is initialised by librbd
	args   args
}

// String is the step as a command for a shell.
func (s Step) String() string { return s.Command }

// phase orders steps. Within one, the steps of a pool keep their order, and
// pools don't depend on each other.
type phase int

const (
	phaseRule    phase = iota // CRUSH rules
	phaseCreate               // pools, one after the other
	phaseMove                 // what moves data
	phaseInit                 // librbd
	phaseFinish               // min_size, quota and, last, nodelete
	phaseCluster              // what concerns all pools
)

func ruleStep(r ruleParams) Step {
	return Step{
		Command: fmt.Sprintf("ceph osd crush rule create-replicated %s %s %s %s", r.name, r.root, r.domain, r.class),
		phase:   phaseRule,
		prefix:  "osd crush rule create-replicated",
		args:    args{"name": r.name, "root": r.root, "type": r.domain, "class": r.class},
	}
}

// createSteps makes a pool with pg_num and everything that the autoscaler looks
// at in one command, so that it never sees a half-made pool; what the release
// can't take in that command follows it.
func (p *planner) createSteps(d draft) []Step {
	s := Step{Pool: d.Name, phase: phaseCreate, prefix: "osd pool create"}
	s.args = args{"pool": d.Name, "pg_num": d.PGNum, "pgp_num": d.PGNum, "pool_type": "replicated", "rule": d.PoolPlan.Rule}
	text := []string{"ceph osd pool create", d.Name, fmt.Sprint(d.PGNum), fmt.Sprint(d.PGNum), "replicated", "--rule", d.PoolPlan.Rule}
	steps := []Step{{}}
	with := func(arg, option string, value any) {
		if !p.creates(arg) {
			steps = append(steps, setStep(phaseCreate, d.Name, option, value))
			return
		}
		s.args[arg] = value
		text = append(text, "--"+strings.ReplaceAll(arg, "_", "-"))
		if value != true {
			text = append(text, fmt.Sprint(value))
		}
	}
	with("autoscale_mode", "pg_autoscale_mode", d.Mode)
	with("size", "size", d.Size)
	if d.PGMin > 0 {
		with("pg_num_min", "pg_num_min", d.PGMin)
	}
	if d.Bulk {
		with("bulk", "bulk", true)
	}
	if d.Size == 1 && p.top.createTakes["yes_i_really_mean_it"] {
		with("yes_i_really_mean_it", "", true)
	}
	s.Command = strings.Join(text, " ")
	steps[0] = s
	return steps
}

// creates tells whether `osd pool create` takes an argument; without a cluster
// it is taken to.
func (p *planner) creates(arg string) bool {
	return p.top.createTakes == nil || p.top.createTakes[arg]
}

// setStep sets one variable of a pool.
func setStep(ph phase, pool, option string, value any) Step {
	val := fmt.Sprint(value)
	s := Step{
		Pool:    pool,
		Command: fmt.Sprintf("ceph osd pool set %s %s %s", pool, option, val),
		phase:   ph,
		prefix:  "osd pool set",
		args:    args{"pool": pool, "var": option, "val": val},
	}
	if option == "size" && val == "1" {
		s.Command += " --yes-i-really-mean-it"
		s.args["yes_i_really_mean_it"] = true
	}
	return s
}

func quotaStep(pool string, bytes uint64) Step {
	val := fmt.Sprint(bytes)
	return Step{
		Pool:    pool,
		Command: fmt.Sprintf("ceph osd pool set-quota %s max_bytes %s", pool, val),
		phase:   phaseFinish,
		prefix:  "osd pool set-quota",
		args:    args{"pool": pool, "field": "max_bytes", "val": val},
	}
}

func initStep(pool string) Step {
	return Step{Pool: pool, Command: "rbd pool init " + pool, phase: phaseInit}
}

func requireStep(release string) Step {
	return Step{
		Command: "ceph osd set-require-min-compat-client " + release,
		phase:   phaseCluster,
		prefix:  "osd set-require-min-compat-client",
		args:    args{"version": release},
	}
}
