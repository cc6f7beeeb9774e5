package pools

import (
	"slices"
	"strings"
)

// crushDump is what is used of `osd crush dump`.
type crushDump struct {
	Devices []struct {
		ID    int    `json:"id"`
		Name  string `json:"name"`
		Class string `json:"class"`
	} `json:"devices"`
	Buckets []struct {
		ID    int    `json:"id"`
		Name  string `json:"name"`
		Kind  string `json:"type_name"`
		Items []struct {
			ID     int     `json:"id"`
			Weight float64 `json:"weight"`
		} `json:"items"`
	} `json:"buckets"`
	Rules []dumpRule `json:"rules"`
}

type dumpRule struct {
	ID    int        `json:"rule_id"`
	Name  string     `json:"rule_name"`
	Type  int        `json:"type"`
	Steps []dumpStep `json:"steps"`
}

type dumpStep struct {
	Op   string `json:"op"`
	Item int    `json:"item"`
	Num  int    `json:"num"`
	Kind string `json:"type"`
}

// decode joins the tree with what the OSD map knows of each OSD.
func (d crushDump) decode(osds []dumpOSD) crushMap {
	m := crushMap{buckets: map[int]bucket{}, devices: map[int]device{}}
	for _, dev := range d.Devices {
		m.devices[dev.ID] = device{name: dev.Name, class: dev.Class}
	}
	for _, o := range osds {
		if dev, ok := m.devices[o.ID]; ok && o.In == 1 {
			dev.in = o.Weight
			m.devices[o.ID] = dev
		}
	}
	for _, b := range d.Buckets {
		node := bucket{name: b.Name, kind: b.Kind}
		for _, it := range b.Items {
			node.items = append(node.items, item{id: it.ID, weight: it.Weight})
		}
		m.buckets[b.ID] = node
	}
	for _, r := range d.Rules {
		m.rules = append(m.rules, r.decode())
	}
	slices.SortFunc(m.rules, func(a, b crushRule) int { return a.id - b.id })
	return m
}

// decode reads the steps; those that only tune the search are passed over.
func (d dumpRule) decode() crushRule {
	r := crushRule{id: d.ID, name: d.Name, erasure: d.Type != replicatedPool}
	var at path
	for _, s := range d.Steps {
		switch {
		case s.Op == "take":
			at = path{root: s.Item}
		case s.Op == "emit":
			r.paths = append(r.paths, at)
		case strings.HasPrefix(s.Op, "choose"):
			at.picks = append(at.picks, pick{num: s.Num, kind: s.Kind, leaf: strings.HasPrefix(s.Op, "chooseleaf")})
		}
	}
	return r
}
