package libvirtsecret

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

const testFSID = "457e8f2c-7b1d-4a6e-9a0b-3f5c1d2e4f60"

// The vectors were made with sha256sum. They must never change: nodes that were
// set up by an older rbdctl have these UUIDs in their guests.
func TestUUIDFor(t *testing.T) {
	for _, tt := range []struct{ fsid, entity, want string }{
		{testFSID, "client.cinder", "f5cadd0c-7e6c-4d5c-8bb4-4212b851dd67"},
		{testFSID, "client.nova", "8fa7b783-32fd-4578-affc-6c38124eb6dd"},
		{strings.ToUpper(testFSID), "client.cinder", "f5cadd0c-7e6c-4d5c-8bb4-4212b851dd67"},
	} {
		got := UUIDFor(tt.fsid, tt.entity)
		if got != tt.want {
			t.Errorf("UUIDFor(%q, %q) = %q, want %q", tt.fsid, tt.entity, got, tt.want)
		}
		id, err := uuid.Parse(got)
		if err != nil || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
			t.Errorf("UUIDFor(%q, %q) = %q: version %d, variant %v, %v", tt.fsid, tt.entity, got, id.Version(), id.Variant(), err)
		}
	}
}

func TestFor(t *testing.T) {
	got, err := For(testFSID, "client.cinder")
	want := Secret{
		UUID:        "f5cadd0c-7e6c-4d5c-8bb4-4212b851dd67",
		Usage:       "rbdctl/" + testFSID + "/client.cinder",
		Description: "cephx key of client.cinder, cluster " + testFSID,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("For: %v (-want +got)\n%s", err, diff)
	}
	for _, tt := range []struct{ name, fsid, entity string }{
		{"no fsid", "", "client.cinder"},
		{"fsid in braces", "{" + testFSID + "}", "client.cinder"},
		{"id instead of entity", testFSID, "cinder"},
		{"no id", testFSID, "client."},
		{"newline", testFSID, "client.cin\nder"},
		{"too long", testFSID, "client." + strings.Repeat("x", maxText)},
	} {
		if s, err := For(tt.fsid, tt.entity); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: For = %+v, %v, want %v", tt.name, s, err, ErrInvalid)
		}
	}
}

func TestParseUsage(t *testing.T) {
	for _, tt := range []struct {
		usage, fsid, entity string
		ok                  bool
	}{
		{UsageFor(testFSID, "client.cinder"), testFSID, "client.cinder", true},
		{UsageFor(strings.ToUpper(testFSID), "client.a/b"), testFSID, "client.a/b", true},
		{usage: "client.cinder secret"},
		{usage: "rbdctl/" + testFSID},
		{usage: "rbdctl/" + testFSID + "/"},
		{usage: "rbdctl/" + strings.ToUpper(testFSID) + "/client.cinder"},
		{usage: "rbdctl/x/client.cinder"},
	} {
		fsid, entity, ok := ParseUsage(tt.usage)
		if ok != tt.ok || fsid != tt.fsid || entity != tt.entity {
			t.Errorf("ParseUsage(%q) = %q, %q, %v", tt.usage, fsid, entity, ok)
		}
	}
}

func TestDecodeKey(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		size       int // 0: refused
	}{
		{"aes", string(keyA), 28},
		{"aes256k", string(keyLong), 44},
		{"empty", "", 0},
		{"not base64", "not base64!!", 0},
		{"base64 of something else", "aGVsbG8gd29ybGQ=", 0},
		{"cut short", string(keyA)[:36], 0},
		{"length says more", "AQDGBgAAAwAAABEAAwoRGB8mLTQ7QklQV15lbA==", 0},
		{"unknown type", "CQ" + string(keyA)[2:], 0},
		{"newline at the end", string(keyA) + "\n", 0},
		{"space", " " + string(keyA), 0},
		{"trailing bits set", strings.TrimSuffix(string(keyA), "A==") + "B==", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := decodeKey([]byte(tt.text))
			if tt.size > 0 && (err != nil || len(raw) != tt.size) {
				t.Fatalf("decodeKey = %d bytes, %v, want %d bytes", len(raw), err, tt.size)
			}
			if tt.size == 0 && !errors.Is(err, ErrInvalid) {
				t.Fatalf("decodeKey = %d bytes, %v, want %v", len(raw), err, ErrInvalid)
			}
			if err != nil && len(tt.text) > 20 && strings.Contains(err.Error(), tt.text[1:9]) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
