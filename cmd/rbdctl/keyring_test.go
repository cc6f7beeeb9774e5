package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/keyring"
)

// keyringRun runs a command below keyring, as typed, and returns what it printed
// and its exit status. It fails the test when a key is in what it printed.
func keyringRun(t *testing.T, conf string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errOut bytes.Buffer
	e := newEnv(strings.NewReader(""), &out, &errOut)
	app := newApp(e)
	group := keyringCommand(e)
	prepare(e, "rbdctl "+group.Name, group)
	app.Commands = []*cli.Command{group}
	if err := app.RunContext(t.Context(), append([]string{"rbdctl", "--ceph-conf", conf, "keyring"}, args...)); err != nil {
		status = e.fail(err)
	}
	if key := regexp.MustCompile(`A[Qg][A-Za-z0-9+/]{30,}={0,2}`).FindString(out.String() + errOut.String()); key != "" {
		t.Errorf("keyring %q: a key was printed", args)
	}
	return out.String(), errOut.String(), status
}

// Each of these is refused before the cluster is asked: there is none.
func TestKeyringRefuses(t *testing.T) {
	for _, tt := range []struct {
		args    string
		status  int
		message string
	}{
		{"issue --layout both", 2, `unknown layout "both": want separate or shared-cinder`},
		{"issue --pool vms", 2, `--pool "vms": want ROLE=NAME, and volumes, vms, images or backups for the role`},
		{"issue --pool disks=x", 2, `--pool "disks=x": want ROLE=NAME, and volumes, vms, images or backups for the role`},
		{"issue --pool vms=a --pool vms=b", 2, `--pool "vms=b": vms has a name already`},
		{"issue --pool vms=a/b", 2, `pool name "a/b": quotes, '/' and '@' can't be part of a cap`},
		{"issue cinder", 2, `entity "cinder": want TYPE.ID, such as client.cinder`},
		{"issue client.admin", 2, "client.admin belongs to the cluster itself: it is neither changed nor given out"},
		{"issue client.other", 2, "client.other is not an entity of layout separate, which has client.cinder, client.cinder-backup, client.glance, client.nova, client.rbdctl: others are neither changed nor given out"},
		{"issue --layout shared-cinder client.nova", 2, "client.nova is not an entity of layout shared-cinder, which has client.cinder, client.cinder-backup, client.glance, client.rbdctl: others are neither changed nor given out"},
		{"issue client.nova --dry-run", 2, `flag --dry-run after operand "client.nova": flags come before operands`},
		{"ls client.nova", 2, "got 1 operands, want none: see `rbdctl keyring ls --help`"},
		{"export", 2, "got 0 operands, want ENTITY: see `rbdctl keyring export --help`"},
		{"export osd.0", 2, "osd.0 belongs to the cluster itself: it is neither changed nor given out"},
		{"export mon.", 2, "mon. belongs to the cluster itself: it is neither changed nor given out"},
		{"export client.bootstrap-osd", 2, "client.bootstrap-osd belongs to the cluster itself: it is neither changed nor given out"},
		{"export client.сinder", 2, `entity "client.сinder": an ID is letters, digits, '_', '.' and '-' of ASCII, and begins with a letter or digit`},
		{"export --out - client.cinder", 2, "--out -: a keyring is never printed: name a file"},
		{"export --out /dev/stdout client.cinder", 2, "--out /dev/stdout: a keyring is never printed: name a file"},
		{"export --out a --dir b client.cinder", 2, "--out and --dir: want one of them"},
		{"export --owner no-such-user client.cinder", 3, `client.cinder: this system has no user "no-such-user": name who is to own the file with --owner and --group`},
		{"rm client.admin", 2, "client.admin belongs to the cluster itself: it is neither changed nor given out"},
		{"rm client.other", 2, "client.other is not an entity of any layout, which has client.cinder, client.cinder-backup, client.glance, client.nova, client.rbdctl: others are neither changed nor given out"},
		{"give", 2, `unknown command "give": rbdctl keyring has issue, ls, diff, export, rm`},
	} {
		out, errOut, status := keyringRun(t, "/nonexistent/ceph.conf", strings.Fields(tt.args)...)
		if want := "rbdctl: " + tt.message + "\n"; status != tt.status || errOut != want || out != "" {
			t.Errorf("keyring %s: status %d, %q, %q\nwant %d, %q", tt.args, status, out, errOut, tt.status, want)
		}
	}
}

