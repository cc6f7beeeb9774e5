package keyring_test

import (
	"errors"
	"strings"
	"testing"

	"rbdctl/keyring"
)

func entity(t testing.TB, name string) keyring.Entity {
	t.Helper()
	e, err := keyring.ParseEntity(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseEntity(t *testing.T) {
	for _, tt := range []struct {
		name, id  string
		protected bool
	}{
		{"client.cinder", "cinder", false},
		{"client.cinder-backup", "cinder-backup", false},
		{"client.a.b_c-9", "a.b_c-9", false},
		{"client.0", "0", false},
		{"client." + strings.Repeat("a", 95), strings.Repeat("a", 95), false},
		{"client.admin", "admin", true},
		{"client.admin2", "admin2", false},
		{"client.bootstrap-osd", "bootstrap-osd", true},
		{"client.bootstrap", "bootstrap", false},
		{"mon.", "", true},
		{"mon.a", "a", true},
		{"osd.0", "0", true},
		{"mds.a", "a", true},
		{"mgr.x", "x", true},
	} {
		e, err := keyring.ParseEntity(tt.name)
		if err != nil {
			t.Errorf("ParseEntity(%q) = %v", tt.name, err)
			continue
		}
		if e.String() != tt.name || e.ID() != tt.id || e.Protected() != tt.protected {
			t.Errorf("%q: String %q, ID %q, Protected %v", tt.name, e, e.ID(), e.Protected())
		}
	}
}

func TestParseEntityRefuses(t *testing.T) {
	for _, name := range []string{
		"", ".", "cinder", "client", "client.", "client..", "client..a", "Client.cinder", "user.cinder", "osd.", "mgr.",
		"client.-cinder", "client.--keyring", "client._a", "client.a b", " client.a", "client.a ", "client.a\n", "client.a\x00",
		"client.a/b", "client.../etc", "client.a@b", "client.a:b", "client.a=b", "client.a,b", "client.a]", "client.a'b", `client.a"b`,
		`client.a\b`, "client.a;b", "client.$(id)", "client.{}", "client.%2e", "client.a%", "client.a#",
		"client.сinder",                       // a Cyrillic es
		"client.cindеr",                       // a Cyrillic ie
		"ｃlient.cinder",                       // a full-width c
		"client.cinder\u200b",                 // a space of no width
		"client.\u202eredniс",                 // right to left
		"client.ci\u0301nder",                 // a combining mark
		"client.\xff",                         // not UTF-8
		"client." + strings.Repeat("a", 96),   // too long
		"client." + strings.Repeat("a", 4096), // much too long
	} {
		e, err := keyring.ParseEntity(name)
		if !errors.Is(err, keyring.ErrInvalid) {
			t.Errorf("ParseEntity(%q) = %q, %v, want invalid", name, e, err)
			continue
		}
		if msg := err.Error(); len(msg) > 500 || strings.ContainsAny(msg, "\n\x00\u202e\u200b") {
			t.Errorf("ParseEntity(%q): unfit message %q", name, msg)
		}
	}
}

func FuzzParseEntity(f *testing.F) {
	for _, name := range []string{"client.cinder", "mon.", "osd.0", "client.a/b", "client.-a", "client.сinder", "client." + strings.Repeat("a", 96)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		e, err := keyring.ParseEntity(name)
		if err != nil {
			return
		}
		if e.String() != name {
			t.Fatalf("%q came back as %q", name, e)
		}
		if strings.ContainsAny(e.ID(), "/@ =:,;'\"\\[]") || strings.HasPrefix(e.ID(), "-") {
			t.Fatalf("%q passed", name)
		}
	})
}
