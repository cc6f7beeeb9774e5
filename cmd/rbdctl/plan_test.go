package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/backends/integration"
	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

// wishLab is a lab of the test's own, for the standard names are taken but once on
// a cluster.
type wishLab struct {
	*lab.Lab
	dir string // for files
}

// tool runs a program of the distribution's on the lab.
func (l *wishLab) tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := lab.Command(context.Background(), l.ConfFile(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// file writes an rbdctl.yaml.
func (l *wishLab) file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(l.dir, "rbdctl.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run is rbdctl with these arguments, on the lab and without a file of the
// machine's. It never prints a key.
func (l *wishLab) run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return runWhole(t, append([]string{"--ceph-conf", l.ConfFile()}, args...)...)
}

func runWhole(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), append([]string{"rbdctl"}, args...), strings.NewReader("n\n"), &out, &errOut)
	if anyKey.Match(out.Bytes()) || anyKey.Match(errOut.Bytes()) {
		t.Errorf("%q printed a key", args)
	}
	return out.String(), errOut.String(), status
}

// decode runs a command with JSON output and expects its status.
func decode[T any](t *testing.T, l *wishLab, want int, args ...string) (v T) {
	t.Helper()
	out, errOut, status := l.run(t, append([]string{"--output", "json"}, args...)...)
	if status != want {
		t.Fatalf("%q: status %d, want %d: %s", args, status, want, errOut)
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%q: %v in %q", args, err, out)
	}
	return v
}

// toDo are the items that a plan does not keep.
func toDo(items []integration.Item) []string {
	out := []string{}
	for _, i := range items {
		if i.Action != integration.Keep {
			out = append(out, string(i.Action)+" "+string(i.Part)+" "+i.Name)
		}
	}
	return out
}

func TestIntegration(t *testing.T) {
	l := &wishLab{Lab: labtest.Lab(t, lab.Options{}), dir: t.TempDir()}
	t.Setenv("RBDCTL_CONFIG", os.DevNull) // an empty file
	t.Run("without a libvirt", func(t *testing.T) {
		_, errOut, status := l.run(t, "plan")
		if status != 2 || !strings.Contains(errOut, "no libvirt is known") {
			t.Errorf("status %d, stderr %q", status, errOut)
		}
	})
	t.Setenv("RBDCTL_LIBVIRT_URI", l.LibvirtURI())
	plan := decode[integrationJSON](t, l, 2, "plan")
	if plan.Result != "changes" || !plan.Changed || plan.Config != os.DevNull || len(plan.Items) != 12 {
		t.Errorf("first plan: %+v", plan)
	}
	out, errOut, status := l.run(t, "plan")
	for _, line := range []string{"\n+ pool images: ", "\n+ entity client.glance\n    + mon 'profile rbd'\n", "\n+ secret client.nova: uuid ", "11 to make, 1 to change"} {
		if status != 2 || !strings.Contains("\n"+out, line) {
			t.Errorf("plan: status %d, no %q in\n%s%s", status, line, out, errOut)
		}
	}
	done := decode[appliedJSON](t, l, 0, "apply")
	if diff := cmp.Diff(toDo(plan.Items), toDo(done.Items)); diff != "" || !done.Changed {
		t.Errorf("apply did not do what was planned (-planned +done)\n%s", diff)
	}
	l.calm(t)
	t.Run("drift", func(t *testing.T) { testDrift(t, l) })
	t.Run("file", func(t *testing.T) { testWishFile(t, l) })
	t.Run("refused", func(t *testing.T) { testPlanRefused(t, l) })
	t.Run("nodes", func(t *testing.T) { testDeadNode(t, l) })
	l.calm(t)
}

// calm expects that there is nothing to do, for all three commands.
func (l *wishLab) calm(t *testing.T) {
	t.Helper()
	if plan := decode[integrationJSON](t, l, 0, "plan"); plan.Result != "none" || plan.Changed {
		t.Errorf("plan: %s, %q", plan.Result, toDo(plan.Items))
	}
	if done := decode[appliedJSON](t, l, 0, "apply"); done.Changed || len(toDo(done.Items)) > 0 {
		t.Errorf("apply changed %q", toDo(done.Items))
	}
	if status := decode[statusJSON](t, l, 0, "status"); !status.AsWanted || len(status.Findings) != 11 {
		t.Errorf("status: %+v", status)
	}
}