// keyringLab is a cluster of the test's own, since the entities have fixed names.
type keyringLab struct{ conf string }

func TestKeyringOnCluster(t *testing.T) {
	k := keyringLab{conf: labtest.Lab(t, lab.Options{NoLibvirt: true}).ConfFile()}
	t.Run("NoPools", k.testNoPools)
	for _, pool := range []string{"volumes", "vms", "images", "backups"} {
		k.ceph(t, map[string]any{"prefix": "osd pool create", "pool": pool, "pg_num": 1})
	}
	t.Run("Issue", k.testIssue)
	t.Run("Drift", k.testDrift)
	t.Run("Ls", k.testLs)
	t.Run("Export", k.testExport)
	t.Run("Rm", k.testRm)
}

// ceph runs a command of the monitors as an administrator.
func (k keyringLab) ceph(t *testing.T, cmd map[string]any) {
	t.Helper()
	e := newEnv(strings.NewReader(""), nil, nil)
	e.confFile = k.conf
	cluster, err := e.cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	text, err := json.Marshal(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.MonCommand(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// ok runs a command that must succeed and returns its output.
func (k keyringLab) ok(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, status := keyringRun(t, k.conf, args...)
	if status != 0 {
		t.Fatalf("keyring %q: status %d, %s", args, status, stderr)
	}
	return stdout, stderr
}

// plan runs issue or diff with JSON output.
func (k keyringLab) plan(t *testing.T, args ...string) (result planResult, actions string) {
	t.Helper()
	stdout, _ := k.ok(t, append([]string{args[0], "--output", "json"}, args[1:]...)...)
	var got struct {
		Changed  bool `json:"changed"`
		DryRun   bool `json:"dry_run"`
		Entities []struct {
			Entity      string            `json:"entity"`
			Action      string            `json:"action"`
			KeyType     string            `json:"key_type"`
			Fingerprint string            `json:"fingerprint"`
			Caps        map[string]string `json:"caps"`
		} `json:"entities"`
	}
	dec := json.NewDecoder(strings.NewReader(stdout))
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	var words []string
	for _, e := range got.Entities {
		words = append(words, e.Action+" "+strings.TrimPrefix(e.Entity, "client."))
		if e.Action != "create" && (e.KeyType != "aes" || !strings.HasPrefix(e.Fingerprint, "sha256:")) || e.Caps["mon"] == "" {
			t.Errorf("%s: key type %q, fingerprint %q, caps %q", e.Entity, e.KeyType, e.Fingerprint, e.Caps)
		}
	}
	return planResult{Changed: got.Changed, DryRun: got.DryRun}, strings.Join(words, ", ")
}

func (k keyringLab) testNoPools(t *testing.T) {
	_, stderr, status := keyringRun(t, k.conf, "issue", "client.nova")
	if want := "rbdctl: pools that the caps name do not exist: images, vms: create them with `rbdctl pools init`, or name others\n"; status != 3 || stderr != want {
		t.Errorf("issue: status %d, %q; want 3, %q", status, stderr, want)
	}
	stdout, _ := k.ok(t, "ls")
	if strings.Count(stdout, "absent") != 5 {
		t.Errorf("ls = %s", stdout)
	}
	_, stderr, status = keyringRun(t, k.conf, "export", "--out", filepath.Join(t.TempDir(), "k"), "--owner", "root", "client.nova")
	if want := "rbdctl: client.nova does not exist: make it with rbdctl keyring issue client.nova\n"; status != 3 || stderr != want {
		t.Errorf("export: status %d, %q; want 3, %q", status, stderr, want)
	}
}

func (k keyringLab) testIssue(t *testing.T) {
	for _, tt := range []struct {
		args    string
		changed bool
		actions string
	}{
		{"issue --dry-run", true, "create cinder, create cinder-backup, create glance, create nova, create rbdctl"},
		{"issue client.nova client.glance", true, "create glance, create nova"},
		{"diff", true, "create cinder, create cinder-backup, keep glance, keep nova, create rbdctl"},
		{"issue", true, "create cinder, create cinder-backup, keep glance, keep nova, create rbdctl"},
		{"issue", false, "keep cinder, keep cinder-backup, keep glance, keep nova, keep rbdctl"},
		{"issue --layout shared-cinder --dry-run", true, "modify cinder, keep cinder-backup, keep glance, keep rbdctl"},
		{"diff", false, "keep cinder, keep cinder-backup, keep glance, keep nova, keep rbdctl"},
	} {
		result, actions := k.plan(t, strings.Fields(tt.args)...)
		if result.Changed != tt.changed || actions != tt.actions {
			t.Errorf("keyring %s: changed %v, %s\nwant %v, %s", tt.args, result.Changed, actions, tt.changed, tt.actions)
		}
	}
	stdout, stderr := k.ok(t, "issue")
	if strings.Count(stdout, "as wanted") != 5 || stderr != "" {
		t.Errorf("issue = %s%s", stdout, stderr)
	}
}

func (k keyringLab) testDrift(t *testing.T) {
	k.ceph(t, map[string]any{"prefix": "auth caps", "entity": "client.cinder", "caps": []string{
		"mon", "allow profile rbd", "osd", "profile rbd pool=volumes,profile rbd pool='vms'", "mgr", "profile rbd pool = volumes",
	}})
	want := "client.cinder\n  - osd profile rbd pool=vms\n  + osd profile rbd-read-only pool=images\n"
	stdout, _, status := keyringRun(t, k.conf, "diff", "--exit-code")
	if status != 1 || stdout != want {
		t.Errorf("diff: status %d, %q; want 1, %q", status, stdout, want)
	}
	if stdout, _, status := keyringRun(t, k.conf, "diff"); status != 0 || stdout != want {
		t.Errorf("diff: status %d, %q; want 0, %q", status, stdout, want)
	}
	stdout, stderr := k.ok(t, "issue")
	if !strings.Contains(stdout, "caps replaced") || !strings.Contains(stderr, "client.cinder no longer has osd 'profile rbd pool=vms'; to have it back: ceph auth caps client.cinder mon 'profile rbd' mgr ") {
		t.Errorf("issue = %s%s", stdout, stderr)
	}
	if stdout, _, status := keyringRun(t, k.conf, "diff", "--exit-code"); status != 0 || stdout != "" {
		t.Errorf("diff: status %d, %q; want nothing", status, stdout)
	}
}

func (k keyringLab) testLs(t *testing.T) {
	k.ceph(t, map[string]any{"prefix": "auth get-or-create", "entity": "client.theirs", "caps": []string{"mon", "allow r", "mds", "allow rw path=/x"}})
	stdout, _ := k.ok(t, "ls", "--output", "json", "--all")
	var list struct {
		Entities []struct {
			Entity, State, Fingerprint string
			KeyType                    string `json:"key_type"`
			Caps                       map[string]string
		}
	}
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatal(err)
	}
	states := make(map[string]string)
	for _, r := range list.Entities {
		states[r.Entity] = fmt.Sprintf("%s %s %v", r.State, r.KeyType, r.Fingerprint != "")
	}
	for name, want := range map[string]string{
		"client.cinder": "ok aes true", "client.theirs": "other aes false", "client.admin": "cluster aes false", "osd.0": "cluster aes false", "client.bootstrap-osd": "cluster aes false",
	} {
		if states[name] != want {
			t.Errorf("ls: %s is %q, want %q", name, states[name], want)
		}
	}
	stdout, _ = k.ok(t, "ls")
	if strings.Contains(stdout, "theirs") || strings.Contains(stdout, "admin") || !strings.Contains(stdout, "osd profile rbd-read-only pool=images") {
		t.Errorf("ls = %s", stdout)
	}
}

// exportOwner is somebody else, if the caller is root: nobody else can give
// files away.
func exportOwner() (uid, gid string) {
	if os.Geteuid() == 0 {
		return "12345", "23456"
	}
	return fmt.Sprint(os.Geteuid()), fmt.Sprint(os.Getegid())
}

func (k keyringLab) testExport(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ceph.client.cinder.keyring")
	uid, gid := exportOwner()
	args := []string{"export", "--output", "json", "--dir", dir, "--owner", uid, "--group", gid, "client.cinder"}
	for _, changed := range []bool{true, false} {
		stdout, stderr := k.ok(t, args...)
		var got exported
		if err := json.Unmarshal([]byte(strings.Replace(stdout, `"entity": "client.cinder",`, "", 1)), &got); err != nil {
			t.Fatal(err)
		}
		if got.Path != path || got.Mode != "0640" || got.Owner != uid || got.Group != gid || got.KeyType != keyring.AES || got.Changed != changed || stderr != "" {
			t.Errorf("export = %s%s, want changed %v", stdout, stderr, changed)
		}
		k.checkExported(t, path, got)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr := k.ok(t, args...); !strings.HasPrefix(stderr, `{"warning":"`+path+" had mode 0644 before: ") {
		t.Errorf("no warning of an exposed key: %q", stderr)
	}
	if _, stderr, status := keyringRun(t, k.conf, "export", "--dir", filepath.Join(dir, "none"), "--owner", "root", "client.cinder"); status != 3 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("export to nowhere: status %d, %q", status, stderr)
	}
	if _, stderr, status := keyringRun(t, k.conf, "export", "--owner", "root", "client.theirs"); status != 2 || !strings.Contains(stderr, "is not an entity of layout separate") {
		t.Errorf("export of a foreign entity: status %d, %q", status, stderr)
	}
}

// checkExported connects with the file, as its service would.
func (k keyringLab) checkExported(t *testing.T, path string, got exported) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); info.Mode() != 0o640 || fmt.Sprint(st.Uid) != got.Owner || fmt.Sprint(st.Gid) != got.Group {
		t.Errorf("%s: mode %v, owner %d:%d", path, info.Mode(), st.Uid, st.Gid)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	entries, err := keyring.Parse(file)
	if err != nil || len(entries) != 1 || entries[0].Key.Fingerprint() != got.Fingerprint || len(entries[0].Caps) != 0 {
		t.Errorf("%s has %v, %v", path, entries, err)
	}
	conf, err := os.ReadFile(k.conf)
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "ceph.conf")
	if err := os.WriteFile(own, append(conf, "\n[client.cinder]\nkeyring = "+path+"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, status := keyringRun(t, own, "ls", "--entity", "client.cinder") // connects, and may not do this
	if status != 6 || !strings.Contains(stderr, "auth get") {
		t.Errorf("as client.cinder: status %d, %q; want 6", status, stderr)
	}
}

func (k keyringLab) testRm(t *testing.T) {
	for _, tt := range []struct {
		args, stdout, message string
		status                int
	}{
		{"rm client.nova", "", "this removes client.nova for good: repeat its name with --confirm client.nova", 2},
		{"rm --confirm client.cinder client.nova", "", `the name to confirm is client.nova, not "client.cinder": nothing was removed`, 2},
		{"rm --dry-run client.nova", "would be removed: client.nova\n", "keep their tickets", 0},
		{"rm --confirm client.nova client.nova", "removed client.nova\n", "clients of client.nova keep their tickets for hours; then their disks hang", 0},
		{"rm --confirm client.nova client.nova", "", "client.nova does not exist", 3},
	} {
		stdout, stderr, status := keyringRun(t, k.conf, strings.Fields(tt.args)...)
		if status != tt.status || stdout != tt.stdout || !strings.Contains(stderr, tt.message) {
			t.Errorf("keyring %s: status %d, %q, %q\nwant %d, %q, %q", tt.args, status, stdout, stderr, tt.status, tt.stdout, tt.message)
		}
	}
	if _, actions := k.plan(t, "diff"); actions != "keep cinder, keep cinder-backup, keep glance, create nova, keep rbdctl" {
		t.Errorf("after rm: %s", actions)
	}
}
