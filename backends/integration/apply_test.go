package integration

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/fault"
	"rbdctl/internal/spec"
	"rbdctl/keyring"
	"rbdctl/libvirtsecret"
)

// One lab, seen from an empty cluster to a finished one and back into order.
func TestApply(t *testing.T) {
	w := newWorld(t)
	plan := w.plan(t)
	var announced []string
	result, err := Apply(t.Context(), w.cluster, plan, func(i Item) { announced = append(announced, string(i.Action)+" "+i.String()) })
	if err != nil || !result.Changed {
		t.Fatalf("Apply = changed %v, %v", result.Changed, err)
	}
	if diff := cmp.Diff(pending(plan), announced); diff != "" {
		t.Errorf("announced is not what was planned (-planned +announced)\n%s", diff)
	}
	for i, item := range result.Items {
		if item.Part == Secret && item.Key == "" || item.Action != plan.Items[i].Action {
			t.Errorf("%s: action %s, fingerprint %q", item, item.Action, item.Key)
		}
	}
	if again := w.apply(t); again.Changed {
		t.Errorf("a second run changed something: %+v", again.Items)
	}
	if s := w.plan(t).Status(); !s.AsWanted {
		t.Errorf("status after apply: %+v", s.Findings)
	}

	for _, tt := range []struct {
		name    string
		disturb func(t *testing.T)
		want    []string
	}{
		{"caps", func(t *testing.T) {
			w.tool(t, "ceph", "auth", "caps", "client.nova", "mon", "profile rbd", "osd", "profile rbd pool=vms")
		}, []string{"change entity client.nova"}},
		{"entity", func(t *testing.T) { w.tool(t, "ceph", "auth", "rm", "client.glance") }, []string{"create entity client.glance"}},
		{
			"entity with a secret", func(t *testing.T) { w.tool(t, "ceph", "auth", "rm", "client.nova") },
			[]string{"create entity client.nova", "change secret client.nova on node1"},
		},
		{"secret", func(t *testing.T) { w.removeSecret(t, "client.cinder") }, []string{"create secret client.cinder on node1"}},
		{"nodelete", func(t *testing.T) { w.tool(t, "ceph", "osd", "pool", "set", "vms", "nodelete", "false") }, []string{"change pool vms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.disturb(t)
			if diff := cmp.Diff(tt.want, pending(w.plan(t))); diff != "" {
				t.Errorf("plan (-want +got)\n%s", diff)
			}
			if w.plan(t).Status().AsWanted {
				t.Error("status says that all is as wanted")
			}
			w.apply(t)
			if diff := cmp.Diff([]string{}, pending(w.plan(t))); diff != "" {
				t.Errorf("after apply (-want +got)\n%s", diff)
			}
		})
	}
	t.Run("changed since", func(t *testing.T) { testChangedSince(t, w) })
	t.Run("two at once", func(t *testing.T) { testTwoAtOnce(t, w) })
	t.Run("refused uuid", func(t *testing.T) { testRefusedUUID(t, w) })
	t.Run("private", func(t *testing.T) { testPrivate(t, w) })
	t.Run("dead node", func(t *testing.T) { testDeadNode(t, w) })
	t.Run("refused pool", func(t *testing.T) { testRefusedPool(t, w) })
}

// withStore runs fn on the lab's libvirt.
func (w *world) withStore(t *testing.T, fn func(*libvirtsecret.Store) error) {
	t.Helper()
	store, err := libvirtsecret.Dial(t.Context(), w.LibvirtURI())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fn(store), store.Close()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) fsid(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(w.tool(t, "ceph", "fsid"))
}

func (w *world) removeSecret(t *testing.T, entity string) {
	t.Helper()
	w.withStore(t, func(s *libvirtsecret.Store) error {
		_, err := s.Remove(t.Context(), libvirtsecret.UsageFor(w.fsid(t), entity), libvirtsecret.RemoveOptions{})
		return err
	})
}

// What was shown is performed, or nothing.
func testChangedSince(t *testing.T, w *world) {
	w.tool(t, "ceph", "auth", "rm", "client.glance")
	stale := w.plan(t)
	w.tool(t, "ceph", "auth", "rm", "client.rbdctl")
	_, err := Apply(t.Context(), w.cluster, stale, nil)
	if !errors.Is(err, fault.ErrInUse) || !strings.Contains(err.Error(), "client.rbdctl") {
		t.Fatalf("Apply = %v, want in use, naming client.rbdctl", err)
	}
	want := []string{"create entity client.glance", "create entity client.rbdctl"}
	if diff := cmp.Diff(want, pending(w.plan(t))); diff != "" {
		t.Errorf("after the refusal (-want +got)\n%s", diff)
	}
	w.apply(t)
}

