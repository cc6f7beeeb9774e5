package pools

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"rbdctl/internal/fault"
)

// Remove deletes a pool and everything in it, for good. Whether anybody still
// needs it is for the caller to find out first.
//
// The two guards of the cluster, the pool's nodelete flag and the monitors'
// mon_allow_pool_delete, are lifted for the moment and put back as they were,
// also when the removal fails. A process that is killed in between leaves a
// note with the monitors, by which the next Remove puts them back.
//
// ErrNotFound: there is no such pool. ErrInUse: it belongs to another
// application.
//
// Similar To: ceph osd pool rm <pool> <pool> --yes-i-really-really-mean-it
func Remove(ctx context.Context, mon monitor, name string) (err error) {
	pool, found, err := look(ctx, mon, name)
	switch foreign := pool.foreign(); {
	case err != nil:
		return err
	case !found:
		return fault.New(ErrNotFound, "pool "+name+": there is no such pool")
	case len(foreign) > 0:
		return fault.New(ErrInUse, "pool "+name+" belongs to application "+strings.Join(foreign, ", ")+": not removed")
	}
	if pool.NoDelete {
		if err := setFlag(ctx, mon, name, false); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, restoreFlag(ctx, mon, name)) }()
	}
	if err := removeOpen(ctx, mon, name); err != nil {
		return err
	}
	if _, found, err := look(ctx, mon, name); err != nil || !found {
		return err
	}
	return fault.New(ErrUnavailable, "pool "+name+": removed, and still there: run it again")
}

// look finds a pool in the OSD map as it is now.
func look(ctx context.Context, mon monitor, name string) (Pool, bool, error) {
	var dump osdDump
	if err := ask(ctx, mon, "osd dump", nil, &dump); err != nil {
		return Pool{}, false, err
	}
	i := slices.IndexFunc(dump.Pools, func(p dumpPool) bool { return p.Name == name })
	if i < 0 {
		return Pool{}, false, nil
	}
	return dump.Pools[i].decode(crushMap{}), true, nil
}

func setFlag(ctx context.Context, mon monitor, name string, on bool) error {
	s := setStep(phaseFinish, name, "nodelete", on)
	return tell(ctx, mon, s.prefix, s.args)
}

// restoreFlag protects a pool again that could not be removed.
func restoreFlag(ctx context.Context, mon monitor, name string) error {
	ctx, cancel := aftermath(ctx)
	defer cancel()
	if _, found, err := look(ctx, mon, name); err != nil || !found {
		return err
	}
	return setFlag(ctx, mon, name, true)
}

// aftermath is a context for putting things back after the caller's ended.
func aftermath(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

// removeOpen removes a pool; if the monitors forbid it, it makes them allow it
// for as long as it takes.
func removeOpen(ctx context.Context, mon monitor, name string) (err error) {
	err = rm(ctx, mon, name)
	gate := gate{mon: mon}
	if errors.Is(err, fault.ErrDenied) {
		err = gate.with(ctx, func() error { return rm(ctx, mon, name) })
	}
	ctx, cancel := aftermath(ctx)
	defer cancel()
	return errors.Join(err, gate.shut(ctx))
}

func rm(ctx context.Context, mon monitor, name string) error {
	return tell(ctx, mon, "osd pool rm", args{"pool": name, "pool2": name, "yes_i_really_really_mean_it": true})
}

// gate is the monitors' option that allows pools to be deleted.
type gate struct {
	mon  monitor
	note string // what the option was; empty until that is known
}

const (
	gateOption = "mon_allow_pool_delete"
	gateNote   = "rbdctl/" + gateOption // where the monitors keep what it was
	gateUnset  = "unset"
	gateTries  = 20
)

// with opens the gate and calls fn until it is not denied any more: the monitors
// take a moment to hear of it, and another rbdctl may shut it meanwhile.
func (g *gate) with(ctx context.Context, fn func() error) error {
	if err := g.remember(ctx); err != nil {
		return err
	}
	var err error
	for range gateTries {
		if err := tell(ctx, g.mon, "config-key set", args{"key": gateNote, "val": g.note}); err != nil {
			return err
		}
		if err := tell(ctx, g.mon, "config set", args{"who": "mon", "name": gateOption, "value": "true"}); err != nil {
			return err
		}
		if err = fn(); !errors.Is(err, fault.ErrDenied) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.Join(err, fault.New(fault.ErrDenied, gateOption+" was set and has no effect: the monitors' ceph.conf overrules it"))
}

// remember learns what the option is: from the note of a process that was killed
// with the gate open, else from the configuration database.
func (g *gate) remember(ctx context.Context) error {
	if err := g.readNote(ctx); err != nil || g.note != "" {
		return err
	}
	var entries []struct {
		Section string `json:"section"`
		Name    string `json:"name"`
		Value   string `json:"value"`
		Mask    string `json:"mask"`
	}
	if err := ask(ctx, g.mon, "config dump", nil, &entries); err != nil {
		return err
	}
	g.note = gateUnset
	for _, e := range entries {
		if e.Section == "mon" && e.Name == gateOption && e.Mask == "" {
			g.note = e.Value
		}
	}
	return nil
}

func (g *gate) readNote(ctx context.Context) error {
	answer, err := g.mon.MonCommand(ctx, encode("config-key get", args{"key": gateNote}))
	if errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	g.note = plain(answer)
	return err
}

// shut puts the option back as it was, if it was touched, now or by a process
// that was killed.
func (g *gate) shut(ctx context.Context) error {
	if g.note == "" {
		if err := g.readNote(ctx); err != nil || g.note == "" {
			return err
		}
	}
	var err error
	if g.note == gateUnset {
		err = tell(ctx, g.mon, "config rm", args{"who": "mon", "name": gateOption})
	} else {
		err = tell(ctx, g.mon, "config set", args{"who": "mon", "name": gateOption, "value": g.note})
	}
	if err != nil {
		return err
	}
	return tell(ctx, g.mon, "config-key rm", args{"key": gateNote})
}
