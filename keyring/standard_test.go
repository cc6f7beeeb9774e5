package keyring_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rbdctl/keyring"
)

// The caps of the standard layouts are a contract: whoever changes them changes
// these files, and reads in the review who gets what.
func TestStandardCaps(t *testing.T) {
	for _, tt := range []struct {
		file   string
		layout keyring.Layout
		pools  keyring.Pools
	}{
		{"separate.caps", keyring.Separate, keyring.Pools{}},
		{"shared-cinder.caps", keyring.SharedCinder, keyring.Pools{}},
		{"renamed.caps", keyring.Separate, keyring.Pools{Volumes: "ssd.volumes", Images: "the images"}},
		{"one-pool.caps", keyring.Separate, keyring.Pools{Volumes: "rbd", VMs: "rbd", Images: "rbd", Backups: "rbd"}},
	} {
		desired, err := keyring.Standard(tt.layout, tt.pools)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, p := range desired {
			fmt.Fprintf(&b, "%s (files of %s)\n", p.Entity, p.User)
			for _, c := range p.Caps {
				fmt.Fprintf(&b, "\t%s %s\n", c.Daemon, c.Grant)
			}
			// What we want is what we would understand, and so would the monitors.
			again := parseCaps(t, p.Caps.String())
			if !again.Equal(p.Caps) {
				t.Errorf("%s: %s comes back as %s", p.Entity, p.Caps, again)
			}
		}
		golden(t, tt.file, []byte(b.String()))
		if _, err := keyring.Diff(nil, desired); err != nil {
			t.Errorf("%s: %v", tt.file, err)
		}
	}
}

func TestStandardRefuses(t *testing.T) {
	for _, tt := range []struct {
		layout  keyring.Layout
		pools   keyring.Pools
		message string
	}{
		{"", keyring.Pools{}, `unknown layout "": want separate or shared-cinder`},
		{"shared", keyring.Pools{}, `unknown layout "shared": want separate or shared-cinder`},
		{keyring.Separate, keyring.Pools{VMs: "a'b"}, `pool name "a'b": quotes, '/' and '@' can't be part of a cap`},
		{keyring.Separate, keyring.Pools{VMs: `a"b`}, `pool name "a\"b": quotes, '/' and '@' can't be part of a cap`},
		{keyring.Separate, keyring.Pools{VMs: "a/b"}, `pool name "a/b": quotes, '/' and '@' can't be part of a cap`},
		{keyring.Separate, keyring.Pools{VMs: "a\nb"}, `pool name: "a\nb" has a character that does not print`},
		{keyring.Separate, keyring.Pools{VMs: "a\xff"}, `pool name: "a\xff" is not UTF-8`},
	} {
		_, err := keyring.Standard(tt.layout, tt.pools)
		if !errors.Is(err, keyring.ErrInvalid) || err.Error() != tt.message {
			t.Errorf("Standard(%q, %+v) = %v, want %s", tt.layout, tt.pools, err, tt.message)
		}
	}
}
