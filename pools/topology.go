package pools

import "slices"

// Topology is what a cluster has, as far as pools depend on it. Read and
// Offline make one; it is not changed afterwards.
type Topology struct {
	FSID    string
	Version string // of the oldest monitor, "16.2.15"; empty offline
	Release int    // its first number; 0 offline
	OSDs    []OSD  // by id
	Pools   []Pool // by name
	Limits  Limits

	RequireClient     string    // require_min_compat_client, "luminous"
	Clients           []Clients // connected now
	Stretch           bool      // stretch mode: two sites, size 4
	AutoscalerOff     bool      // the cluster-wide noautoscale flag
	AutoscalerMissing bool      // no manager has loaded an autoscaler
	Notes             []string  // what could not be read as well as it should

	crush          crushMap
	defaultRule    string
	createTakes    map[string]bool // the arguments that `osd pool create` knows
	offline        bool
	configuredPGs  int // mon_max_pg_per_osd in the monitors' database
	poolDeleteOpen bool
}

// OSD is one object store daemon.
type OSD struct {
	ID     int
	Name   string
	Class  string
	Up, In bool
}

// Pool is an existing pool.
type Pool struct {
	Name         string
	ID           int
	Rule         string // CRUSH rule
	Size         int
	MinSize      int
	Erasure      bool
	PGNum        int // as it is
	PGTarget     int // as it is becoming; the number that counts for limits
	PGMin, PGMax int // pg_num_min, pg_num_max; 0 means none
	Mode         string
	Bulk         bool
	NoDelete     bool
	Snapshots    bool     // self-managed snapshots were used: librbd has initialised it
	Applications []string // sorted
	Quota        uint64   // bytes; 0 means none
	Stored       uint64   // bytes before replication
	Objects      uint64
	MaxAvail     uint64 // bytes that can still be stored
	Bias         float64
}

// Limits are running values of the monitors, which can differ from what their
// configuration database says.
type Limits struct {
	MaxPGPerOSD    int     // mon_max_pg_per_osd
	TargetPGPerOSD int     // mon_target_pg_per_osd: what the autoscaler aims at
	HardRatio      float64 // osd_max_pg_per_osd_hard_ratio: beyond it OSDs refuse placement groups
	MaxPGNum       int     // mon_max_pool_pg_num
	DefaultSize    int     // osd_pool_default_size
	SizeOne        bool    // mon_allow_pool_size_one
	Full           float64 // full ratio of the OSD map
	NearFull       float64
}

// Clients are connected clients that speak alike.
type Clients struct {
	Release string // as the monitors name their features; no later than what they are
	Num     int
}

// Pool finds an existing pool.
func (t Topology) Pool(name string) (Pool, bool) {
	i := slices.IndexFunc(t.Pools, func(p Pool) bool { return p.Name == name })
	if i < 0 {
		return Pool{}, false
	}
	return t.Pools[i], true
}

// In is the number of OSDs that take part in placement.
func (t Topology) In() int {
	n := 0
	for _, o := range t.OSDs {
		if o.In {
			n++
		}
	}
	return n
}

// Up is the number of OSDs that run.
func (t Topology) Up() int {
	n := 0
	for _, o := range t.OSDs {
		if o.Up {
			n++
		}
	}
	return n
}

// tagged tells whether a pool is marked as belonging to rbd, and foreign names
// the applications that it belongs to instead.
func (p Pool) tagged() bool { return slices.Contains(p.Applications, "rbd") }

func (p Pool) foreign() []string {
	return slices.DeleteFunc(slices.Clone(p.Applications), func(a string) bool { return a == "rbd" })
}

// load is the PG replicas that the pools are expected to put on each OSD.
func (t Topology) load(pools []Pool) map[int]float64 {
	load := map[int]float64{}
	for _, p := range pools {
		if r, ok := t.crush.rule(p.Rule); ok {
			t.crush.spread(load, r, p.PGTarget, p.Size)
		}
	}
	return load
}

// Load is the PG replicas per OSD: an expectation by CRUSH weight.
type Load struct {
	Mean   float64 `json:"mean"`
	Max    float64 `json:"max"`
	MaxOSD string  `json:"max_osd"`
}

// loadOver sums a load up over some OSDs.
func (t Topology) loadOver(load map[int]float64, osds []int) Load {
	var out Load
	if len(osds) == 0 {
		return out
	}
	sum := 0.0
	for _, id := range osds {
		sum += load[id]
		if n := round(load[id]); n > out.Max || out.MaxOSD == "" {
			out.Max, out.MaxOSD = n, t.crush.devices[id].name
		}
	}
	out.Mean = round(sum / float64(len(osds)))
	return out
}
