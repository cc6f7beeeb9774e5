package integration

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mortal is a connection of a process that is killed at a change of the cluster:
// the first of which no process before it has died. It dies once before the change
// is made and once after it, before the answer is there; from then on it does
// nothing any more.
type mortal struct {
	cluster
	deaths map[string]bool // that were died

	mu   sync.Mutex
	dead bool
}

// attempt makes a change, and dies where it has to.
func (m *mortal) attempt(change string, fn func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead || m.dies("before "+change) {
		return errDead
	}
	if err := fn(); err != nil {
		return err
	}
	if m.dies("after " + change) {
		return errDead
	}
	return nil
}

func (m *mortal) dies(where string) bool {
	if m.deaths[where] {
		return false
	}
	m.deaths[where], m.dead = true, true
	return true
}

// changes tells whether a command of the monitors changes anything.
func changes(cmd []byte) bool {
	var c struct{ Prefix string }
	if err := json.Unmarshal(cmd, &c); err != nil {
		return true
	}
	switch c.Prefix {
	case "osd pool create", "osd pool set", "osd pool set-quota", "osd pool application enable",
		"osd set-require-min-compat-client", "osd crush rule create-replicated", "auth get-or-create", "auth caps", "auth rm":
		return true
	}
	return false
}

func (m *mortal) MonCommand(ctx context.Context, cmd []byte) (answer []byte, err error) {
	if !changes(cmd) {
		return m.cluster.MonCommand(ctx, cmd)
	}
	err = m.attempt(string(cmd), func() error {
		answer, err = m.cluster.MonCommand(ctx, cmd)
		return err
	})
	return answer, err
}

func (m *mortal) InitPool(ctx context.Context, pool string) error {
	return m.attempt("init "+pool, func() error { return m.cluster.InitPool(ctx, pool) })
}

// The integration is made by runs that are killed, each at a change at which none
// was before, once before it and once after it. Then all is as an undisturbed run
// leaves it.
func TestApplyKilledAtEveryChange(t *testing.T) {
	w := newWorld(t)
	deaths := map[string]bool{}
	for {
		m := &mortal{cluster: w.cluster, deaths: deaths}
		_, err := Apply(t.Context(), m, w.plan(t), nil)
		if err == nil {
			break
		}
		if !errors.Is(err, errDead) || !m.dead {
			t.Fatalf("after %d kills: %v", len(deaths), err)
		}
		if len(deaths) > 200 {
			t.Fatalf("after %d kills there is still to do: %v", len(deaths), pending(w.plan(t)))
		}
	}
	// Four pools are made, initialised and protected, five entities issued, clients
	// shut out: 18 changes.
	if len(deaths) < 36 {
		t.Errorf("%d kills, want one before and one after each of 18 changes: %v", len(deaths), slices.Collect(maps.Keys(deaths)))
	}
	if diff := cmp.Diff([]string{}, pending(w.plan(t))); diff != "" {
		t.Errorf("still to do\n%s", diff)
	}
	calm := newWorld(t)
	calm.apply(t)
	if diff := cmp.Diff(calm.picture(t), w.picture(t)); diff != "" {
		t.Errorf("not as an undisturbed run leaves it (-undisturbed +killed)\n%s", diff)
	}
}

// picture is what an integration leaves behind, without what differs by nature:
// identities, keys, and what the autoscaler does to pools of others.
func (w *world) picture(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	plan := w.plan(t)
	for _, i := range plan.Items {
		i.UUID, i.Key = "", ""
		if i.Part == Secret {
			i.Want = ""
		}
		out[i.String()] = i
	}
	var pools []struct {
		Name  string `json:"pool_name"`
		Flags string `json:"flags_names"`
		Size  int    `json:"size"`
		PGs   int    `json:"pg_num_target"`
		Mode  string `json:"pg_autoscale_mode"`
		Apps  any    `json:"application_metadata"`
	}
	if err := json.Unmarshal([]byte(w.tool(t, "ceph", "osd", "pool", "ls", "detail", "--format", "json")), &pools); err != nil {
		t.Fatal(err)
	}
	for _, p := range pools {
		if strings.Contains("volumes vms images backups", p.Name) {
			out["pools/"+p.Name] = p
		}
	}
	var auth struct {
		Dump []struct {
			Entity string            `json:"entity"`
			Caps   map[string]string `json:"caps"`
		} `json:"auth_dump"`
	}
	if err := json.Unmarshal([]byte(w.tool(t, "ceph", "auth", "ls", "--format", "json")), &auth); err != nil {
		t.Fatal(err)
	}
	for _, e := range auth.Dump {
		if strings.HasPrefix(e.Entity, "client.") {
			out["auth/"+e.Entity] = e.Caps
		}
	}
	return out
}
