package pools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rbdctl/internal/fault"
)

// replay answers as the monitors of a real cluster did; see test/record.
type replay map[string]answer

type answer struct {
	Answer json.RawMessage `json:"answer"`
	Text   string          `json:"text"`
	Error  *struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	} `json:"error"`
}

func (r replay) MonCommand(_ context.Context, cmd []byte) ([]byte, error) {
	a, ok := r[canonical(cmd)]
	switch {
	case !ok:
		return nil, fmt.Errorf("nobody recorded an answer to %s", cmd)
	case a.Error != nil:
		return nil, fault.New(kindNamed(a.Error.Kind), a.Error.Message)
	case a.Answer != nil:
		return a.Answer, nil
	}
	return []byte(a.Text), nil
}

func kindNamed(name string) error {
	for _, kind := range []error{fault.ErrInvalid, fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable} {
		if kind.Error() == name {
			return kind
		}
	}
	return errors.New(name)
}

// canonical makes equal commands equal text.
func canonical(cmd []byte) string {
	var fields map[string]any
	if err := json.Unmarshal(cmd, &fields); err != nil {
		return string(cmd)
	}
	text, _ := json.Marshal(fields)
	return string(text)
}

// releases are those that answers were recorded from.
func releases(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("../test/monanswers/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no recorded answers: %v", err)
	}
	return dirs
}

func load(t *testing.T, release, state string) replay {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(release, state+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Command json.RawMessage `json:"command"`
		answer
	}
	if err := json.Unmarshal(text, &entries); err != nil {
		t.Fatal(err)
	}
	r := replay{}
	for _, e := range entries {
		r[canonical(e.Command)] = e.answer
	}
	return r
}

// recorded runs a test on the topology of one state, for each release.
func recorded(t *testing.T, state string, test func(t *testing.T, r replay, top Topology)) {
	for _, release := range releases(t) {
		t.Run(filepath.Base(release), func(t *testing.T) {
			r := load(t, release, state)
			top, err := Read(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			test(t, r, top)
		})
	}
}

func TestReadEmpty(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, _ replay, top Topology) {
		if top.In() != 3 || top.Up() != 3 || top.FSID == "" || top.Release < 16 {
			t.Errorf("%d OSDs in, %d up, fsid %q, release %d", top.In(), top.Up(), top.FSID, top.Release)
		}
		for _, p := range top.Pools { // before Quincy the manager has one at once
			if p.PGTarget != 1 || p.PGMin != 1 || p.Size != 3 {
				t.Errorf("pools %+v, want the manager's", top.Pools)
			}
		}
		want := Limits{MaxPGPerOSD: 250, TargetPGPerOSD: 100, HardRatio: 3, MaxPGNum: 65536, DefaultSize: 3, Full: 0.95, NearFull: 0.85}
		if top.Limits != want {
			t.Errorf("limits %+v, want %+v", top.Limits, want)
		}
		if top.defaultRule != "replicated_rule" || top.crush.domains(top.crush.rules[0]) != 3 {
			t.Errorf("rule %s with %d domains", top.defaultRule, top.crush.domains(top.crush.rules[0]))
		}
		for _, arg := range []string{"autoscale_mode", "pg_num_min", "bulk", "size", "rule"} {
			if !top.createTakes[arg] {
				t.Errorf("pool creation does not take %s", arg)
			}
		}
		if !top.poolDeleteOpen {
			t.Error("mon_allow_pool_delete is false; the lab's ceph.conf sets it")
		}
	})
}

func TestPlanOnEmpty(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, _ replay, top Topology) {
		plan, err := NewPlan(top, Standard(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range plan.Pools {
			if p.Action != Create || p.PGNum != 32 || p.Mode != "off" || p.Size != 3 {
				t.Errorf("%s: %s %d %s %d, want create 32 off 3", p.Name, p.Action, p.PGNum, p.Mode, p.Size)
			}
		}
		before := float64(len(top.Pools)) // the manager's has one placement group
		if plan.Replicas.Mean != 128+before || plan.Replicas.Before.Mean != before {
			t.Errorf("%v PG replicas per OSD after %v, want 128 more than %v", plan.Replicas.Mean, plan.Replicas.Before.Mean, before)
		}
		again, _ := NewPlan(top, Standard(), Options{})
		one, _ := json.Marshal(plan)
		two, _ := json.Marshal(again)
		if string(one) != string(two) {
			t.Error("two plans from one topology differ")
		}
	})
}

