package pools

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rbdctl/internal/fault"
)

// Read asks the monitors for everything that a plan depends on. It changes
// nothing. An entity that may not ask is told what it needs.
//
// Similar To: ceph osd dump; ceph osd crush dump; ceph df detail; ceph features
func Read(ctx context.Context, mon monitor) (Topology, error) {
	t, err := read(ctx, mon)
	if errors.Is(err, fault.ErrDenied) {
		who := "the entity"
		if named, ok := mon.(interface{ Entity() string }); ok {
			who = named.Entity()
		}
		err = fmt.Errorf("%w: %s needs mon 'allow r' for this: give it that, or use --entity client.admin", err, who)
	}
	return t, err
}

func read(ctx context.Context, mon monitor) (Topology, error) {
	var t Topology
	var dump osdDump
	if err := ask(ctx, mon, "osd dump", nil, &dump); err != nil {
		return t, err
	}
	var tree crushDump
	if err := ask(ctx, mon, "osd crush dump", nil, &tree); err != nil {
		return t, err
	}
	var usage struct {
		Pools []poolUsage `json:"pools"`
	}
	if err := ask(ctx, mon, "df", args{"detail": "detail"}, &usage); err != nil {
		return t, err
	}
	if err := t.readVersion(ctx, mon); err != nil {
		return t, err
	}
	if err := t.readClients(ctx, mon); err != nil {
		return t, err
	}
	if err := t.readAbilities(ctx, mon); err != nil {
		return t, err
	}
	t.crush = tree.decode(dump.OSDs)
	t.fill(dump, usage.Pools)
	return t, t.readLimits(ctx, mon)
}

// osdDump is what is used of `osd dump`.
type osdDump struct {
	FSID          string     `json:"fsid"`
	Full          float64    `json:"full_ratio"`
	NearFull      float64    `json:"nearfull_ratio"`
	RequireClient string     `json:"require_min_compat_client"`
	Flags         []string   `json:"flags_set"`
	Pools         []dumpPool `json:"pools"`
	OSDs          []dumpOSD  `json:"osds"`
	Stretch       struct {
		Enabled bool `json:"stretch_mode_enabled"`
	} `json:"stretch_mode"`
}

type dumpOSD struct {
	ID     int     `json:"osd"`
	Up     int     `json:"up"`
	In     int     `json:"in"`
	Weight float64 `json:"weight"`
}

type dumpPool struct {
	ID      int    `json:"pool"`
	Name    string `json:"pool_name"`
	Type    int    `json:"type"`
	Flags   string `json:"flags_names"`
	Size    int    `json:"size"`
	MinSize int    `json:"min_size"`
	Rule    int    `json:"crush_rule"`
	Mode    string `json:"pg_autoscale_mode"`
	PGNum   int    `json:"pg_num"`
	Target  int    `json:"pg_num_target"`
	Quota   uint64 `json:"quota_max_bytes"`
	Options struct {
		Min  int      `json:"pg_num_min"`
		Max  int      `json:"pg_num_max"`
		Bias *float64 `json:"pg_autoscale_bias"`
	} `json:"options"`
	Applications map[string]any `json:"application_metadata"`
}

// replicatedPool is the type number of pools that keep copies.
const replicatedPool = 1

type poolUsage struct {
	ID    int `json:"id"`
	Stats struct {
		Stored   uint64 `json:"stored"`
		Objects  uint64 `json:"objects"`
		MaxAvail uint64 `json:"max_avail"`
	} `json:"stats"`
}

