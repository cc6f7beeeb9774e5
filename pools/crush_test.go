package pools

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		name    string
		total   float64
		most    float64
		weights []float64
		want    []float64
	}{
		{"by weight", 300, 300, []float64{1, 2, 3}, []float64{50, 100, 150}},
		{"none twice", 300, 100, []float64{1, 2, 9}, []float64{100, 100, 100}},
		{"the rest takes over", 200, 100, []float64{1, 1, 8}, []float64{50, 50, 100}},
		{"left over", 300, 100, []float64{1, 1}, []float64{100, 100}},
		{"nobody", 100, 100, []float64{0, 0}, []float64{0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, got := range share(tt.total, tt.most, tt.weights) {
				if math.Abs(got-tt.want[i]) > 1e-9 {
					t.Errorf("share %d is %v, want %v", i, got, tt.want[i])
				}
			}
		})
	}
}

func TestShareProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0.1, 100), 1, 20).Draw(t, "weights")
		most := rapid.Float64Range(1, 1000).Draw(t, "most")
		total := rapid.Float64Range(0, most*float64(len(weights))).Draw(t, "total")
		sum := 0.0
		for _, got := range share(total, most, weights) {
			if got > most*(1+1e-9) {
				t.Fatalf("%v is more than %v", got, most)
			}
			sum += got
		}
		if math.Abs(sum-total) > 1e-6*(1+total) {
			t.Fatalf("%v shared out of %v", sum, total)
		}
	})
}

// Whatever the tree, a rule that can place all replicas places all of them.
func TestSpreadLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		osds := rapid.IntRange(1, 40).Draw(t, "osds")
		hosts := rapid.IntRange(0, osds).Draw(t, "hosts")
		m := imaginedCrush(Imagined{OSDs: osds, Hosts: hosts})
		rule := m.rules[0]
		size := rapid.IntRange(1, min(maxSize, m.domains(rule))).Draw(t, "size")
		pgs := 1 << rapid.IntRange(0, 10).Draw(t, "log pgs")
		load := map[int]float64{}
		m.spread(load, rule, pgs, size)
		sum := 0.0
		for id, n := range load {
			if n > float64(pgs)*(1+1e-9) {
				t.Fatalf("osd.%d gets %v of %d placement groups", id, n, pgs)
			}
			sum += n
		}
		if math.Abs(sum-float64(pgs*size)) > 1e-6 {
			t.Fatalf("%v replicas placed of %d", sum, pgs*size)
		}
	})
}

// Two racks of two hosts each: rules of several steps and of several takes.
func rackMap() crushMap {
	m := crushMap{buckets: map[int]bucket{}, devices: map[int]device{}}
	m.buckets[-1] = bucket{name: "default", kind: "root", items: []item{{-2, 4}, {-3, 4}}}
	for rack := range 2 {
		r := bucket{name: string(rune('a' + rack)), kind: "rack"}
		for host := range 2 {
			id := -4 - rack*2 - host
			h := bucket{name: r.name + string(rune('1'+host)), kind: "host"}
			for osd := range 2 {
				n := rack*4 + host*2 + osd
				m.devices[n] = device{name: "osd", in: 1}
				h.items = append(h.items, item{n, 1})
			}
			m.buckets[id] = h
			r.items = append(r.items, item{id, 2})
		}
		m.buckets[-2-rack] = r
	}
	return m
}

func TestRulesOfSeveralSteps(t *testing.T) {
	stretch := crushRule{paths: []path{
		{root: -2, picks: []pick{{num: 2, kind: "host", leaf: true}}},
		{root: -3, picks: []pick{{num: 2, kind: "host", leaf: true}}},
	}}
	for _, tt := range []struct {
		name    string
		rule    crushRule
		domains int
		size    int
		domain  string
		each    float64 // replicas on each OSD of 32 placement groups
	}{
		{"rack", crushRule{paths: []path{{-1, []pick{{0, "rack", true}}}}}, 2, 2, "rack", 8},
		{"host", crushRule{paths: []path{{-1, []pick{{0, "host", true}}}}}, 4, 3, "host", 12},
		{"two racks, two hosts", crushRule{paths: []path{{-1, []pick{{2, "rack", false}, {2, "host", true}}}}}, 4, 4, "host", 16},
		{"a take for each site", stretch, 4, 4, "host", 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := rackMap()
			if got := m.domains(tt.rule); got != tt.domains {
				t.Errorf("%d failure domains, want %d", got, tt.domains)
			}
			if got := tt.rule.domain(); got != tt.domain {
				t.Errorf("failure domain %s, want %s", got, tt.domain)
			}
			load := map[int]float64{}
			m.spread(load, tt.rule, 32, tt.size)
			for id := range 8 {
				if math.Abs(load[id]-tt.each) > 1e-9 {
					t.Errorf("osd.%d gets %v, want %v", id, load[id], tt.each)
				}
			}
		})
	}
}

func TestOutAndWeightless(t *testing.T) {
	m := rackMap()
	out := m.devices[0]
	out.in = 0
	m.devices[0], m.devices[1] = out, out // host a1 has nothing that is in
	rule := crushRule{paths: []path{{-1, []pick{{0, "host", true}}}}}
	if got := m.domains(rule); got != 3 {
		t.Errorf("%d failure domains, want 3: a host whose OSDs are out is none", got)
	}
	load := map[int]float64{}
	m.spread(load, rule, 32, 3)
	if load[0] != 0 || load[1] != 0 || load[2] != 16 {
		t.Errorf("load %v, want nothing on osd.0 and osd.1, 16 on osd.2", load)
	}
}