// Caps that somebody changed are one change, and are put right.
func testDrift(t *testing.T, l *wishLab) {
	l.tool(t, "ceph", "auth", "caps", "client.cinder", "mon", "allow r", "osd", "profile rbd pool=volumes, profile rbd-read-only pool=images")
	out, errOut, status := l.run(t, "plan")
	for _, line := range []string{"~ entity client.cinder\n", "    + mon 'profile rbd'\n", "    - mon 'allow r'\n", "\n0 to make, 1 to change, 10 as wanted\n"} {
		if status != 2 || !strings.Contains(out, line) {
			t.Errorf("plan: status %d, no %q in\n%s%s", status, line, out, errOut)
		}
	}
	out, _, status = l.run(t, "status")
	if status != 1 || !strings.Contains(out, "lacks mon 'profile rbd'") {
		t.Errorf("status: %d\n%s", status, out)
	}
	if out, errOut, status := l.run(t, "apply"); status != 0 || !strings.Contains(out, "\n1 of 11 changed\n") {
		t.Errorf("apply: %d\n%s%s", status, out, errOut)
	}
	l.calm(t)
}

// The file changes what is wanted; flags and variables win over it.
func testWishFile(t *testing.T, l *wishLab) {
	path := l.file(t, "cluster: {ceph_conf: /nonexistent/ceph.conf, entity: client.nobody}\nnodes: {elsewhere: {libvirt: 'qemu+tls://nowhere.invalid/system'}}\n"+
		"pg: {target: 400}\npools: {vms: {quota: 1T}}\n")
	plan := decode[integrationJSON](t, l, 2, "--entity", "client.admin", "plan", "--config", path)
	if diff := cmp.Diff([]string{"change pool vms"}, toDo(plan.Items)); diff != "" {
		t.Errorf("plan (-want +got)\n%s", diff)
	}
	for _, i := range plan.Items {
		if i.Part == integration.Pool && (len(i.Kept) != 1 || i.Kept[0].Field != "pg_num") {
			t.Errorf("%s keeps %+v, want its pg_num", i, i.Kept)
		}
	}
	_, errOut, status := l.run(t, "--entity", "client.admin", "plan", "--config", path)
	if status != 2 || !strings.Contains(errOut, "the nodes in "+path+" don't count") {
		t.Errorf("status %d, stderr %q", status, errOut)
	}
	if _, errOut, status := l.run(t, "plan", "--config", path); status <= 3 && status != 1 || !strings.Contains(errOut, "connect as client.nobody") {
		t.Errorf("as the file's entity: status %d, %s", status, errOut)
	}
	path = l.file(t, "cluster: {ceph_conf: "+l.ConfFile()+"}\npools: {vms: {quota: 1T}}\n")
	if _, errOut, status := runWhole(t, "plan", "--config", path); status != 2 {
		t.Errorf("with the file's ceph.conf: status %d, %s", status, errOut)
	}
}

// What is refused is told, with its reason, and nothing of the plan is done.
func testPlanRefused(t *testing.T, l *wishLab) {
	l.tool(t, "ceph", "osd", "pool", "create", "theirs", "1")
	l.tool(t, "ceph", "osd", "pool", "application", "enable", "theirs", "cephfs")
	path := l.file(t, "pools: {images: {name: theirs}, vms: {name: more}}\n")
	plan := decode[integrationJSON](t, l, 3, "plan", "--config", path)
	if plan.Result != "refused" || len(plan.Refusals) != 1 || plan.Refusals[0].Name != "theirs" {
		t.Errorf("plan: %s, %+v", plan.Result, plan.Refusals)
	}
	out, errOut, status := l.run(t, "plan", "--config", path)
	if status != 3 || !strings.Contains(out, "\n! pool theirs: it belongs to application cephfs: choose another name") || strings.Contains(errOut, "rbdctl:") {
		t.Errorf("plan: status %d\n%s%s", status, out, errOut)
	}
	if _, errOut, status := l.run(t, "apply", "--config", path); status != 5 || !strings.Contains(errOut, "pool theirs: it belongs to application cephfs") {
		t.Errorf("apply: status %d, %s", status, errOut)
	}
	if out, _, status := l.run(t, "status", "--config", path); status != 1 || !strings.Contains(out, "refused") {
		t.Errorf("status: status %d\n%s", status, out)
	}
}

