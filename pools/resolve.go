package pools

import (
	"slices"
	"strconv"
	"strings"
)

// ruleParams is a CRUSH rule that has to be made.
type ruleParams struct {
	name, root, domain, class string
}

// resolve finds the pool, its CRUSH rule and its size, and refuses what can't
// be placed or must not be touched.
func (p *planner) resolve(params Params) draft {
	d := draft{params: params}
	d.now, d.exists = p.top.Pool(params.Name)
	d.Name, d.Policy = params.Name, params.Policy
	if d.Policy == "" {
		d.Policy = Pinned
	}
	if d.exists {
		p.checkOwner(d.now)
	}
	p.chooseRule(&d)
	if now, ok := p.top.crush.rule(d.now.Rule); ok && d.exists && d.PoolPlan.Rule != now.name && !p.opts.AllowDataMovement {
		d.Kept = append(d.Kept, Difference{
			"crush_rule", now.name, d.PoolPlan.Rule, "another rule moves the whole pool", d.now.Stored * uint64(d.now.Size),
		})
		d.newRule = nil
		p.setRule(&d, now)
	}
	p.chooseSize(&d)
	return d
}

// checkOwner refuses a pool that is not ours to use.
func (p *planner) checkOwner(now Pool) {
	switch foreign := now.foreign(); {
	case now.Erasure:
		p.refuse(ErrInvalid, "erasure", now.Name, "it is erasure-coded: images need a replicated pool "+
			"and can keep only their data in this one; choose another name")
	case len(foreign) > 0:
		p.refuse(ErrInUse, "foreign", now.Name, "it belongs to application %s: choose another name, "+
			"or take the tag off if nothing uses it", strings.Join(foreign, ", "))
	case !now.tagged() && now.Objects > 0:
		p.refuse(ErrInUse, "untagged", now.Name, "it holds %d objects and belongs to no application: "+
			"if they are RBD images, say so with `ceph osd pool application enable %s rbd`", now.Objects, now.Name)
	}
}

// chooseRule settles which CRUSH rule a pool will have.
func (p *planner) chooseRule(d *draft) {
	want := d.params.Rule
	if want == "" && d.params.Class != "" {
		p.chooseClass(d)
		return
	}
	if want == "" && d.exists {
		want = d.now.Rule
	}
	if want == "" {
		want = p.top.defaultRule
	}
	rule, ok := p.top.crush.rule(want)
	switch {
	case !ok:
		p.refuse(ErrInvalid, "no-rule", d.Name, "there is no CRUSH rule %q: want one of %s",
			want, strings.Join(p.ruleNames(), ", "))
		return
	case rule.erasure && !(d.exists && d.now.Erasure):
		p.refuse(ErrInvalid, "erasure-rule", d.Name, "CRUSH rule %s is for erasure-coded pools", want)
	case d.params.Class != "" && !slices.Equal(p.top.crush.classes(rule), []string{d.params.Class}):
		p.refuse(ErrInvalid, "class", d.Name, "CRUSH rule %s does not keep to device class %s: "+
			"name another rule, or only the class", want, d.params.Class)
	}
	p.setRule(d, rule)
}

func (p *planner) setRule(d *draft, r crushRule) {
	d.rule, d.osds = r, p.top.crush.osds(r)
	d.PoolPlan.Rule, d.Domain = r.name, r.domain()
}

func (p *planner) ruleNames() []string {
	var names []string
	for _, r := range p.top.crush.rules {
		if !r.erasure {
			names = append(names, r.name)
		}
	}
	return names
}

// chooseClass takes the rule that keeps to a device class, the pool's own if it
// does; where there is none it plans one beside the default rule.
func (p *planner) chooseClass(d *draft) {
	m, class := p.top.crush, d.params.Class
	keeps := func(r crushRule) bool {
		return !r.erasure && strings.HasSuffix(m.rootName(r), "~"+class)
	}
	if r, ok := m.rule(d.now.Rule); d.exists && ok && keeps(r) {
		p.setRule(d, r)
		return
	}
	if i := slices.IndexFunc(m.rules, keeps); i >= 0 {
		p.setRule(d, m.rules[i])
		return
	}
	model, _ := m.rule(p.top.defaultRule)
	root, _, _ := strings.Cut(m.rootName(model), "~")
	shadow, ok := m.named(root + "~" + class)
	if !ok {
		p.refuse(ErrInvalid, "class", d.Name, "no OSD has device class %q", class)
		return
	}
	d.newRule = &ruleParams{"replicated_" + class, root, model.domain(), class}
	p.setRule(d, crushRule{id: -1, name: d.newRule.name, paths: []path{{
		root:  shadow,
		picks: []pick{{kind: model.domain(), leaf: model.domain() != "osd"}},
	}}})
}

// rootName is where a rule starts, "default~ssd".
func (m crushMap) rootName(r crushRule) string {
	if len(r.paths) == 0 {
		return ""
	}
	return m.buckets[r.paths[0].root].name
}

// named finds a bucket by name.
func (m crushMap) named(name string) (int, bool) {
	for id, b := range m.buckets {
		if b.name == name {
			return id, true
		}
	}
	return 0, false
}

// chooseSize settles the number of replicas.
func (p *planner) chooseSize(d *draft) {
	d.Size = d.params.Size
	if d.Size == 0 && d.exists {
		d.Size = d.now.Size
	}
	if d.Size == 0 && p.top.Stretch {
		d.Size = stretchSize
	}
	if d.Size == 0 {
		d.Size = p.top.Limits.DefaultSize
	}
	if d.PoolPlan.Rule == "" {
		return // refused already
	}
	p.checkSize(d)
	if d.exists && d.Size != d.now.Size && !p.opts.AllowDataMovement {
		d.Kept = append(d.Kept, Difference{
			"size", strconv.Itoa(d.now.Size), strconv.Itoa(d.Size), "another size moves data", sizeMoves(d.now, d.Size),
		})
		d.Size = d.now.Size
	}
}

// stretchSize is the only size that pools may have in stretch mode.
const stretchSize = 4

// checkSize refuses sizes that the monitors accept but the cluster can't hold.
func (p *planner) checkSize(d *draft) {
	if d.exists && d.Size == d.now.Size {
		return // it is so already; the survey warns
	}
	domains := p.top.crush.domains(d.rule)
	switch {
	case p.top.Stretch && d.Size != stretchSize:
		p.refuse(ErrInvalid, "stretch", d.Name, "size %d: the cluster is in stretch mode and wants size %d",
			d.Size, stretchSize)
	case d.Size > domains:
		p.refuse(ErrInvalid, "domains", d.Name, "size %d needs %d failure domains (%s) under CRUSH rule %s, "+
			"there are %d: add some, use a smaller size, or a rule with another failure domain",
			d.Size, d.Size, d.Domain, d.PoolPlan.Rule, domains)
	case d.Size == 1 && !p.top.Limits.SizeOne:
		p.refuse(ErrInvalid, "size-one", d.Name, "size 1 keeps no second copy and the monitors don't allow it: "+
			"use size 2 or more, or, where losing the data is fine, `ceph config set global mon_allow_pool_size_one true`")
	}
}