// fill copies the OSD map and the usage into t.
func (t *Topology) fill(dump osdDump, usage []poolUsage) {
	t.FSID = dump.FSID
	t.RequireClient = dump.RequireClient
	t.Stretch = dump.Stretch.Enabled
	t.AutoscalerOff = slices.Contains(dump.Flags, "noautoscale")
	t.Limits.Full, t.Limits.NearFull = round(dump.Full), round(dump.NearFull)
	for _, o := range dump.OSDs {
		d := t.crush.devices[o.ID]
		t.OSDs = append(t.OSDs, OSD{ID: o.ID, Name: d.name, Class: d.class, Up: o.Up == 1, In: o.In == 1})
	}
	for _, p := range dump.Pools {
		pool := p.decode(t.crush)
		if i := slices.IndexFunc(usage, func(u poolUsage) bool { return u.ID == p.ID }); i >= 0 {
			stats := usage[i].Stats
			pool.Stored, pool.Objects, pool.MaxAvail = stats.Stored, stats.Objects, stats.MaxAvail
		}
		t.Pools = append(t.Pools, pool)
	}
	slices.SortFunc(t.Pools, func(a, b Pool) int { return strings.Compare(a.Name, b.Name) })
}

func (p dumpPool) decode(m crushMap) Pool {
	flags := strings.Split(p.Flags, ",")
	out := Pool{
		Name: p.Name, ID: p.ID, Size: p.Size, MinSize: p.MinSize,
		Erasure: p.Type != replicatedPool,
		PGNum:   p.PGNum, PGTarget: p.Target, PGMin: p.Options.Min, PGMax: p.Options.Max,
		Mode: p.Mode, Quota: p.Quota, Bias: 1,
		Bulk:      slices.Contains(flags, "bulk"),
		NoDelete:  slices.Contains(flags, "nodelete"),
		Snapshots: slices.Contains(flags, "selfmanaged_snaps"),
	}
	if p.Options.Bias != nil {
		out.Bias = *p.Options.Bias
	}
	if r, ok := m.ruleByID(p.Rule); ok {
		out.Rule = r.name
	}
	for app := range p.Applications {
		out.Applications = append(out.Applications, app)
	}
	slices.Sort(out.Applications)
	return out
}

var versionText = regexp.MustCompile(`^ceph version (\d+)\.(\d+)\.(\d+)`)

// readVersion finds the oldest release among the monitors.
func (t *Topology) readVersion(ctx context.Context, mon monitor) error {
	var versions struct {
		Mon map[string]int `json:"mon"`
	}
	if err := ask(ctx, mon, "versions", nil, &versions); err != nil {
		return err
	}
	var oldest [3]int
	for text := range versions.Mon {
		found := versionText.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		var v [3]int
		for i := range v {
			v[i], _ = strconv.Atoi(found[i+1]) // digits, by the expression
		}
		if t.Version == "" || slices.Compare(v[:], oldest[:]) < 0 {
			oldest = v
			t.Version = fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
		}
	}
	t.Release = oldest[0]
	return nil
}

// readClients asks who is connected, and what they can do.
func (t *Topology) readClients(ctx context.Context, mon monitor) error {
	var features struct {
		Client []struct {
			Release string `json:"release"`
			Num     int    `json:"num"`
		} `json:"client"`
	}
	if err := ask(ctx, mon, "features", nil, &features); err != nil {
		return err
	}
	for _, c := range features.Client {
		t.Clients = append(t.Clients, Clients{Release: c.Release, Num: c.Num})
	}
	return nil
}

// readAbilities learns from the description of all commands which arguments pool
// creation has in this release, and whether an autoscaler runs: its commands are
// there only once the manager has loaded it, which Debian 13's can't.
func (t *Topology) readAbilities(ctx context.Context, mon monitor) error {
	var commands map[string]struct {
		Signature []any `json:"sig"`
	}
	if err := ask(ctx, mon, "get_command_descriptions", nil, &commands); err != nil {
		return err
	}
	t.createTakes = map[string]bool{}
	t.AutoscalerMissing = true
	for _, c := range commands {
		if len(c.Signature) < 3 || c.Signature[0] != "osd" || c.Signature[1] != "pool" {
			continue
		}
		if c.Signature[2] == "autoscale-status" {
			t.AutoscalerMissing = false
		}
		if c.Signature[2] != "create" {
			continue
		}
		for _, part := range c.Signature[3:] {
			if arg, ok := part.(map[string]any); ok {
				if name, ok := arg["name"].(string); ok {
					t.createTakes[name] = true
				}
			}
		}
	}
	return nil
}
