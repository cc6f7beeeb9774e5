//go:build cgo

package pools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/pools"
	"rbdctl/rbd"
)

// cluster is a connection to a lab of the test's own, with what tests ask of it.
type cluster struct {
	*rbd.Cluster
	t *testing.T
}

// ownLab brings up a lab with three OSDs for the test alone: a test of pools
// counts those of the whole cluster.
func ownLab(t *testing.T) (*lab.Lab, cluster) {
	t.Helper()
	l := labtest.Lab(t, lab.Options{OSDs: 3, NoLibvirt: true})
	return l, dial(t, l)
}

func dial(t *testing.T, l *lab.Lab) cluster {
	t.Helper()
	conn, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return cluster{conn, t}
}

// send sends one command and fails the test if the monitors refuse it.
func (c cluster) send(prefix string, args map[string]any) []byte {
	c.t.Helper()
	answer, err := c.try(prefix, args)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer
}

func (c cluster) try(prefix string, args map[string]any) ([]byte, error) {
	full := map[string]any{"prefix": prefix, "format": "json"}
	for k, v := range args {
		full[k] = v
	}
	cmd, err := json.Marshal(full)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.MonCommand(c.t.Context(), cmd)
}

// create makes a pool as somebody else would.
func (c cluster) create(name string, pgs int, more ...string) {
	c.t.Helper()
	c.send("osd pool create", map[string]any{"pool": name, "pg_num": pgs, "autoscale_mode": "off"})
	for _, app := range more {
		c.send("osd pool application enable", map[string]any{"pool": name, "app": app})
	}
}

func (c cluster) topology() pools.Topology {
	c.t.Helper()
	top, err := pools.Read(c.t.Context(), c)
	if err != nil {
		c.t.Fatal(err)
	}
	return top
}

func (c cluster) pool(name string) pools.Pool {
	c.t.Helper()
	p, ok := c.topology().Pool(name)
	if !ok {
		c.t.Fatalf("there is no pool %s", name)
	}
	return p
}

// names of all pools; the manager's own comes when it comes.
func (c cluster) names() []string {
	var names []string
	for _, p := range c.topology().Pools {
		if p.Name != ".mgr" && p.Name != "device_health_metrics" {
			names = append(names, p.Name)
		}
	}
	return names
}

// apply plans and performs.
func (c cluster) apply(set []pools.Params, opts pools.Options) pools.Result {
	c.t.Helper()
	plan, err := pools.NewPlan(c.topology(), set, opts)
	if err != nil {
		c.t.Fatal(err)
	}
	result, err := pools.Apply(c.t.Context(), c, c, plan)
	if err != nil {
		c.t.Fatal(err)
	}
	return result
}

func TestInit(t *testing.T) {
	l, c := ownLab(t)
	// In this order: later ones live with the pools of the earlier.
	t.Run("killed anywhere", func(t *testing.T) { testConverges(t, cluster{c.Cluster, t}) })
	t.Run("twice", func(t *testing.T) { testTwice(t, cluster{c.Cluster, t}) })
	t.Run("two at once", func(t *testing.T) { testTwoAtOnce(t, cluster{c.Cluster, t}) })
	t.Run("refused", func(t *testing.T) { testRefusals(t, cluster{c.Cluster, t}) })
	t.Run("existing pool is kept", func(t *testing.T) { testKept(t, cluster{c.Cluster, t}) })
	t.Run("somebody was faster", func(t *testing.T) { testOvertaken(t, cluster{c.Cluster, t}) })
	t.Run("printed commands", func(t *testing.T) { testCommands(t, cluster{c.Cluster, t}, l) })
	t.Run("min_size, quota and policies", func(t *testing.T) { testSettings(t, cluster{c.Cluster, t}) })
}

func testTwice(t *testing.T, c cluster) {
	first := c.apply(pools.Standard(), pools.Options{})
	if !first.Changed {
		t.Error("the first run changed nothing")
	}
	for _, p := range first.Pools {
		want := pools.PoolResult{
			Name: p.Name, Action: pools.Create, PGNum: 32, Mode: "off", Size: 3, MinSize: 2,
			Rule: "replicated_rule", Applications: []string{"rbd"}, NoDelete: true,
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
		if !c.pool(p.Name).Snapshots {
			t.Errorf("%s was not initialised", p.Name)
		}
	}
	if got := c.topology().RequireClient; got != "mimic" {
		t.Errorf("require_min_compat_client %s", got)
	}
	before := c.send("osd dump", nil)
	second := c.apply(pools.Standard(), pools.Options{})
	if second.Changed {
		t.Error("the second run changed something")
	}
	if diff := cmp.Diff(settings(t, before), settings(t, c.send("osd dump", nil))); diff != "" {
		t.Errorf("the OSD map changed: %s", diff)
	}
	// An image goes in at once: the pools really are ready.
	spec := rbd.ImageSpec{Pool: "volumes", Image: "proof"}
	if err := rbd.NewImages(c.Cluster).Create(t.Context(), spec, 1<<20, rbd.CreateOptions{}); err != nil {
		t.Error(err)
	}
}

// settings is what of an OSD map commands change, each pool with the epoch of its
// last change. The map's own epoch says less: PGs that get ready change it, too.
func settings(t *testing.T, dump []byte) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(dump, &all); err != nil {
		t.Fatal(err)
	}
	some := map[string]any{}
	for _, name := range []string{"pools", "flags", "crush_version", "require_min_compat_client", "require_osd_release"} {
		if all[name] == nil {
			t.Fatalf("the map has no %s", name)
		}
		some[name] = all[name]
	}
	return some
}

