package keyring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
)

func TestDiff(t *testing.T) {
	desired, err := keyring.Standard(keyring.Separate, keyring.Pools{})
	if err != nil {
		t.Fatal(err)
	}
	current := keyring.Keyring{
		{Entity: entity(t, "client.admin"), Caps: parseCaps(t, "mon 'allow *'")},
		{Entity: entity(t, "client.cinder"), Key: parseKey(t, aesKey), Caps: parseCaps(t,
			"osd 'profile rbd-read-only  pool=images,profile rbd pool volumes' mgr 'profile rbd pool = volumes' mon 'allow profile rbd'")},
		{Entity: entity(t, "client.nova"), Key: parseKey(t, aesKey), Caps: parseCaps(t, "mon 'allow r' osd 'allow rwx'")},
		{Entity: entity(t, "client.foreign"), Key: parseKey(t, aesKey), Caps: parseCaps(t, "mon 'allow *'")},
	}
	plan, err := keyring.Diff(current, desired)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range plan {
		got = append(got, fmt.Sprintf("%s %s", c.Action, c.Entity))
	}
	want := "keep client.cinder, create client.cinder-backup, create client.glance, modify client.nova, create client.rbdctl"
	if strings.Join(got, ", ") != want || !plan.Changed() {
		t.Errorf("Diff = %q, want %s", got, want)
	}
	if keyring.Plan(plan[:1]).Changed() {
		t.Error("a plan that keeps everything says that it changes something")
	}
}

func TestDiffRefuses(t *testing.T) {
	caps := parseCaps(t, "mon 'profile rbd'")
	for _, tt := range []struct {
		name    string
		desired []keyring.Params
		message string
	}{
		{"admin", []keyring.Params{{Entity: entity(t, "client.admin"), Caps: caps}}, "entity client.admin belongs to the cluster itself: it is neither changed nor given out"},
		{"mon.", []keyring.Params{{Entity: entity(t, "mon."), Caps: caps}}, "entity mon. belongs to the cluster itself: it is neither changed nor given out"},
		{"osd", []keyring.Params{{Entity: entity(t, "osd.0"), Caps: caps}}, "entity osd.0 belongs to the cluster itself: it is neither changed nor given out"},
		{"bootstrap", []keyring.Params{{Entity: entity(t, "client.bootstrap-rbd"), Caps: caps}}, "entity client.bootstrap-rbd belongs to the cluster itself: it is neither changed nor given out"},
		{"none", []keyring.Params{{Caps: caps}}, `entity "": want TYPE.ID, such as client.cinder`},
		{"no caps", []keyring.Params{{Entity: entity(t, "client.a")}}, "entity client.a is to have no caps: it could not even connect"},
		{"twice", []keyring.Params{{Entity: entity(t, "client.a"), Caps: caps}, {Entity: entity(t, "client.a"), Caps: caps}}, "entity client.a is wanted twice"},
	} {
		_, err := keyring.Diff(nil, tt.desired)
		if !errors.Is(err, keyring.ErrInvalid) || err.Error() != tt.message {
			t.Errorf("%s: Diff = %v, want %s", tt.name, err, tt.message)
		}
		if _, err := keyring.Issue(t.Context(), unreachable{t}, tt.desired, keyring.Options{}); !errors.Is(err, keyring.ErrInvalid) {
			t.Errorf("%s: Issue = %v, want invalid", tt.name, err)
		}
	}
	if err := keyring.Remove(t.Context(), unreachable{t}, entity(t, "client.admin")); !errors.Is(err, keyring.ErrInvalid) {
		t.Errorf("Remove of client.admin = %v, want invalid", err)
	}
}

// unreachable are monitors that must not be asked.
type unreachable struct{ t *testing.T }

func (u unreachable) MonCommand(_ context.Context, cmd []byte) ([]byte, error) {
	u.t.Errorf("the monitors were asked: %s", cmd)
	return nil, fault.New(fault.ErrUnavailable, "unreachable")
}

// monitors answer a command with what script has for its prefix. It stands for
// releases that no test machine has, and for what goes wrong between two calls.
type monitors struct {
	t      *testing.T
	script map[string][]string // answers in turn, the last one stays; "!" is an error
	asked  []map[string]any
}

func (m *monitors) MonCommand(_ context.Context, cmd []byte) ([]byte, error) {
	var asked map[string]any
	if err := json.Unmarshal(cmd, &asked); err != nil {
		m.t.Fatal(err)
	}
	m.asked = append(m.asked, asked)
	prefix := fmt.Sprint(asked["prefix"])
	answers := m.script[prefix]
	if len(answers) == 0 {
		m.t.Fatalf("no answer to %s", cmd)
	}
	if len(answers) > 1 {
		m.script[prefix] = answers[1:]
	}
	switch answers[0] {
	case "!ENOENT":
		return nil, fault.New(fault.ErrNotFound, "failed to find it in keyring")
	case "!EINVAL":
		return nil, fault.New(fault.ErrInvalid, "exists but cap osd does not match")
	}
	return []byte(answers[0]), nil
}

// did returns the commands of a prefix.
func (m *monitors) did(prefix string) (cmds []map[string]any) {
	for _, c := range m.asked {
		if c["prefix"] == prefix {
			cmds = append(cmds, c)
		}
	}
	return cmds
}

const (
	pools    = `["volumes","vms","images","backups"]`
	observed = `[{"entity":"client.a","key":"` + aesKey + `","caps":{"mon":"profile rbd"}}]`
	newer    = `{"cmd001":{"sig":["auth","get-or-create",{"name":"entity","type":"CephString"},{"name":"caps","type":"CephString"},{"name":"key_type","type":"CephString","req":false}]}}`
	older    = `{"cmd001":{"sig":["auth","get-or-create",{"name":"entity","type":"CephString"},{"name":"caps","type":"CephString"}]},"cmd002":{"sig":["auth","add",{"name":"key_type"}]}}`
)

