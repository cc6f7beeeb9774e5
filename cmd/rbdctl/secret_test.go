package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"rbdctl/internal/lab/labtest"
	"rbdctl/keyring"
	"rbdctl/libvirtsecret"
)

func TestSecretRegister(t *testing.T) {
	l := newSecretLab(t)
	planned := mustSecret[registeredJSON](t, l, "register", "--dry-run", l.entity)
	if !planned.Changed || !planned.DryRun || planned.Secrets[0].Action != libvirtsecret.ActionCreated {
		t.Errorf("dry run: %+v, want changed and created", planned)
	}
	first := mustSecret[registeredJSON](t, l, "register", l.entity)
	if diff := cmp.Diff(planned.Secrets, first.Secrets); diff != "" {
		t.Errorf("register did not do what its dry run said (-planned +done)\n%s", diff)
	}
	again := mustSecret[registeredJSON](t, l, "register", l.entity)
	if again.Changed || again.Secrets[0].Action != libvirtsecret.ActionUnchanged {
		t.Errorf("second register: %+v, want unchanged", again)
	}
	// A compute node has no administrator's key, and the entity's own in a file.
	node := l.confWith(t, "keyring = /nonexistent")
	out, errOut, status := l.runOn(t, node, "register", "--keyring", l.keyringFile(t), l.entity)
	if status != 0 || !strings.Contains(out, "unchanged") {
		t.Errorf("register --keyring: status %d, %s%s, want unchanged", status, out, errOut)
	}

	// The fingerprint is the one of the monitors' key, and in the list.
	entity, err := keyring.ParseEntity(l.entity)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := keyring.Read(t.Context(), labtest.Cluster(t), entity)
	if err != nil || len(entries) != 1 {
		t.Fatalf("keyring.Read: %d entries, %v", len(entries), err)
	}
	list := mustSecret[struct{ Secrets []listedRow }](t, l, "ls")
	found := false
	for _, s := range list.Secrets {
		if s.UUID == first.Secrets[0].UUID {
			found = s.Fingerprint == entries[0].Key.Fingerprint() && s.Value == libvirtsecret.ValueKey && s.Fingerprint == first.Secrets[0].Fingerprint
		}
	}
	if !found {
		t.Errorf("no secret %s with fingerprint %s in %+v", first.Secrets[0].UUID, entries[0].Key.Fingerprint(), list.Secrets)
	}
}

func TestSecretRegisterAdopts(t *testing.T) {
	l := newSecretLab(t)
	usage := l.entity + " secret"
	theirs := uuid.NewString()
	l.define(t, theirs, usage, nil)

	got := mustSecret[registeredJSON](t, l, "register", "--adopt", l.entity+"="+usage, l.entity)
	if s := got.Secrets[0]; s.UUID != theirs || s.Usage != usage || s.Action != libvirtsecret.ActionAdopted || !got.Changed {
		t.Errorf("adopted %+v, want %s with usage %q", s, theirs, usage)
	}
	if got := mustSecret[registeredJSON](t, l, "register", "--adopt", usage, l.entity); got.Changed {
		t.Errorf("second time: %+v, want no change", got)
	}
	if _, errOut, status := l.run(t, "verify", l.entity); status != 3 || !strings.Contains(errOut, "name it with --secret") || strings.Contains(errOut, l.uri) {
		t.Errorf("verify by entity: status %d: %s, want 3 naming --secret and not the one libvirt", status, errOut)
	}
	out, errOut, status := l.run(t, "verify", "--secret", usage, "--pool", l.pool, l.entity)
	if status != 0 || !strings.Contains(out, "ok") {
		t.Errorf("verify: status %d: %s%s", status, out, errOut)
	}

	// Its UUID is taken as far as anybody else is concerned.
	_, errOut, status = l.run(t, "register", "--uuid", theirs, l.entity)
	if status != 4 || !strings.Contains(errOut, usage) {
		t.Errorf("register with a taken uuid: status %d: %s", status, errOut)
	}
}

// One dead node among several: the others are done, and the failure is said.
func TestSecretNodes(t *testing.T) {
	l := newSecretLab(t)
	dead := "qemu+unix:///session?socket=" + filepath.Join(t.TempDir(), "none")
	out, errOut, status := l.run(t, "register", "--output", "json", "--uri", dead, "--uri", l.uri, l.entity)
	if status != 7 || !strings.Contains(errOut, dead) {
		t.Errorf("status %d, stderr %q, want 7 naming %s", status, errOut, dead)
	}
	var got registeredJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Secrets) != 1 || got.Secrets[0].URI != l.uri {
		t.Errorf("%v: %+v, want one secret at %s", err, got, l.uri)
	}
}