func TestPolicies(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, _ replay, top Topology) {
		for _, tt := range []struct {
			policy Policy
			want   string
		}{
			{Pinned, "ceph osd pool create volumes 64 64 replicated --rule replicated_rule --autoscale-mode off --size 3"},
			{Floor, "ceph osd pool create volumes 64 64 replicated --rule replicated_rule --autoscale-mode on --size 3 --pg-num-min 64"},
			{Managed, "ceph osd pool create volumes 128 128 replicated --rule replicated_rule --autoscale-mode on --size 3 --bulk"},
		} {
			set := Named("volumes", "images")
			for i := range set {
				set[i].Policy = tt.policy
			}
			plan, err := NewPlan(top, set, Options{KeepClients: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := plan.Steps[0].String(); got != tt.want {
				t.Errorf("%s: %s\nwant %s", tt.policy, got, tt.want)
			}
		}
	})
}

func TestInitialisedNeedsNothing(t *testing.T) {
	recorded(t, "initialised", func(t *testing.T, r replay, top Topology) {
		plan, err := NewPlan(top, Standard(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Steps) != 0 {
			t.Errorf("steps %v, want none", plan.Steps)
		}
		result, err := Apply(t.Context(), r, nil, plan) // no answer to a change is recorded
		if err != nil || result.Changed {
			t.Errorf("changed %t, %v", result.Changed, err)
		}
		if top.RequireClient != "mimic" {
			t.Errorf("require_min_compat_client %s", top.RequireClient)
		}
	})
}

func TestExistingPoolsAreKept(t *testing.T) {
	recorded(t, "initialised", func(t *testing.T, _ replay, top Topology) {
		set := Standard()
		set[0].PGNum, set[1].Size, set[2].Policy = 64, 2, Floor
		plan, err := NewPlan(top, set, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Steps) != 0 {
			t.Errorf("steps %v, want none", plan.Steps)
		}
		kept := map[string][]string{}
		for _, p := range plan.Pools {
			for _, k := range p.Kept {
				kept[p.Name] = append(kept[p.Name], k.Field+" "+k.Now+" "+k.Want)
			}
		}
		for name, want := range map[string][]string{
			"volumes": {"pg_num 32 64"}, "vms": {"size 3 2"}, "images": {"pg_autoscale_mode off on", "pg_num_min 0 32"},
		} {
			if !slices.Equal(kept[name], want) {
				t.Errorf("%s keeps %q, want %q", name, kept[name], want)
			}
		}

		plan, err = NewPlan(top, set, Options{AllowDataMovement: true})
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, s := range plan.Steps {
			steps = append(steps, s.String())
		}
		want := []string{
			"ceph osd pool set volumes pg_num 64", "ceph osd pool set vms size 2",
			"ceph osd pool set images pg_autoscale_mode on", "ceph osd pool set images pg_num_min 32",
		}
		if !slices.Equal(steps, want) {
			t.Errorf("steps %q, want %q", steps, want)
		}
	})
}

func TestForeignPools(t *testing.T) {
	recorded(t, "foreign", func(t *testing.T, _ replay, top Topology) {
		for _, tt := range []struct {
			pool string
			kind error
			text string
		}{
			{"files", ErrInUse, "pool files: it belongs to application cephfs"},
			{"coded", ErrInvalid, "pool coded: it is erasure-coded"},
		} {
			plan, err := NewPlan(top, Named(tt.pool, "fresh"), Options{})
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s: %v, want %q", tt.pool, err, tt.text)
			}
			if len(plan.Steps) != 0 || len(plan.Refusals) != 1 {
				t.Errorf("%s: steps %v, refusals %v", tt.pool, plan.Steps, plan.Refusals)
			}
		}
		// Untagged and empty: a run that was killed may have left it. Its size stays.
		plan, err := NewPlan(top, Named("bare"), Options{})
		if err != nil || plan.Pools[0].Action != Change || plan.Pools[0].Size != 2 {
			t.Errorf("bare: %+v, %v", plan.Pools, err)
		}
		if got := plan.Steps[0].String(); got != "rbd pool init bare" {
			t.Errorf("first step %q", got)
		}
	})
}

func TestUntaggedPoolWithObjects(t *testing.T) {
	recorded(t, "foreign", func(t *testing.T, _ replay, top Topology) {
		i := slices.IndexFunc(top.Pools, func(p Pool) bool { return p.Name == "bare" })
		top.Pools[i].Objects = 7
		if _, err := NewPlan(top, Named("bare"), Options{}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "7 objects") {
			t.Errorf("%v, want a refusal", err)
		}
	})
}

