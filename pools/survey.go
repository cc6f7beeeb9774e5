package pools

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// survey collects what is worth knowing about the plan and refuses nothing.
func (p *planner) survey() {
	for _, note := range p.top.Notes {
		p.warn("note", "", "%s", note)
	}
	if in, up := p.top.In(), p.top.Up(); up < in {
		p.warn("down", "", "%d of %d OSDs that are in are down", in-up, in)
	}
	l := p.top.Limits
	if !p.top.offline && p.top.configuredPGs != l.MaxPGPerOSD {
		p.warn("running-value", "", "mon_max_pg_per_osd is %d in the running monitors, the configuration database says %d: "+
			"the running value counts", l.MaxPGPerOSD, p.top.configuredPGs)
	}
	for i := range p.drafts {
		p.surveyPool(&p.drafts[i])
	}
	p.surveyLoad()
	p.surveyRoots()
	p.surveyBackups()
	p.surveyClients()
}

func (p *planner) surveyPool(d *draft) {
	switch {
	case d.Size == 1:
		p.warn("size", d.Name, "pool %s: size 1 loses data with the first disk that fails", d.Name)
	case d.Size == 2:
		p.warn("size", d.Name, "pool %s: size 2 leaves one copy while a disk is away", d.Name)
	case d.params.MinSize == d.Size:
		p.warn("min-size", d.Name, "pool %s: min_size %d stops I/O on any single failure", d.Name, d.Size)
	}
	if d.params.MinSize == 1 && d.Size > 1 {
		p.warn("min-size", d.Name, "pool %s: min_size 1 accepts writes that only one disk has", d.Name)
	}
	if n := p.top.crush.domains(d.rule); d.exists && d.Size > n {
		p.warn("domains", d.Name, "pool %s: size %d and %d failure domains (%s): its placement groups can't become clean",
			d.Name, d.Size, n, d.Domain)
	}
	if d.PGNum > 0 && bits.OnesCount(uint(d.PGNum)) != 1 {
		p.warn("power-of-two", d.Name, "pool %s: pg_num %d is no power of two: its placement groups differ in size", d.Name, d.PGNum)
	}
	switch {
	case d.Policy == Pinned:
	case p.top.AutoscalerOff:
		p.warn("noautoscale", d.Name, "pool %s: policy %s has no effect while the cluster's noautoscale flag is set", d.Name, d.Policy)
	case p.top.AutoscalerMissing:
		p.warn("no-autoscaler", d.Name, "pool %s: policy %s has no effect, the manager runs no autoscaler: see `ceph health detail`", d.Name, d.Policy)
	}
	if d.params.Quota > 0 {
		p.warn("quota", d.Name, "pool %s: at its quota clients block and guests hang; quotas of Cinder and Nova are gentler", d.Name)
	}
}

// surveyLoad compares the PG replicas per OSD with what is aimed at.
func (p *planner) surveyLoad() {
	if len(p.refused) > 0 {
		return
	}
	load := p.top.loadOver(p.loadAfter(), p.osds())
	if load.Mean > float64(p.opts.Target) {
		p.warn("over-target", "", "%.4g PG replicas per OSD are over the target of %d (limit %d)",
			load.Mean, p.opts.Target, p.top.Limits.MaxPGPerOSD)
	}
	if load.Max > 1.25*load.Mean {
		p.warn("uneven", "", "%s gets %.4g PG replicas, the mean is %.4g: its CRUSH weight is above the others'",
			load.MaxOSD, load.Max, load.Mean)
	}
}

// surveyRoots finds pools whose CRUSH roots share OSDs: the autoscaler skips
// them all, without a word.
func (p *planner) surveyRoots() {
	roots := map[int][]int{} // OSDs, sorted, by root
	add := func(r crushRule, ok bool) {
		if ok && len(r.paths) > 0 {
			roots[p.root(r)] = p.top.crush.osds(r)
		}
	}
	for _, e := range p.others() {
		add(p.top.crush.rule(e.Rule))
	}
	for _, d := range p.drafts {
		add(d.rule, d.PoolPlan.Rule != "")
	}
	overlapping := map[string]bool{}
	for a, mine := range roots {
		for b, theirs := range roots {
			if a != b && slices.ContainsFunc(mine, func(id int) bool { _, shared := slices.BinarySearch(theirs, id); return shared }) {
				overlapping[p.top.crush.buckets[a].name] = true
			}
		}
	}
	if len(overlapping) > 0 {
		p.warn("overlapping-roots", "", "the CRUSH roots %s share OSDs: the autoscaler leaves all pools on them alone",
			strings.Join(slices.Sorted(maps.Keys(overlapping)), ", "))
	}
}

// surveyBackups reminds that a backup beside its original is lost with it.
func (p *planner) surveyBackups() {
	rule := map[string]string{}
	for _, d := range p.drafts {
		rule[d.Name] = d.PoolPlan.Rule
	}
	if r := rule["backups"]; r != "" && r == rule["volumes"] {
		p.warn("shared-backups", "backups", "pool backups shares its OSDs with volumes: give it a CRUSH rule of its own "+
			"where backups are to survive what volumes don't")
	}
}

func (p *planner) surveyClients() {
	if p.opts.KeepClients || p.top.RequireClient >= requiredClient {
		return
	}
	if old := p.oldClients(); len(old) > 0 {
		p.warn("old-clients", "", "clients older than %s are connected (%s): require-min-compat-client stays %s "+
			"and clones need protected snapshots", requiredClient, strings.Join(old, ", "), p.top.RequireClient)
	}
}
