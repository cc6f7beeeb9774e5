package pools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rbdctl/internal/fault"
)

// options reads running values of the monitors' leader: it is the one that
// checks limits. What the configuration database says can differ, for ceph.conf
// overrules it.
type options struct {
	mon    monitor
	leader string // "mon.a"; empty when no manager knows what it runs with
}

// How long a manager may take to hear of a monitor: both may have just started.
const (
	hearing      = 15 * time.Second
	hearingPause = 250 * time.Millisecond
)

// newOptions finds out whom to ask. It waits for a manager that is about to be
// there: asking the database instead is wrong where ceph.conf says otherwise.
func newOptions(ctx context.Context, mon monitor) (options, error) {
	var quorum struct {
		Leader string `json:"quorum_leader_name"`
	}
	if err := ask(ctx, mon, "quorum_status", nil, &quorum); err != nil {
		return options{}, err
	}
	o := options{mon, "mon." + quorum.Leader}
	for deadline := time.Now().Add(hearing); ; {
		known, coming, err := o.heard(ctx)
		if known || err != nil {
			return o, err
		}
		if !coming || time.Now().After(deadline) {
			return options{mon: mon}, nil
		}
		select {
		case <-ctx.Done():
			return o, context.Cause(ctx)
		case <-time.After(hearingPause):
		}
	}
}

// heard tells whether the manager knows what the leader runs with, or will. Of
// a monitor that has just started it knows nothing, and then gives defaults for
// an answer; that shows in the list of what differs from them, which otherwise
// is never empty.
func (o options) heard(ctx context.Context) (known, coming bool, err error) {
	var mgr struct {
		Available bool   `json:"available"`
		Active    string `json:"active_name"`
	}
	if err := ask(ctx, o.mon, "mgr stat", nil, &mgr); err != nil || !mgr.Available {
		return false, mgr.Active != "", err
	}
	var changed []json.RawMessage
	err = ask(ctx, o.mon, "config show", args{"who": o.leader}, &changed)
	if errors.Is(err, fault.ErrNotFound) {
		return false, true, nil
	}
	return len(changed) > 0, true, err
}

// running is the value of an option that is in force.
//
// Similar To: ceph config show mon.<leader> <option>
func (o options) running(ctx context.Context, key string) (string, error) {
	if o.leader == "" {
		return o.configured(ctx, key)
	}
	answer, err := o.mon.MonCommand(ctx, encode("config show", args{"who": o.leader, "key": key}))
	return plain(answer), err
}

// configured is the value that the monitors' database has for monitors.
//
// Similar To: ceph config get mon <option>
func (o options) configured(ctx context.Context, key string) (string, error) {
	answer, err := o.mon.MonCommand(ctx, encode("config get", args{"who": "mon", "key": key}))
	return plain(answer), err
}

// plain strips an answer that is one value: some releases quote it.
func plain(answer []byte) string {
	text := strings.TrimSpace(string(answer))
	var unquoted string
	if json.Unmarshal([]byte(text), &unquoted) == nil {
		return unquoted
	}
	return text
}

// readLimits reads the running values that a plan depends on.
func (t *Topology) readLimits(ctx context.Context, mon monitor) error {
	o, err := newOptions(ctx, mon)
	if err != nil {
		return err
	}
	if o.leader == "" {
		t.Notes = append(t.Notes, "no manager knows the monitors' running values: limits are those of the configuration database, "+
			"the monitors may run with others")
	}
	var rule int
	for _, want := range []struct {
		key string
		to  any
	}{
		{"mon_max_pg_per_osd", &t.Limits.MaxPGPerOSD},
		{"mon_target_pg_per_osd", &t.Limits.TargetPGPerOSD},
		{"osd_max_pg_per_osd_hard_ratio", &t.Limits.HardRatio},
		{"mon_max_pool_pg_num", &t.Limits.MaxPGNum},
		{"osd_pool_default_size", &t.Limits.DefaultSize},
		{"osd_pool_default_crush_rule", &rule},
		{"mon_allow_pool_size_one", &t.Limits.SizeOne},
		{"mon_allow_pool_delete", &t.poolDeleteOpen},
	} {
		text, err := o.running(ctx, want.key)
		if err != nil {
			return err
		}
		if err := scan(text, want.to); err != nil {
			return fmt.Errorf("option %s is %q: %w", want.key, text, err)
		}
	}
	text, err := o.configured(ctx, "mon_max_pg_per_osd")
	if err != nil {
		return err
	}
	if err := scan(text, &t.configuredPGs); err != nil {
		return fmt.Errorf("option mon_max_pg_per_osd is %q: %w", text, err)
	}
	t.setDefaultRule(rule)
	return nil
}

// setDefaultRule names the rule of pools that ask for none: the configured one,
// else the first that keeps copies.
func (t *Topology) setDefaultRule(id int) {
	if r, ok := t.crush.ruleByID(id); ok && id >= 0 {
		t.defaultRule = r.name
		return
	}
	for _, r := range t.crush.rules {
		if !r.erasure {
			t.defaultRule = r.name
			return
		}
	}
}

// scan reads an option's text into what to points at.
func scan(text string, to any) (err error) {
	switch v := to.(type) {
	case *int:
		*v, err = strconv.Atoi(text)
	case *float64:
		*v, err = strconv.ParseFloat(text, 64)
	case *bool:
		*v, err = strconv.ParseBool(text)
	}
	return err
}