// Of two that do the same at the same moment each succeeds or says that the other
// was there; what they leave is whole.
func testTwoAtOnce(t *testing.T, w *world) {
	for _, entity := range []string{"client.cinder", "client.glance", "client.nova"} {
		w.tool(t, "ceph", "auth", "rm", entity)
	}
	w.removeSecret(t, "client.cinder")
	plans := []Plan{w.plan(t), w.plan(t)}
	errs := make([]error, len(plans))
	var wg sync.WaitGroup
	for i, plan := range plans {
		wg.Go(func() { _, errs[i] = Apply(t.Context(), w.cluster, plan, nil) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, fault.ErrInUse) {
			t.Errorf("Apply beside another = %v, want success or in use", err)
		}
	}
	w.apply(t)
	if diff := cmp.Diff([]string{}, pending(w.plan(t))); diff != "" {
		t.Errorf("still to do\n%s", diff)
	}
}

func testRefusedUUID(t *testing.T, w *world) {
	nova, err := libvirtsecret.For(w.fsid(t), "client.nova")
	if err != nil {
		t.Fatal(err)
	}
	w.removeSecret(t, "client.cinder")
	wish := w.wish
	wish.Secrets = append([]spec.Secret{}, wish.Secrets...)
	wish.Secrets[0].UUID = nova.UUID
	plan, err := NewPlan(t.Context(), w.cluster, wish)
	if err != nil || len(plan.Refusals) != 1 || !errors.Is(plan.Refused(), fault.ErrExists) {
		t.Fatalf("NewPlan = %+v, %v, want one refusal of kind exists", plan.Refusals, err)
	}
	if r := plan.Refusals[0]; r.Name != "client.cinder" || r.Node != "node1" || !strings.Contains(r.Text, nova.UUID) {
		t.Errorf("refusal %+v", r)
	}
	if _, err := Apply(t.Context(), w.cluster, plan, nil); !errors.Is(err, fault.ErrExists) {
		t.Errorf("Apply = %v, want exists", err)
	}
	if diff := cmp.Diff([]string{"create secret client.cinder on node1"}, pending(w.plan(t))); diff != "" {
		t.Errorf("after the refusal (-want +got)\n%s", diff)
	}
}

// A private secret is written by every run, since nobody can read whether it has
// to be; that alone is no change.
func testPrivate(t *testing.T, w *world) {
	w.removeSecretIfAny(t, "client.cinder")
	private := *w
	private.wish.Secrets = []spec.Secret{{Entity: w.wish.Secrets[0].Entity, Private: true}}
	if got := pending(private.plan(t)); len(got) != 1 {
		t.Errorf("before: %q, want the secret", got)
	}
	private.apply(t)
	if diff := cmp.Diff([]string{}, pending(private.plan(t))); diff != "" {
		t.Errorf("after apply (-want +got)\n%s", diff)
	}
	private.apply(t)
	plan := w.plan(t) // wants it readable, which libvirt can't
	if !errors.Is(plan.Refused(), fault.ErrInvalid) {
		t.Errorf("readable again: refused %v, want invalid", plan.Refused())
	}
	w.removeSecret(t, "client.cinder")
	w.apply(t)
}

func (w *world) removeSecretIfAny(t *testing.T, entity string) {
	t.Helper()
	w.withStore(t, func(s *libvirtsecret.Store) error {
		_, err := s.Remove(t.Context(), libvirtsecret.UsageFor(w.fsid(t), entity), libvirtsecret.RemoveOptions{})
		if errors.Is(err, fault.ErrNotFound) {
			return nil
		}
		return err
	})
}

// A node that is down stops neither the others nor what comes before.
func testDeadNode(t *testing.T, w *world) {
	w.tool(t, "ceph", "auth", "rm", "client.nova")
	half := *w
	half.wish.Nodes = []spec.Node{{Name: "dead", URI: "qemu+unix:///session?socket=" + t.TempDir() + "/none"}, w.wish.Nodes[0]}
	plan := half.plan(t)
	if len(plan.Failures) != 1 || plan.Failures[0].Node != "dead" || !errors.Is(plan.Failed(), fault.ErrUnavailable) || plan.Refused() != nil {
		t.Fatalf("failures %+v, refusals %+v", plan.Failures, plan.Refusals)
	}
	result, err := Apply(t.Context(), w.cluster, plan, nil)
	if !errors.Is(err, fault.ErrUnavailable) || len(result.Failures) != 1 || !result.Changed {
		t.Errorf("Apply = %+v, %v", result.Failures, err)
	}
	if diff := cmp.Diff([]string{}, pending(w.plan(t))); diff != "" {
		t.Errorf("the living node (-want +got)\n%s", diff)
	}
	if s := plan.Status(); s.AsWanted || s.Findings[len(s.Findings)-1].State != Unreachable {
		t.Errorf("status %+v", s.Findings)
	}
}

// A plan that is refused in one point is not performed in any.
func testRefusedPool(t *testing.T, w *world) {
	w.tool(t, "ceph", "osd", "pool", "create", "theirs", "1")
	w.tool(t, "ceph", "osd", "pool", "application", "enable", "theirs", "cephfs")
	other := *w
	other.wish = spec.Standard()
	other.wish.Pools[0].Name, other.wish.Names.Volumes = "more", "more"
	other.wish.Pools[2].Name, other.wish.Names.Images = "theirs", "theirs"
	plan := other.plan(t)
	if len(plan.Refusals) != 1 || plan.Refusals[0].Name != "theirs" || plan.Refusals[0].Code != "foreign" {
		t.Fatalf("refusals %+v", plan.Refusals)
	}
	if _, err := Apply(t.Context(), w.cluster, plan, nil); !errors.Is(err, fault.ErrInUse) {
		t.Errorf("Apply = %v, want in use", err)
	}
	if pools := w.tool(t, "ceph", "osd", "pool", "ls"); strings.Contains(pools, "more") {
		t.Errorf("a refused plan made a pool: %s", pools)
	}
	if diff := cmp.Diff([]string{}, pending(w.plan(t))); diff != "" {
		t.Errorf("a refused plan changed something (-want +got)\n%s", diff)
	}
}

// No key is in what a plan or a result shows; the stand-in for a key that is not
// made yet is a key for libvirtsecret.
func TestStandIn(t *testing.T) {
	a, err := newStandIn()
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyring.ParseKey(a.Reveal())
	if err != nil || key.Type() != keyring.AES {
		t.Errorf("ParseKey: type %q, %v", key.Type(), err)
	}
	b, err := newStandIn()
	if err != nil || string(a) == string(b) {
		t.Errorf("two stand-ins are alike (%v)", err)
	}
}
