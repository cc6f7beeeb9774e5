package pools

import "fmt"

// Most OSDs that a plan is made for; beyond it the arithmetic is idle.
const maxOSDs = 100_000

// Imagined is a cluster that does not exist yet.
type Imagined struct {
	OSDs   int // all alike; required
	Hosts  int // 0: the failure domain is the OSD. Else it is the host, and OSDs spread evenly
	Size   int // replicas; 0 means 3
	MaxPGs int // mon_max_pg_per_osd; 0 means 250, Ceph's default
}

// Offline is the topology of an imagined cluster: empty, of the shape that in
// describes, with Ceph's defaults. A plan for it touches no cluster.
func Offline(in Imagined) (Topology, error) {
	if in.OSDs < 1 || in.OSDs > maxOSDs {
		return Topology{}, refuse("%d OSDs: want 1 to %d", in.OSDs, maxOSDs)
	}
	if in.Hosts < 0 || in.Hosts > in.OSDs {
		return Topology{}, refuse("%d hosts for %d OSDs: want at most one host per OSD", in.Hosts, in.OSDs)
	}
	if in.MaxPGs < 0 {
		return Topology{}, refuse("mon_max_pg_per_osd %d: want at least 1", in.MaxPGs)
	}
	t := Topology{
		Limits:      defaultLimits(),
		defaultRule: "replicated_rule",
		offline:     true,
		crush:       imaginedCrush(in),
	}
	if in.Size > 0 {
		t.Limits.DefaultSize = in.Size
	}
	if in.MaxPGs > 0 {
		t.Limits.MaxPGPerOSD = in.MaxPGs
	}
	t.Limits.SizeOne = true // whether the monitors would allow it is theirs to say
	for id := range in.OSDs {
		t.OSDs = append(t.OSDs, OSD{ID: id, Name: fmt.Sprintf("osd.%d", id), Up: true, In: true})
	}
	return t, nil
}

// defaultLimits are Ceph's own, for want of a cluster to ask.
func defaultLimits() Limits {
	return Limits{
		MaxPGPerOSD: 250, TargetPGPerOSD: 100, HardRatio: 3, MaxPGNum: 65536,
		DefaultSize: 3, Full: 0.95, NearFull: 0.85,
	}
}

func imaginedCrush(in Imagined) crushMap {
	m := crushMap{buckets: map[int]bucket{}, devices: map[int]device{}}
	const root = -1
	domain := "osd"
	hosts := max(1, in.Hosts)
	if in.Hosts > 0 {
		domain = "host"
	}
	for id := range in.OSDs {
		m.devices[id] = device{name: fmt.Sprintf("osd.%d", id), in: 1}
		host := root - 1 - id%hosts
		b := m.buckets[host]
		b.name, b.kind = fmt.Sprintf("host%d", id%hosts), "host"
		b.items = append(b.items, item{id: id, weight: 1})
		m.buckets[host] = b
	}
	top := bucket{name: "default", kind: "root"}
	for h := range hosts {
		id := root - 1 - h
		top.items = append(top.items, item{id: id, weight: float64(len(m.buckets[id].items))})
	}
	m.buckets[root] = top
	m.rules = []crushRule{{
		name:  "replicated_rule",
		paths: []path{{root: root, picks: []pick{{kind: domain, leaf: domain != "osd"}}}},
	}}
	return m
}