func wantA(t *testing.T) []keyring.Params {
	return []keyring.Params{{Entity: entity(t, "client.a"), Caps: parseCaps(t, "mon 'profile rbd'")}}
}

func TestIssueKeyType(t *testing.T) {
	made := `[{"entity":"client.a","key":"` + aes256Key + `","caps":{"mon":"profile rbd"}}]`
	for _, tt := range []struct {
		name     string
		commands string
		want     keyring.KeyType
		sent     any // key_type of the command
		kind     error
	}{
		{"the cluster's choice", "", "", nil, nil},
		{"aes256k of a newer cluster", newer, keyring.AES256K, "aes256k", nil},
		{"aes of a newer cluster", newer, keyring.AES, "aes", nil},
		{"aes of an older cluster", older, keyring.AES, nil, nil},
		{"aes256k of an older cluster", older, keyring.AES256K, nil, keyring.ErrUnsupported},
		{"nonsense", newer, "des", nil, keyring.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &monitors{t: t, script: map[string][]string{
				"osd pool ls":              {pools},
				"auth get":                 {"!ENOENT", made},
				"auth get-or-create":       {made},
				"get_command_descriptions": {tt.commands},
			}}
			plan, err := keyring.Issue(t.Context(), m, wantA(t), keyring.Options{KeyType: tt.want})
			created := m.did("auth get-or-create")
			if tt.kind != nil {
				if !errors.Is(err, tt.kind) || len(created) > 0 {
					t.Errorf("Issue = %v with %v, want %v before anything is created", err, created, tt.kind)
				}
				return
			}
			if err != nil || len(plan) != 1 || plan[0].Action != keyring.Create || plan[0].Key.Type() != keyring.AES256K {
				t.Fatalf("Issue = %+v, %v", plan, err)
			}
			if len(created) != 1 || created[0]["key_type"] != tt.sent {
				t.Errorf("asked for %v, want key_type %v", created, tt.sent)
			}
		})
	}
}

func TestIssueReadsBack(t *testing.T) {
	other := strings.Replace(observed, "profile rbd", "allow r", 1)
	rekeyed := strings.Replace(observed, aesKey, aesKey2, 1)
	for _, tt := range []struct {
		name    string
		get     []string // answers of auth get
		change  string   // answer of auth get-or-create and auth caps
		message string   // of the error; "" for none
	}{
		{"created by another at the same moment", []string{"!ENOENT", observed}, "!EINVAL", ""},
		{"created otherwise by another", []string{"!ENOENT", other}, "!EINVAL", "exists but cap osd does not match"},
		{"created, it says", []string{"!ENOENT"}, observed, "entity client.a: auth get-or-create succeeded, but there is no such entity"},
		{"created with other caps", []string{"!ENOENT", other}, observed, "entity client.a: auth get-or-create succeeded, but its caps are mon 'allow r'"},
		{"changed, it says", []string{other}, "", "entity client.a: auth caps succeeded, but its caps are mon 'allow r'"},
		{"changed", []string{other, observed}, "", ""},
		{"changed, and its key by another", []string{other, rekeyed}, "", "entity client.a: its key was changed by someone else meanwhile: look who, then try again"},
		{"an answer that is none", []string{aesKey}, "", "auth get: the monitors' answer is not understood"},
		{"an answer that is no list", []string{`{"key":"` + aesKey + `"}`}, "", "auth get: the monitors' answer is not understood"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &monitors{t: t, script: map[string][]string{
				"osd pool ls": {pools}, "auth get": tt.get, "auth get-or-create": {tt.change}, "auth caps": {tt.change},
			}}
			_, err := keyring.Issue(t.Context(), m, wantA(t), keyring.Options{})
			if tt.message == "" && err != nil || tt.message != "" && (err == nil || err.Error() != tt.message) {
				t.Errorf("Issue = %v\nwant %s", err, tt.message)
			}
			for _, asked := range m.asked {
				if text, _ := json.Marshal(asked); leaks(string(text), aesKey) != nil {
					t.Errorf("a command has the key in it: %s", text)
				}
			}
		})
	}
}

func TestReadForeign(t *testing.T) {
	m := &monitors{t: t, script: map[string][]string{"auth ls": {`{"auth_dump":[
		{"entity":"client.сinder","key":"` + aesKey + `","caps":{"mon":"allow *"}},
		{"entity":"client.new","key":"Aw` + aesKey[2:] + `","caps":{"mon":"allow frobnicate"}},
		{"entity":"frob.a\n","key":"","caps":{}},
		{"entity":"client.ok","key":"` + aes256Key + `","caps":{"mds":"allow rw path=/a","mon":"allow r"}}]}`}}}
	k, err := keyring.Read(t.Context(), m)
	if err != nil || len(k) != 4 {
		t.Fatalf("Read = %v, %v", k, err)
	}
	var got []string
	for _, e := range k {
		got = append(got, fmt.Sprintf("%s|%s|%s", e.Entity, e.Key.Type(), e.Caps))
	}
	want := []string{
		`client."\u0441inder"|aes|mon 'allow *'`,
		`client.new||mon 'allow frobnicate'`,
		`client.ok|aes256k|mon 'allow r' mds 'allow rw path=/a'`,
		`frob."a\n"||`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("Read = %q\nwant %q", got, want)
	}
	if _, ok := k.Find(entity(t, "client.cinder")); ok {
		t.Error("a look-alike was taken for client.cinder")
	}
}
