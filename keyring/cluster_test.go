//go:build cgo

package keyring_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/keyring"
	"rbdctl/rbd"
)

// testCluster is a cluster of the test's own: the entities have fixed names, and
// other packages' tests may be using them on the shared one.
type testCluster struct {
	*rbd.Cluster
	conf    string
	desired []keyring.Params
}

// TestOnCluster runs everything that needs real monitors, on one cluster.
func TestOnCluster(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true})
	c := testCluster{Cluster: dial(t, l.ConfFile(), "client.admin"), conf: l.ConfFile()}
	desired, err := keyring.Standard(keyring.Separate, keyring.Pools{})
	if err != nil {
		t.Fatal(err)
	}
	c.desired = desired
	t.Run("MissingPools", c.testMissingPools)
	for _, pool := range []string{"volumes", "vms", "images", "backups", "a b"} {
		c.command(t, map[string]any{"prefix": "osd pool create", "pool": pool, "pg_num": 8, "autoscale_mode": "off"})
		if err := c.InitPool(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("Grammar", c.testGrammar)
	t.Run("Typo", c.testTypo)
	t.Run("DryRun", c.testDryRun)
	t.Run("IssueByMany", c.testIssueByMany)
	t.Run("IssueTwice", c.testIssueTwice)
	t.Run("RewrittenByHand", c.testRewrittenByHand)
	t.Run("Drift", c.testDrift)
	t.Run("Foreign", c.testForeign)
	t.Run("SharedCinder", c.testSharedCinder)
	t.Run("Remove", c.testRemove)
	t.Run("Access", c.testAccess)
}

func dial(t *testing.T, conf, entity string) *rbd.Cluster {
	t.Helper()
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: conf, Entity: entity})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// command runs one on the monitors and demands its success.
func (c testCluster) command(t *testing.T, cmd map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.MonCommand(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// all is the whole authentication database as the monitors print it.
func (c testCluster) all(t *testing.T) string {
	t.Helper()
	return string(c.command(t, map[string]any{"prefix": "auth ls", "format": "json"}))
}

func (c testCluster) issue(t *testing.T, desired []keyring.Params) keyring.Plan {
	t.Helper()
	plan, err := keyring.Issue(t.Context(), c, desired, keyring.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func actions(plan keyring.Plan) string {
	var words []string
	for _, c := range plan {
		words = append(words, string(c.Action)+" "+c.Entity.ID())
	}
	return strings.Join(words, ", ")
}

func (c testCluster) testMissingPools(t *testing.T) {
	before := c.all(t)
	_, err := keyring.Issue(t.Context(), c, c.desired, keyring.Options{})
	want := "pools that the caps name do not exist: volumes, images, backups, vms: create them with `rbdctl pools init`, or name others"
	if !errors.Is(err, keyring.ErrNotFound) || err.Error() != want {
		t.Errorf("Issue = %v\nwant %s", err, want)
	}
	if diff := cmp.Diff(before, c.all(t)); diff != "" {
		t.Error("something was made all the same")
	}
	a := []keyring.Params{{Entity: entity(t, "client.early"), Caps: parseCaps(t, "mon 'profile rbd' osd 'profile rbd pool=volumes'")}}
	if _, err := keyring.Issue(t.Context(), c, a, keyring.Options{AllowMissing: true}); err != nil {
		t.Errorf("Issue with AllowMissing = %v", err)
	}
	if err := keyring.Remove(t.Context(), c, a[0].Entity); err != nil {
		t.Error(err)
	}
}

// The monitors accept every canonical form, and give it back as it was.
func (c testCluster) testGrammar(t *testing.T) {
	for _, text := range []string{
		"mon 'allow *'",
		"mon 'allow rwx, allow service osd rw network 10.0.0.0/8, profile rbd network fe80::/64'",
		`mon 'allow command "osd blocklist" with addr regex "^[^/]+/[0-9]+$" blocklistop=add, allow command "config-key get" with key prefix "rbd/"'`,
		"mgr 'profile rbd pool=volumes namespace=n network 10.0.0.0/8, profile rbd pool prefix v'",
		`mgr 'allow module rbd_support with pool=volumes namespace prefix "a b" rw, allow command "osd df", allow service pg r'`,
		`mgr 'allow command a with "network"=b c=d'`,
		`osd 'profile rbd pool="a b" namespace="" network 10.0.0.0/8, profile rbd-read-only namespace=n'`,
		`osd 'allow rw class-write pool=images, allow class-read object_prefix rbd_children, allow x, allow *'`,
		`osd 'allow r pool=images namespace=n* object_prefix "a b" network 10.0.0.0/8'`,
		`osd 'allow r pool=images namespace="a b"*, allow rwx tag rbd *=*, allow r namespace=n tag "x y" a="all"'`,
		`osd 'allow pool=images class rbd metadata_list network 10.0.0.0/8, allow pool=images class rbd "pool", allow class rbd'`,
	} {
		want := parseCaps(t, text)
		if want.String() != parseCaps(t, want.String()).String() {
			t.Errorf("%s is not stable", text)
		}
		params := []keyring.Params{{Entity: entity(t, "client.grammar"), Caps: want}}
		plan, err := keyring.Issue(t.Context(), c, params, keyring.Options{})
		if err != nil {
			t.Errorf("the monitors refuse %s: %v", want, err)
			continue
		}
		if again := c.issue(t, params); again.Changed() {
			t.Errorf("%s came back as %s", want, again[0].Before)
		}
		if plan[0].Key.Type() != keyring.AES {
			t.Errorf("a key of type %q", plan[0].Key.Type())
		}
	}
	if err := keyring.Remove(t.Context(), c, entity(t, "client.grammar")); err != nil {
		t.Error(err)
	}
}

// The monitors take this typo, and the entity could do nothing.
func (c testCluster) testTypo(t *testing.T) {
	c.command(t, map[string]any{"prefix": "auth get-or-create", "entity": "client.typo", "caps": []string{"mon", "profile rdb", "osd", "profile rdb pool=volumes"}})
	typo, err := keyring.Read(t.Context(), c, entity(t, "client.typo"))
	if err != nil || len(typo) != 1 {
		t.Fatalf("Read = %v, %v", typo, err)
	}
	before := c.all(t)
	_, err = keyring.Issue(t.Context(), c, []keyring.Params{{Entity: typo[0].Entity, Caps: typo[0].Caps}}, keyring.Options{})
	if !errors.Is(err, keyring.ErrInvalid) || !strings.Contains(err.Error(), `unknown profile "rdb": want one of rbd, `) {
		t.Errorf("Issue = %v, want invalid with the list", err)
	}
	if c.all(t) != before {
		t.Error("something changed all the same")
	}
	if err := keyring.Remove(t.Context(), c, typo[0].Entity); err != nil {
		t.Error(err)
	}
}

func (c testCluster) testDryRun(t *testing.T) {
	before := c.all(t)
	plan, err := keyring.Issue(t.Context(), c, c.desired, keyring.Options{DryRun: true})
	if err != nil || !plan.Changed() {
		t.Errorf("Issue = %s, %v", actions(plan), err)
	}
	if c.all(t) != before {
		t.Error("a dry run changed something")
	}
}

// Several who issue the same at the same moment all succeed, with the same keys.
func (c testCluster) testIssueByMany(t *testing.T) {
	plans := make([]keyring.Plan, 4)
	var all sync.WaitGroup
	for i := range plans {
		all.Go(func() {
			plan, err := keyring.Issue(t.Context(), c, c.desired, keyring.Options{})
			if err != nil {
				t.Errorf("Issue = %v", err)
			}
			plans[i] = plan
		})
	}
	all.Wait()
	for _, plan := range plans {
		for j, change := range plan {
			if change.Key.IsZero() || !change.Key.Equal(plans[0][j].Key) {
				t.Errorf("%s: %s and %s", change.Entity, change.Key.Fingerprint(), plans[0][j].Key.Fingerprint())
			}
		}
	}
	for _, p := range c.desired {
		if err := keyring.Remove(t.Context(), c, p.Entity); err != nil {
			t.Error(err)
		}
	}
}

func (c testCluster) testIssueTwice(t *testing.T) {
	plan := c.issue(t, c.desired)
	if got, want := actions(plan), "create cinder, create cinder-backup, create glance, create nova, create rbdctl"; got != want {
		t.Errorf("Issue = %s, want %s", got, want)
	}
	before := c.all(t)
	plan = c.issue(t, c.desired)
	if got, want := actions(plan), "keep cinder, keep cinder-backup, keep glance, keep nova, keep rbdctl"; got != want || plan.Changed() {
		t.Errorf("Issue again = %s, want %s", got, want)
	}
	if c.all(t) != before {
		t.Error("the second time changed something")
	}
	for _, change := range plan {
		stored, err := keyring.Read(t.Context(), c, change.Entity)
		if err != nil || len(stored) != 1 || !stored[0].Key.Equal(change.Key) || change.Key.Type() != keyring.AES {
			t.Errorf("Read(%s) = %v, %v", change.Entity, stored, err)
		}
	}
}

func (c testCluster) testRewrittenByHand(t *testing.T) {
	c.command(t, map[string]any{"prefix": "auth caps", "entity": "client.cinder", "caps": []string{
		"osd", `profile rbd-read-only  pool="images",profile rbd pool volumes`, "mon", "allow profile rbd", "mgr", "profile rbd pool = volumes",
	}})
	before := c.all(t)
	if plan := c.issue(t, c.desired); plan.Changed() {
		t.Errorf("Issue = %s: the same caps in other words are taken for a change", actions(plan))
	}
	if c.all(t) != before {
		t.Error("the operator's own words were replaced")
	}
}

// Whatever the caps became, the whole set comes back, and the key stays.
func (c testCluster) testDrift(t *testing.T) {
	nova := entity(t, "client.nova")
	for _, caps := range [][]string{
		{"mon", "allow *", "osd", "allow *", "mgr", "allow *", "mds", "allow *"},
		{"osd", "profile rbd pool=vms"}, // what is left when somebody forgets the rest
		{"mon", "allow r", "osd", "allow rwx pool=vms", "mds", "allow rw path=/new root_squash"},
	} {
		c.command(t, map[string]any{"prefix": "auth caps", "entity": "client.nova", "caps": caps})
		before, err := keyring.Read(t.Context(), c, nova)
		if err != nil {
			t.Fatal(err)
		}
		plan := c.issue(t, c.desired)
		if got, want := actions(plan), "keep cinder, keep cinder-backup, keep glance, modify nova, keep rbdctl"; got != want {
			t.Errorf("%q: Issue = %s, want %s", caps, got, want)
		}
		after, err := keyring.Read(t.Context(), c, nova)
		if err != nil || len(after) != 1 || !after[0].Key.Equal(before[0].Key) {
			t.Errorf("%q: another key, or %v", caps, err)
		} else if diff, err := keyring.Diff(after, c.desired[3:4]); err != nil || diff.Changed() {
			t.Errorf("%q: it became %s, %v", caps, after[0].Caps, err)
		}
	}
}

func (c testCluster) testForeign(t *testing.T) {
	c.command(t, map[string]any{"prefix": "auth get-or-create", "entity": "client.theirs", "caps": []string{"mon", "allow r", "mds", "allow rw path=/x"}})
	c.command(t, map[string]any{"prefix": "auth caps", "entity": "client.glance", "caps": []string{"mon", "allow r"}})
	const theirs = "client.theirs"
	before, err := keyring.Read(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	c.issue(t, c.desired)
	after, err := keyring.Read(t.Context(), c)
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d entities became %d, %v", len(before), len(after), err)
	}
	seen := 0
	for i, e := range after {
		if e.Entity.String() == theirs || e.Entity.Protected() {
			seen++
			if !e.Key.Equal(before[i].Key) || !e.Caps.Equal(before[i].Caps) {
				t.Errorf("%s was changed: %s, before %s", e.Entity, e.Caps, before[i].Caps)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d entities that are not ours", seen)
	}
}

// Each layout can be reached from the other, without another key.
func (c testCluster) testSharedCinder(t *testing.T) {
	shared, err := keyring.Standard(keyring.SharedCinder, keyring.Pools{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := keyring.Read(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, desired := range [][]keyring.Params{shared, c.desired} {
		if got, want := actions(c.issue(t, desired)[:1]), "modify cinder"; got != want {
			t.Errorf("Issue = %s, want %s", got, want)
		}
		if plan := c.issue(t, desired); plan.Changed() {
			t.Errorf("Issue again = %s", actions(plan))
		}
		// Nova's work is Cinder's in the one layout, and refused in the other.
		cinder := c.dialAs(t, entity(t, "client.cinder"))
		disk := []act{create("vms/shared"), remove("vms/shared")}
		if len(desired) == len(c.desired) {
			refuses(t, cinder, disk, rbd.ErrDenied, syscall.EPERM)
		} else {
			for _, a := range disk {
				if err := a.do(t.Context(), cinder); err != nil {
					t.Errorf("%s: %v", a.name, err)
				}
			}
		}
		refuses(t, cinder, []act{create("images/x"), create("backups/x"), list("backups")}, rbd.ErrDenied, syscall.EPERM)
	}
	after, err := keyring.Read(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range after {
		if !e.Key.Equal(before[i].Key) {
			t.Errorf("%s has another key", e.Entity)
		}
	}
}

func (c testCluster) testRemove(t *testing.T) {
	gone := entity(t, "client.gone")
	c.command(t, map[string]any{"prefix": "auth get-or-create", "entity": "client.gone", "caps": []string{"mon", "allow r"}})
	if err := keyring.Remove(t.Context(), c, gone); err != nil {
		t.Error(err)
	}
	if k, err := keyring.Read(t.Context(), c, gone); err != nil || len(k) != 0 {
		t.Errorf("Read = %v, %v; want nothing", k, err)
	}
	if err := keyring.Remove(t.Context(), c, gone); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("Remove again = %v, want not found", err)
	}
	before := c.all(t)
	for _, name := range []string{"client.admin", "mon.", "osd.0", "mgr.x", "client.bootstrap-osd"} {
		if err := keyring.Remove(t.Context(), c, entity(t, name)); !errors.Is(err, keyring.ErrInvalid) {
			t.Errorf("Remove(%s) = %v, want invalid", name, err)
		}
	}
	if c.all(t) != before {
		t.Error("something was removed all the same")
	}
}

// dialAs connects as e with a keyring file such as a service has, and nothing else.
func (c testCluster) dialAs(t *testing.T, e keyring.Entity) *rbd.Cluster {
	t.Helper()
	k, err := keyring.Read(t.Context(), c, e)
	if err != nil || len(k) != 1 {
		t.Fatalf("Read(%s) = %v, %v", e, k, err)
	}
	dir := secureDir(t)
	file, err := keyring.WriteFile(filepath.Join(dir, "ceph."+e.String()+".keyring"), k.Bare(), me())
	if err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile(c.conf)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "ceph.conf")
	text := string(conf) + "\n[" + e.String() + "]\nkeyring = " + file.Path + "\n"
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dial(t, own, e.String())
}