// A guest runs with the registered key, and holds on to the secret.
func TestSecretOfGuest(t *testing.T) {
	l := newSecretLab(t)
	registered := mustSecret[registeredJSON](t, l, "register", l.entity).Secrets[0]
	labtest.RBD(t, "create", "--size", "4M", l.pool+"/"+l.entity)
	t.Cleanup(func() { labtest.RBD(t, "rm", "--no-progress", l.pool+"/"+l.entity) })

	guest, err := l.libvirt.DomainCreateXML(l.guestXML(t, registered.UUID), libvirt.DOMAIN_START_PAUSED)
	if err != nil {
		t.Fatalf("no guest starts with the registered key: %v", err)
	}
	refused := func(args ...string) {
		t.Helper()
		if _, errOut, status := l.run(t, args...); status != 5 || !strings.Contains(errOut, "domain "+l.entity) {
			t.Errorf("%q with a guest: status %d: %s, want 5 naming it", args, status, errOut)
		}
	}
	refused("rm", l.entity)
	refused("rm", "--dry-run", registered.Usage)
	if err := guest.Destroy(); err != nil {
		t.Fatal(err)
	}
	_ = guest.Free()

	stopped, err := l.libvirt.DomainDefineXML(l.guestXML(t, registered.UUID))
	if err != nil {
		t.Fatal(err)
	}
	refused("rm", registered.UUID)
	if err := stopped.Undefine(); err != nil {
		t.Fatal(err)
	}
	_ = stopped.Free()
	if out, errOut, status := l.run(t, "rm", l.entity); status != 0 || !strings.Contains(out, "removed") {
		t.Errorf("rm: status %d: %s%s", status, out, errOut)
	}
	if _, _, status := l.run(t, "rm", l.entity); status != 3 {
		t.Errorf("second rm: status %d, want 3", status)
	}
}

func TestSecretBadInput(t *testing.T) {
	l := newSecretLab(t)
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		text   string
	}{
		{"id instead of entity", []string{"register", "cinder"}, 2, "client.cinder"},
		{"the cluster's own", []string{"register", "client.admin"}, 2, "not for guests"},
		{"no such entity", []string{"register", l.entity + "x"}, 3, "keyring issue"},
		{"neither of the two in the file", []string{"register", "--keyring", l.keyringFile(t)}, 3, "client.cinder"},
		{"flag after operand", []string{"register", l.entity, "--private"}, 2, "--private"},
		{"whose uuid", []string{"register", "--uuid", uuid.NewString(), l.entity, "client.nova"}, 2, "whose"},
		{"another's uuid", []string{"register", "--uuid", "client.x=" + uuid.NewString(), l.entity}, 2, "client.x"},
		{"bad uuid", []string{"register", "--uuid", "1", l.entity}, 2, "uuid"},
		{"no keyring file", []string{"register", "--keyring", "/nonexistent", l.entity}, 3, "/nonexistent"},
		{"bad keyring file", []string{"register", "--keyring", l.conf, l.entity}, 2, "line"},
		{"nothing to remove", []string{"rm"}, 2, "operands"},
		{"operand of ls", []string{"ls", "x"}, 2, "operands"},
		{"empty pool", []string{"verify", "--pool", "", l.entity}, 2, "--pool"},
		{"bad fsid", []string{"verify", "--fsid", "1", l.entity}, 2, "--fsid"},
		{"no uri", []string{"ls", "--uri", "compute1"}, 2, "compute1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errOut, status := l.run(t, tt.args...)
			if status != tt.status || !strings.Contains(errOut, tt.text) || strings.Count(errOut, "\n") != 1 {
				t.Errorf("status %d, want %d; stderr %q, want one line with %q", status, tt.status, errOut, tt.text)
			}
			if out != "" {
				t.Errorf("printed a result: %s", out)
			}
		})
	}
}

func TestChooseSecret(t *testing.T) {
	info := func(id, usage string) libvirtsecret.Info {
		return libvirtsecret.Info{Secret: libvirtsecret.Secret{UUID: id, Usage: usage}}
	}
	const a, b = "457e8f2c-7b1d-4a6e-9a0b-3f5c1d2e4f60", "557e8f2c-7b1d-4a6e-9a0b-3f5c1d2e4f60"
	secrets := []libvirtsecret.Info{
		info("1", libvirtsecret.UsageFor(a, "client.cinder")),
		info("2", libvirtsecret.UsageFor(b, "client.cinder")),
		info("3", libvirtsecret.UsageFor(a, "client.nova")),
		info("4", "client.glance secret"),
		info("7f0d0f89-e6e7-4db1-9553-4672839ec5bb", "another secret"),
	}
	for _, tt := range []struct {
		ref, fsid, want string
		status          int
	}{
		{ref: "4", want: "4"},
		{ref: "client.glance secret", want: "4"},
		{ref: "client.nova", want: "3"},
		{ref: "client.cinder", fsid: b, want: "2"},
		{ref: "7F0D0F89-E6E7-4DB1-9553-4672839EC5BB", want: "7f0d0f89-e6e7-4db1-9553-4672839ec5bb"},
		{ref: "client.cinder", status: 2},
		{ref: "client.nova", fsid: b, status: 3},
		{ref: "client.glance", status: 3},
	} {
		got, err := chooseSecret(secrets, tt.ref, tt.fsid)
		if got.UUID != tt.want || tt.status != 0 && exitStatus(err) != tt.status || tt.status == 0 && err != nil {
			t.Errorf("chooseSecret(%q, %q) = %q, %v, want %q, status %d", tt.ref, tt.fsid, got.UUID, err, tt.want, tt.status)
		}
	}
}