func TestOverlappingRoots(t *testing.T) {
	recorded(t, "overlapping", func(t *testing.T, _ replay, top Topology) {
		plan, err := NewPlan(top, Standard(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(plan.Warnings, func(w Warning) bool { return w.Code == "overlapping-roots" })
		if i < 0 || !strings.Contains(plan.Warnings[i].Text, "default, default~hdd") {
			t.Errorf("warnings %v", plan.Warnings)
		}
		// A class that has a rule takes it.
		set := Named("fast")
		set[0].Class = "hdd"
		if plan, err = NewPlan(top, set, Options{Target: 20}); err != nil || plan.Pools[0].Rule != "spinning" {
			t.Errorf("rule %v, %v", plan.Pools, err)
		}
	})
}

func TestClassWithoutRule(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, _ replay, top Topology) {
		set := Named("volumes", "vms")
		set[0].Class, set[1].Class = "hdd", "hdd"
		plan, err := NewPlan(top, set, Options{KeepClients: true})
		if err != nil {
			t.Fatal(err)
		}
		var rules []string
		for _, s := range plan.Steps {
			if strings.Contains(s.String(), "crush rule") {
				rules = append(rules, s.String())
			}
		}
		if want := []string{"ceph osd crush rule create-replicated replicated_hdd default osd hdd"}; !slices.Equal(rules, want) {
			t.Errorf("rules %q, want %q", rules, want)
		}
		if plan.Replicas.Mean != plan.Replicas.Before.Mean+2*64 {
			t.Errorf("mean %v", plan.Replicas.Mean)
		}
		set[0].Class = "ssd"
		if _, err := NewPlan(top, set, Options{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a class without OSDs: %v", err)
		}
	})
}

func TestHosts(t *testing.T) {
	recorded(t, "hosts", func(t *testing.T, _ replay, top Topology) {
		set := Named("fresh")
		set[0].Rule = "byhost"
		_, err := NewPlan(top, set, Options{})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "size 3 needs 3 failure domains (host) under CRUSH rule byhost, there are 2") {
			t.Errorf("%v, want a refusal", err)
		}
		set[0].Size, set[0].PGNum = 2, 32
		plan, err := NewPlan(top, set, Options{})
		if err != nil {
			t.Fatal(err)
		}
		// Each host has every PG: alone on alpha's OSD, shared between beta's two.
		if gain := plan.Replicas.Max - plan.Replicas.Before.Max; gain != 32 || plan.Replicas.MaxOSD != "osd.0" {
			t.Errorf("%s gains %v, want osd.0 and 32", plan.Replicas.MaxOSD, gain)
		}
	})
}

// The monitors' own sentence about a pool that was refused is what our
// arithmetic says of it.
func TestArithmeticIsTheMonitors(t *testing.T) {
	old := regexp.MustCompile(`would mean (\d+) total pgs, which exceeds max (\d+) `)
	byRule := regexp.MustCompile(`cumulative PGs per OSD \((\d+) total PG replicas on (\d+) 'in' root OSDs`)
	recorded(t, "refused", func(t *testing.T, r replay, top Topology) {
		cmd := encode("osd pool create", args{"pool": "volumes", "pg_num": 256, "size": 3})
		_, err := r.MonCommand(t.Context(), cmd)
		if !errors.Is(err, ErrInvalid) {
			t.Fatalf("the monitors said %v", err)
		}
		p := planner{top: top, set: Named("volumes"), opts: Options{Formula: Card, Target: 100}}
		p.set[0].PGNum = 256
		p.drafts = []draft{p.resolve(p.set[0])}
		p.count()
		b := p.budget(p.planned())
		if m := old.FindStringSubmatch(err.Error()); m != nil {
			if m[1] != strconv.Itoa(b.replicas) || m[2] != strconv.Itoa(b.most) {
				t.Errorf("%d of %d, the monitors: %s", b.replicas, b.most, err)
			}
		} else if m := byRule.FindStringSubmatch(err.Error()); m != nil {
			if m[1] != strconv.Itoa(b.replicas) || m[2] != strconv.Itoa(b.osds) {
				t.Errorf("%d on %d OSDs, the monitors: %s", b.replicas, b.osds, err)
			}
		} else {
			t.Fatalf("a sentence that nobody knows: %v", err)
		}
		plan, err := NewPlan(top, p.set, Options{})
		if !errors.Is(err, ErrInvalid) || len(plan.Steps) != 0 {
			t.Errorf("the plan: %v, %v", err, plan.Steps)
		}
	})
}