// A run that ends after any number of steps is completed by the next.
func testConverges(t *testing.T, c cluster) {
	for n := 0; ; n++ {
		set := []pools.Params{{Name: fmt.Sprintf("a%d", n), PGNum: 1}, {Name: fmt.Sprintf("b%d", n), PGNum: 1, Quota: 1 << 40}}
		plan, err := pools.NewPlan(c.topology(), set, pools.Options{KeepClients: true})
		if err != nil {
			t.Fatal(err)
		}
		if n > len(plan.Steps) {
			break
		}
		part := plan
		part.Steps = plan.Steps[:n]
		// Reading back finds the rest undone and says so.
		if _, err := pools.Apply(t.Context(), c, c, part); (err == nil) != (n == len(plan.Steps)) {
			t.Errorf("%d of %d steps: %v", n, len(plan.Steps), err)
		}
		result := c.apply(set, pools.Options{KeepClients: true})
		if changed := n < len(plan.Steps); result.Changed != changed {
			t.Errorf("after %d of %d steps: changed %t", n, len(plan.Steps), result.Changed)
		}
		for i, p := range result.Pools {
			got := c.pool(p.Name)
			if got.PGTarget != 1 || got.Mode != "off" || !got.NoDelete || !got.Snapshots ||
				!slices.Equal(got.Applications, []string{"rbd"}) || got.Quota != set[i].Quota {
				t.Errorf("after %d steps and again: %+v", n, got)
			}
		}
	}
}

