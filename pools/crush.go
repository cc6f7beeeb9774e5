package pools

import (
	"cmp"
	"maps"
	"slices"
)

// crushMap is the part of a CRUSH map that placing replicas depends on.
type crushMap struct {
	buckets map[int]bucket
	devices map[int]device
	rules   []crushRule // by id
}

// bucket is an inner node; its id is negative.
type bucket struct {
	name  string
	kind  string // "root", "host", …
	items []item
}

type item struct {
	id     int
	weight float64 // as CRUSH has it; only its proportion counts
}

// device is an OSD in the tree.
type device struct {
	name  string
	class string
	in    float64 // 0 is out, 1 is in; what lies between is reweighted
}

// crushRule places the replicas of a pool.
type crushRule struct {
	id      int
	name    string
	erasure bool
	paths   []path
}

// path is one take … emit of a rule.
type path struct {
	root  int
	picks []pick
}

// pick chooses num buckets of a kind; 0 means as many as replicas are left, a
// negative number that many fewer.
type pick struct {
	num  int
	kind string // "osd" for devices
	leaf bool   // then goes on to one device below each
}

// rule finds a rule by name.
func (m crushMap) rule(name string) (crushRule, bool) {
	i := slices.IndexFunc(m.rules, func(r crushRule) bool { return r.name == name })
	if i < 0 {
		return crushRule{}, false
	}
	return m.rules[i], true
}

// ruleByID finds a rule by its number.
func (m crushMap) ruleByID(id int) (crushRule, bool) {
	i := slices.IndexFunc(m.rules, func(r crushRule) bool { return r.id == id })
	if i < 0 {
		return crushRule{}, false
	}
	return m.rules[i], true
}

// weight of a node: what lies below it and is in.
func (m crushMap) weight(it item) float64 {
	if it.id >= 0 {
		return it.weight * m.devices[it.id].in
	}
	sum := 0.0
	for _, child := range m.buckets[it.id].items {
		sum += m.weight(child)
	}
	return sum
}

// below collects the nodes of a kind under id whose weight is not zero.
func (m crushMap) below(id int, kind string) []item {
	var out []item
	for _, it := range m.buckets[id].items {
		isKind := it.id >= 0 && kind == "osd" || it.id < 0 && m.buckets[it.id].kind == kind
		switch {
		case m.weight(it) <= 0:
		case isKind:
			out = append(out, it)
		case it.id < 0:
			out = append(out, m.below(it.id, kind)...)
		}
	}
	return out
}

// osds are the ids of the devices that a rule can use, sorted.
func (m crushMap) osds(r crushRule) []int {
	set := map[int]bool{}
	for _, p := range r.paths {
		for _, it := range m.below(p.root, "osd") {
			set[it.id] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// domain is the kind of bucket that a rule never puts two replicas in.
func (r crushRule) domain() string {
	if len(r.paths) == 0 || len(r.paths[0].picks) == 0 {
		return "osd"
	}
	picks := r.paths[0].picks
	return picks[len(picks)-1].kind
}

// classes are the device classes of the OSDs that a rule can use.
func (m crushMap) classes(r crushRule) []string {
	set := map[string]bool{}
	for _, id := range m.osds(r) {
		set[m.devices[id].class] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// domains is how many replicas a rule can place at most: the failure domains of
// non-zero weight that it reaches.
func (m crushMap) domains(r crushRule) int {
	sum := 0
	for _, p := range r.paths {
		sum += m.reach(p.root, p.picks)
	}
	return sum
}

func (m crushMap) reach(id int, picks []pick) int {
	if len(picks) == 0 || id >= 0 {
		return 1
	}
	var each []int
	for _, child := range m.below(id, picks[0].kind) {
		each = append(each, m.reach(child.id, picks[1:]))
	}
	slices.SortFunc(each, func(a, b int) int { return cmp.Compare(b, a) })
	if n := picks[0].num; n > 0 && n < len(each) {
		each = each[:n]
	}
	sum := 0
	for _, n := range each {
		sum += n
	}
	return sum
}

// spread adds to load, by OSD, the PG replicas that a pool of pgs placement
// groups and this size is expected to put there. Replicas follow the CRUSH
// weight, but no OSD and no failure domain gets a placement group twice.
func (m crushMap) spread(load map[int]float64, r crushRule, pgs, size int) {
	left := size
	for _, p := range r.paths {
		n := picked(p.picks, left)
		m.descend(load, item{id: p.root}, float64(pgs), p.picks, left)
		left -= n
		if left <= 0 {
			return
		}
	}
}

// picked is how many replicas a path places of those that are left.
func picked(picks []pick, left int) int {
	n := 1
	for _, p := range picks {
		n *= p.count(left)
	}
	return min(n, left)
}

func (p pick) count(size int) int {
	if p.num <= 0 {
		return max(0, size+p.num)
	}
	return min(p.num, size)
}

func (m crushMap) descend(load map[int]float64, at item, visits float64, picks []pick, size int) {
	if at.id >= 0 {
		load[at.id] += visits
		return
	}
	next := pick{num: 1, kind: "osd"} // chooseleaf: one device below each choice
	var rest []pick
	if len(picks) > 0 {
		next, rest = picks[0], picks[1:]
	}
	children := m.below(at.id, next.kind)
	weights := make([]float64, len(children))
	for i, child := range children {
		weights[i] = m.weight(child)
	}
	shares := share(visits*float64(next.count(size)), visits, weights)
	for i, child := range children {
		m.descend(load, child, shares[i], rest, size)
	}
}

// share divides total by weight, none getting more than most. What the heavy
// ones can't take goes to the others; what nobody can take is left over.
func share(total, most float64, weights []float64) []float64 {
	out := make([]float64, len(weights))
	full := make([]bool, len(weights))
	for {
		open := 0.0 // weight of those that can still take
		for i, w := range weights {
			if !full[i] {
				open += w
			}
		}
		if open <= 0 {
			return out
		}
		left, settled := total, true
		for i, w := range weights {
			if !full[i] && total*w/open > most {
				out[i], full[i], settled = most, true, false
				left -= most
			}
		}
		if settled {
			for i, w := range weights {
				if !full[i] {
					out[i] = total * w / open
				}
			}
			return out
		}
		total = left
	}
}
