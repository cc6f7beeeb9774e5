package pools

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// budget is the monitors' own arithmetic on PG replicas.
type budget struct {
	replicas int    // with the plan performed
	most     int    // that are allowed
	osds     int    // that the limit counts
	scope    string // what it counts over
}

func (b budget) over() bool { return b.replicas > b.most }

// Below so many OSDs the monitors calculate as if there were so many.
const leastOSDs = 3

// lastWholeCluster is the last release whose monitors count over the whole
// cluster; later ones count over the OSDs of the pool's CRUSH rule.
const lastWholeCluster = 16

// budget of the plan with these pg_nums, one for each draft.
func (p *planner) budget(pgs []int) budget {
	if p.top.Release > 0 && p.top.Release <= lastWholeCluster {
		return p.wholeBudget(pgs)
	}
	worst := budget{}
	for i, d := range p.drafts {
		if i > 0 && slices.Equal(d.osds, p.drafts[i-1].osds) {
			continue
		}
		b := p.ruleBudget(d, pgs)
		if i == 0 || b.replicas*max(1, worst.most) > worst.replicas*max(1, b.most) {
			worst = b
		}
	}
	return worst
}

// wholeBudget is `pg_num … would mean N total pgs, which exceeds max …`.
func (p *planner) wholeBudget(pgs []int) budget {
	b := budget{osds: max(p.top.In(), leastOSDs), scope: "OSDs in the cluster"}
	for _, e := range p.others() {
		b.replicas += e.PGTarget * e.Size
	}
	for i, d := range p.drafts {
		b.replicas += pgs[i] * d.Size
	}
	b.most = p.top.Limits.MaxPGPerOSD * b.osds
	return b
}

// ruleBudget is `pg_num … would result in N cumulative PGs per OSD …`.
func (p *planner) ruleBudget(of draft, pgs []int) budget {
	load := p.top.load(p.others())
	for i, d := range p.drafts {
		p.top.crush.spread(load, d.rule, pgs[i], d.Size)
	}
	b := budget{osds: max(len(of.osds), leastOSDs), scope: "OSDs of CRUSH rule " + of.rule.name}
	sum := 0.0
	for _, id := range of.osds {
		sum += load[id]
	}
	b.replicas = int(round(sum))
	b.most = p.top.Limits.MaxPGPerOSD * b.osds
	return b
}

// grows tells whether the plan adds PG replicas; the monitors check only then.
func (p *planner) grows() bool {
	return slices.ContainsFunc(p.drafts, func(d draft) bool {
		return !d.exists || d.PGNum*d.Size > d.now.PGTarget*d.now.Size
	})
}

// checkBudget refuses what the monitors would refuse half way through.
func (p *planner) checkBudget() {
	for _, d := range p.drafts {
		if most := p.top.Limits.MaxPGNum; d.PGNum > most {
			p.refuse(ErrInvalid, "pg-num", d.Name, "pg_num %d is more than %d (mon_max_pool_pg_num)", d.PGNum, most)
		}
	}
	if !p.grows() {
		return
	}
	b := p.budget(p.planned())
	if b.over() {
		p.refuse(ErrInvalid, "max-pg-per-osd", "", "the pools would come to %d PG replicas, the monitors allow %d "+
			"(mon_max_pg_per_osd %d × %d %s): %s", b.replicas, b.most, p.top.Limits.MaxPGPerOSD, b.osds, b.scope, p.waysOut(b))
		return
	}
	hard := float64(p.top.Limits.MaxPGPerOSD) * p.top.Limits.HardRatio
	for id, n := range p.loadAfter() {
		if n > hard {
			p.refuse(ErrInvalid, "hard-limit", "", "osd.%d would get %.0f PG replicas and take no more than %.0f "+
				"(mon_max_pg_per_osd × osd_max_pg_per_osd_hard_ratio): even out the CRUSH weights, or plan fewer PGs with --target",
				id, n, hard)
			return
		}
	}
}

// planned is the pg_num of every draft.
func (p *planner) planned() []int {
	pgs := make([]int, len(p.drafts))
	for i, d := range p.drafts {
		pgs[i] = d.PGNum
	}
	return pgs
}

// waysOut names what the operator can do about a budget that is exceeded.
func (p *planner) waysOut(b budget) string {
	var ways []string
	if target := p.fittingTarget(); target > 0 {
		ways = append(ways, fmt.Sprintf("plan fewer PGs with --target %d", target))
	} else {
		ways = append(ways, "plan fewer pools or PGs")
	}
	if p.opts.Formula == Card && p.fits(PGCalc, p.opts.Target) {
		ways = append(ways, "weigh the pools with --rule pgcalc")
	}
	perOSD := p.top.Limits.MaxPGPerOSD
	ways = append(ways,
		fmt.Sprintf("add OSDs (%d bear these PGs)", (b.replicas+perOSD-1)/perOSD),
		fmt.Sprintf("or raise mon_max_pg_per_osd to %d deliberately", (b.replicas+b.osds-1)/b.osds))
	return strings.Join(ways, ", ")
}

// fittingTarget is the highest target below the present one that fits; 0 if
// none does. More target never means fewer placement groups.
func (p *planner) fittingTarget() int {
	return sort.Search(p.opts.Target-1, func(i int) bool { return !p.fits(p.opts.Formula, i+1) })
}

// fits tells whether the new pools would fit with another formula or target.
func (p *planner) fits(f Formula, target int) bool {
	pgs := p.planned()
	for i, d := range p.drafts {
		if d.exists && d.PGNum == d.now.PGTarget || d.params.PGNum > 0 || d.Policy == Managed {
			continue
		}
		if f == PGCalc {
			pgs[i] = PGCalcPGs(len(d.osds), target, d.Size, d.Weight)
		} else {
			pgs[i] = CardPGs(len(d.osds), target, d.Size, p.sharing(d))
		}
	}
	return !p.budget(pgs).over()
}