func testTwoAtOnce(t *testing.T, c cluster) {
	set := []pools.Params{{Name: "twin", PGNum: 4}}
	plan, err := pools.NewPlan(c.topology(), set, pools.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { _, errs[i] = pools.Apply(t.Context(), c, c, plan) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if p := c.pool("twin"); p.PGTarget != 4 || !p.NoDelete {
		t.Errorf("%+v", p)
	}
}

func testRefusals(t *testing.T, c cluster) {
	c.create("files", 1, "cephfs")
	c.create("mixed", 1, "rbd")
	c.send("osd pool application enable", map[string]any{"pool": "mixed", "app": "rgw", "yes_i_really_mean_it": true})
	before := c.names()
	for _, tt := range []struct {
		name string
		set  []pools.Params
		opts pools.Options
		kind error
		text string
	}{
		{"foreign tag", pools.Named("fresh", "files"), pools.Options{}, pools.ErrInUse, "pool files: it belongs to application cephfs"},
		{"a second tag", pools.Named("fresh", "mixed"), pools.Options{}, pools.ErrInUse, "application rgw"},
		{
			"size above the failure domains",
			[]pools.Params{{Name: "fresh"}, {Name: "big", Size: 4}},
			pools.Options{},
			pools.ErrInvalid, "pool big: size 4 needs 4 failure domains (osd)",
		},
		{"size 1", []pools.Params{{Name: "fresh"}, {Name: "lone", Size: 1}}, pools.Options{}, pools.ErrInvalid, "mon_allow_pool_size_one"},
		{"ERANGE", pools.Named("fresh", "fresher"), pools.Options{Target: 400}, pools.ErrInvalid, "mon_max_pg_per_osd 250"},
		{"min_size", []pools.Params{{Name: "fresh", MinSize: 4}}, pools.Options{}, pools.ErrInvalid, "min_size 4"},
		{"no such rule", []pools.Params{{Name: "fresh", Rule: "none"}}, pools.Options{}, pools.ErrInvalid, `CRUSH rule "none"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := pools.NewPlan(c.topology(), tt.set, tt.opts)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, tt.text)
			}
			if _, err := pools.Apply(t.Context(), c, c, plan); !errors.Is(err, pools.ErrInvalid) {
				t.Errorf("a refused plan was applied: %v", err)
			}
			if diff := cmp.Diff(before, c.names()); diff != "" {
				t.Errorf("pools were made or lost: %s", diff)
			}
		})
	}
	// The limit is real, and no plan of ours comes near enough to learn of it.
	if _, err := c.try("osd pool create", map[string]any{"pool": "beyond", "pg_num": 1024, "size": 3}); err == nil {
		t.Error("the monitors made a pool beyond their limit")
	}
}

func testKept(t *testing.T, c cluster) {
	c.create("old", 4, "rbd")
	set := []pools.Params{{Name: "old", PGNum: 8}}
	result := c.apply(set, pools.Options{})
	kept := result.Pools[0].Kept
	if len(kept) != 1 || kept[0].Field != "pg_num" || kept[0].Now != "4" || kept[0].Want != "8" || kept[0].Reason == "" {
		t.Errorf("kept %+v", kept)
	}
	if p := c.pool("old"); p.PGTarget != 4 || !p.NoDelete {
		t.Errorf("%+v, want 4 PGs and nodelete", p)
	}
	if again := c.apply(set, pools.Options{}); again.Changed {
		t.Error("a difference that is kept counts as a change")
	}
	moved := c.apply(set, pools.Options{AllowDataMovement: true})
	if p := c.pool("old"); !moved.Changed || p.PGTarget != 8 {
		t.Errorf("allowed to move data: changed %t, %d PGs", moved.Changed, p.PGTarget)
	}
}

// Somebody makes the pool between plan and apply: creating it again "succeeds".
func testOvertaken(t *testing.T, c cluster) {
	plan, err := pools.NewPlan(c.topology(), []pools.Params{{Name: "raced", PGNum: 8}}, pools.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.create("raced", 2)
	if _, err := pools.Apply(t.Context(), c, c, plan); !errors.Is(err, rbd.ErrExists) || !strings.Contains(err.Error(), "pg_num 8, the cluster has 2") {
		t.Errorf("Apply = %v", err)
	}
}

// What a plan prints does what Apply does, typed into a shell.
func testCommands(t *testing.T, c cluster, l *lab.Lab) {
	set := []pools.Params{
		{Name: "typed1", PGNum: 2, Class: "hdd", Quota: 1 << 40, MinSize: 2},
		{Name: "typed2", PGNum: 4, Policy: pools.Floor},
		{Name: "typed3", PGNum: 2, Policy: pools.Managed, Bulk: true, Size: 2},
	}
	plan, err := pools.NewPlan(c.topology(), set, pools.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Steps {
		words := strings.Fields(s.String())
		if out, err := lab.Command(t.Context(), l.ConfFile(), words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", s, err, out)
		}
	}
	again, err := pools.NewPlan(c.topology(), set, pools.Options{})
	if err != nil || len(plan.Steps) == 0 || len(again.Steps) != 0 {
		t.Errorf("after %d commands these are left: %v, %v", len(plan.Steps), again.Steps, err)
	}
	for _, p := range again.Pools {
		if len(p.Kept) > 0 {
			t.Errorf("%s: %+v", p.Name, p.Kept)
		}
	}
}

func testSettings(t *testing.T, c cluster) {
	c.apply([]pools.Params{
		{Name: "floored", PGNum: 4, Policy: pools.Floor, MinSize: 1, Quota: 1 << 30},
	}, pools.Options{})
	p := c.pool("floored")
	if p.Mode != "on" || p.PGMin != 4 || p.MinSize != 1 || p.Quota != 1<<30 {
		t.Errorf("%+v", p)
	}
	set := []pools.Params{{Name: "floored", PGNum: 4, Policy: pools.Floor, MinSize: 2, Quota: 1 << 31}}
	if result := c.apply(set, pools.Options{}); !result.Changed || result.Pools[0].MinSize != 2 || result.Pools[0].Quota != 1<<31 {
		t.Errorf("min_size and quota move no data and were not changed: %+v", result)
	}
}

// The autoscaler is at work: it shrinks a pool of 128 placement groups that
// nobody planned, and leaves what was planned.
func TestPGsStayPlanned(t *testing.T) {
	_, c := ownLab(t)
	c.send("config set", map[string]any{"who": "global", "name": "mon_max_pg_per_osd", "value": "600"})
	waitFor(t, "the monitors' new limit", func() bool { return c.topology().Limits.MaxPGPerOSD == 600 })
	result := c.apply([]pools.Params{
		{Name: "volumes", PGNum: 128},
		{Name: "vms", PGNum: 8},
		{Name: "images", PGNum: 128, Policy: pools.Floor},
	}, pools.Options{})
	c.send("osd pool create", map[string]any{"pool": "unplanned", "pg_num": 128, "autoscale_mode": "on"})
	planned := time.Now()
	if c.topology().AutoscalerMissing {
		t.Log("this release's manager can't load its autoscaler: nothing proves here that one would leave the plan alone")
	} else {
		waitFor(t, "the autoscaler to shrink the unplanned pool", func() bool { return c.pool("unplanned").PGTarget == 32 })
	}

	const promise = 90 * time.Second
	select {
	case <-time.After(time.Until(planned.Add(promise))):
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
	for _, want := range result.Pools {
		if p := c.pool(want.Name); p.PGTarget != want.PGNum || p.PGNum != want.PGNum {
			t.Errorf("%s: pg_num %d on the way to %d, planned %d", p.Name, p.PGNum, p.PGTarget, want.PGNum)
		}
	}
}

// waitFor polls for a state of the cluster that comes by itself.
func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !reached(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
