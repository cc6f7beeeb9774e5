package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rbdctl/internal/fault"
	"rbdctl/pools"
)

// state is one that a cluster can be in.
type state struct {
	name  string
	reach func(context.Context, *tape) error
}

// states are recorded in this order, each on what the one before left.
func states() []state {
	return []state{
		{"empty", empty},
		{"refused", refused},
		{"initialised", initialised},
		{"foreign", foreign},
		{"overlapping", overlapping},
		{"hosts", hosts},
		{"autoscaler", autoscaler},
	}
}

// read asks everything that a plan depends on.
func read(ctx context.Context, t *tape) error {
	_, err := pools.Read(ctx, t)
	return err
}

// empty is a new cluster once it has settled. Managers before Quincy make a pool
// of their own at once, later ones when they need it.
func empty(ctx context.Context, t *tape) error {
	const settled = 10 * time.Second
	for deadline := time.Now().Add(settled); ; {
		top, err := pools.Read(ctx, t.cluster)
		if err != nil {
			return err
		}
		if top.Up() == 3 && (len(top.Pools) > 0 || time.Now().After(deadline)) {
			return read(ctx, t)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// refused is what the monitors say to more placement groups than they allow.
func refused(ctx context.Context, t *tape) error {
	cmd, err := json.Marshal(map[string]any{
		"prefix": "osd pool create", "format": "json", "pool": "volumes", "pg_num": 256, "size": 3,
	})
	if err != nil {
		return err
	}
	if _, err := t.MonCommand(ctx, cmd); err == nil {
		return fmt.Errorf("a pool beyond the limit was made")
	}
	return read(ctx, t)
}

// initialised has the standard pools.
func initialised(ctx context.Context, t *tape) error {
	top, err := pools.Read(ctx, t.cluster)
	if err != nil {
		return err
	}
	plan, err := pools.NewPlan(top, pools.Standard(), pools.Options{})
	if err != nil {
		return err
	}
	if _, err := pools.Apply(ctx, t.cluster, t.cluster, plan); err != nil {
		return err
	}
	return read(ctx, t)
}

// foreign has pools of other applications too, and one of none.
func foreign(ctx context.Context, t *tape) error {
	steps := []struct {
		prefix string
		args   map[string]any
	}{
		{"osd pool create", map[string]any{"pool": "files", "pg_num": 8}},
		{"osd pool application enable", map[string]any{"pool": "files", "app": "cephfs"}},
		{"osd pool create", map[string]any{"pool": "bare", "pg_num": 16, "size": 2}},
		{"osd pool create", map[string]any{"pool": "coded", "pg_num": 8, "pool_type": "erasure"}},
	}
	for _, s := range steps {
		if err := t.send(ctx, s.prefix, s.args); err != nil {
			return err
		}
	}
	return read(ctx, t)
}

// overlapping has a rule for a device class beside the one for all OSDs, and a
// pool that uses it.
func overlapping(ctx context.Context, t *tape) error {
	if err := t.send(ctx, "osd crush rule create-replicated",
		map[string]any{"name": "spinning", "root": "default", "type": "osd", "class": "hdd"}); err != nil {
		return err
	}
	if err := t.send(ctx, "osd pool create", map[string]any{"pool": "classed", "pg_num": 8, "rule": "spinning"}); err != nil {
		return err
	}
	return read(ctx, t)
}

// hosts has two hosts of unequal weight, and a rule that keeps replicas on
// different ones.
func hosts(ctx context.Context, t *tape) error {
	for id, host := range []string{"alpha", "beta", "beta"} {
		if err := t.send(ctx, "osd crush set", map[string]any{
			"id": id, "weight": 1.5, "args": []string{"root=default", "host=" + host},
		}); err != nil {
			return err
		}
	}
	if err := t.send(ctx, "osd crush rule create-replicated",
		map[string]any{"name": "byhost", "root": "default", "type": "host"}); err != nil {
		return err
	}
	return read(ctx, t)
}

// autoscaler has pools that the autoscaler would change, and what it says; where
// the manager can't load one, that is recorded.
func autoscaler(ctx context.Context, t *tape) error {
	for _, pool := range []string{"classed", "bare", "coded"} { // no more overlapping roots
		if err := pools.Remove(ctx, t.cluster, pool); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		pool, option, val string
	}{
		{"volumes", "bulk", "true"},
		{"volumes", "pg_autoscale_mode", "warn"},
		{"vms", "pg_autoscale_mode", "warn"},
		{"images", "pg_autoscale_mode", "warn"},
		{"backups", "pg_autoscale_mode", "warn"},
		{"backups", "pg_num_min", "16"},
	} {
		if err := t.send(ctx, "osd pool set", map[string]any{"pool": s.pool, "var": s.option, "val": s.val}); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Second): // the manager hears of it
	}
	cmd, err := json.Marshal(map[string]any{"prefix": "osd pool autoscale-status", "format": "json"})
	if err != nil {
		return err
	}
	if _, err := t.MonCommand(ctx, cmd); err != nil && !errors.Is(err, fault.ErrInvalid) {
		return err
	}
	return read(ctx, t)
}