func TestPredictionIsTheAutoscalers(t *testing.T) {
	recorded(t, "autoscaler", func(t *testing.T, r replay, top Topology) {
		var status []struct {
			Pool  string `json:"pool_name"`
			Final int    `json:"pg_num_final"`
		}
		err := ask(t.Context(), r, "osd pool autoscale-status", nil, &status)
		if top.AutoscalerMissing {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("an autoscaler that is missing answers %v", err)
			}
			expectNoAutoscaler(t, top)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var pools []scaled
		for _, s := range status {
			p, _ := top.Pool(s.Pool)
			pools = append(pools, scaled{size: p.Size, ratio: p.ratio(), bulk: p.Bulk, pgMin: p.PGMin, pgMax: p.PGMax, weight: p.Bias})
		}
		if len(pools) < 5 {
			t.Fatalf("only %d pools in the autoscaler's answer", len(pools))
		}
		for i, got := range autoscale(pools, top.In(), top.Limits.TargetPGPerOSD) {
			if got != status[i].Final {
				t.Errorf("%s: %d, the autoscaler says %d", status[i].Pool, got, status[i].Final)
			}
		}
	})
}

// expectNoAutoscaler: the operator hears that a policy has nobody to carry it out.
func expectNoAutoscaler(t *testing.T, top Topology) {
	t.Helper()
	for policy, want := range map[Policy]bool{Pinned: false, Floor: true, Managed: true} {
		plan, err := NewPlan(top, []Params{{Name: "fresh", PGNum: 1, Policy: policy}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		warned := slices.ContainsFunc(plan.Warnings, func(w Warning) bool { return w.Code == "no-autoscaler" })
		if warned != want {
			t.Errorf("%s: warnings %v", policy, plan.Warnings)
		}
	}
}

func TestRunningValueCounts(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, r replay, _ Topology) {
		// What an operator sees whose ceph.conf overrules the database.
		key := canonical(encode("config show", args{"who": "mon.a", "key": "mon_max_pg_per_osd"}))
		if _, ok := r[key]; !ok {
			t.Fatal("the running value was not asked for")
		}
		r[key] = answer{Text: "500\n"}
		top, err := Read(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := NewPlan(top, Standard(), Options{Target: 300})
		if err != nil || plan.MaxPGPerOSD != 500 {
			t.Errorf("limit %d, %v", plan.MaxPGPerOSD, err)
		}
		warned := slices.ContainsFunc(plan.Warnings, func(w Warning) bool { return w.Code == "running-value" })
		if !warned {
			t.Errorf("warnings %v", plan.Warnings)
		}
	})
}

func TestWithoutManager(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, r replay, _ Topology) {
		r[canonical(encode("mgr stat", nil))] = answer{Answer: json.RawMessage(`{"available":false,"active_name":""}`)}
		for cmd, a := range r { // the database says the same as the monitors here
			var fields struct{ Prefix, Key string }
			if err := json.Unmarshal([]byte(cmd), &fields); err != nil {
				t.Fatal(err)
			}
			if fields.Prefix == "config show" {
				delete(r, cmd)
				r[canonical(encode("config get", args{"who": "mon", "key": fields.Key}))] = a
			}
		}
		top, err := Read(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := NewPlan(top, Standard(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		noted := slices.ContainsFunc(plan.Warnings, func(w Warning) bool { return strings.Contains(w.Text, "no manager knows") })
		if !noted || plan.MaxPGPerOSD != 250 {
			t.Errorf("limit %d, warnings %v", plan.MaxPGPerOSD, plan.Warnings)
		}
	})
}

func TestOldClientsStay(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, _ replay, top Topology) {
		for release, stays := range map[string]bool{"jewel": true, "kraken": true, "unknown": true, "luminous": false, "quincy": false} {
			top.Clients = []Clients{{Release: "luminous", Num: 2}, {Release: release, Num: 3}}
			plan, err := NewPlan(top, Standard(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			last := plan.Steps[len(plan.Steps)-1].String()
			if got := last != "ceph osd set-require-min-compat-client mimic"; got != stays {
				t.Errorf("with clients of %s the last step is %q", release, last)
			}
		}
	})
}

func TestStretchMode(t *testing.T) {
	recorded(t, "empty", func(t *testing.T, _ replay, top Topology) {
		top.Stretch = true
		set := Standard()
		set[0].Size = 3
		if _, err := NewPlan(top, set, Options{}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "stretch mode") {
			t.Errorf("%v, want a refusal", err)
		}
	})
}