// A node that is down is 7, for a plan too, and stops no other.
func testDeadNode(t *testing.T, l *wishLab) {
	dead := "qemu+unix:///session?socket=" + filepath.Join(l.dir, "none")
	for _, command := range []string{"plan", "apply", "status"} {
		out, errOut, status := l.run(t, command, "--uri", dead, "--uri", l.LibvirtURI())
		if status != 7 || !strings.Contains(out, dead) || !strings.Contains(errOut, "rbdctl: ") {
			t.Errorf("%s: status %d\n%s%s", command, status, out, errOut)
		}
	}
}

// A failure of plan never looks like a plan.
func TestPlanStatuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("pools:\n  volumes:\n    sizee: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "ceph.conf")
	if err := os.WriteFile(conf, []byte("[global]\nfsid = 9f1d6a52-8a0c-4d7e-b1a4-0c9e5a7f2b11\nmon_host = 127.0.0.1:1\nclient_mount_timeout = 1\nkeyring = "+dir+"/none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for _, tt := range []struct {
		name                string
		args                []string // after the command
		plan, apply, status int
		stderr              string
	}{
		{"malformed file", []string{"--config", bad}, 1, 2, 2, bad + `:3:5: unknown field "sizee" of pools.volumes`},
		{"no such file", []string{"--config", missing}, 1, 3, 3, missing},
		{"no such ceph.conf", []string{"--config", os.DevNull, "--ceph-conf", missing}, 1, 3, 3, missing},
		{"unknown flag", []string{"--bogus"}, 1, 2, 2, "bogus"},
		{"wrong value of a global flag", []string{"--output", "xml"}, 1, 2, 2, "--output xml"},
		{"operand", []string{"now"}, 1, 2, 2, "got 1 operands"},
		{"no monitor", []string{"--config", os.DevNull, "--ceph-conf", conf}, 7, 7, 7, "client.admin"},
	} {
		for command, want := range map[string]int{"plan": tt.plan, "apply": tt.apply, "status": tt.status} {
			t.Run(tt.name+"/"+command, func(t *testing.T) {
				_, errOut, status := runWhole(t, append([]string{command}, tt.args...)...)
				if status != want || !strings.Contains(errOut, tt.stderr) || strings.Count(errOut, "rbdctl: ") != 1 {
					t.Errorf("status %d, want %d, stderr %q", status, want, errOut)
				}
			})
		}
	}
	out, _, _ := runWhole(t, "status", "--config", os.DevNull, "--ceph-conf", conf)
	if !strings.Contains(out, "unreachable") {
		t.Errorf("status without a monitor shows\n%s", out)
	}
	for _, args := range [][]string{{"--bogus", "plan"}, {"--timeout", "0s", "plan"}, {"--output", "json", "plan", "now"}} {
		if _, errOut, status := runWhole(t, args...); status != 1 || errOut == "" {
			t.Errorf("%q: status %d, %s", args, status, errOut)
		}
	}
}

// Only a yes performs a plan.
func TestAskFor(t *testing.T) {
	plan := integration.Plan{Items: []integration.Item{{Part: integration.Pool, Name: "volumes", Action: integration.Create, Want: "32 PGs"}}}
	for answer, want := range map[string]error{
		"y\n": nil, "YES\n": nil, " yes ": nil, "": errNotConfirmed, "\n": errNotConfirmed, "n\n": errNotConfirmed, "yess\n": errNotConfirmed,
	} {
		var out, errOut bytes.Buffer
		err := newEnv(strings.NewReader(answer), &out, &errOut).askFor(t.Context(), plan)
		if err != want || out.Len() > 0 || !strings.Contains(errOut.String(), "+ pool volumes: 32 PGs\n") { //nolint:errorlint // the very error
			t.Errorf("answer %q: %v, want %v; stdout %q, stderr %q", answer, err, want, out.String(), errOut.String())
		}
	}
	if got := exitStatus(errNotConfirmed); got != 1 {
		t.Errorf("status %d, want 1", got)
	}
}
