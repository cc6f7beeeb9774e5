package keyring_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rbdctl/keyring"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", path, diff)
	}
}

func parseCaps(t testing.TB, text string) keyring.Caps {
	t.Helper()
	caps, err := keyring.ParseCaps(text)
	if err != nil {
		t.Fatal(err)
	}
	return caps
}

func written(t testing.TB, k keyring.Keyring) string {
	t.Helper()
	var b bytes.Buffer
	if n, err := k.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo = %d, %v; wrote %d", n, err, b.Len())
	}
	return b.String()
}

func TestKeyringFile(t *testing.T) {
	k := keyring.Keyring{
		{Entity: entity(t, "client.nova"), Key: parseKey(t, aes256Key)},
		{Entity: entity(t, "client.cinder"), Key: parseKey(t, aesKey), Caps: parseCaps(t,
			`osd 'allow r pool="a b", profile rbd pool=volumes' mon 'allow command "x" with y regex "^\\d"'`)},
		{Entity: entity(t, "mon."), Key: parseKey(t, aesKey2)},
	}
	text := written(t, k)
	golden(t, "full.keyring", []byte(text))
	golden(t, "bare.keyring", []byte(written(t, k.Bare()[1:2])))

	got, err := keyring.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if again := written(t, got); again != text {
		t.Errorf("another file after a round trip: %s", cmp.Diff(text, again))
	}
	e, ok := got.Find(entity(t, "client.cinder"))
	if !ok || !e.Key.Equal(k[1].Key) || !e.Caps.Equal(k[1].Caps) {
		t.Errorf("client.cinder came back as %v", e)
	}
	if _, ok := got.Find(entity(t, "client.glance")); ok {
		t.Error("found who is not there")
	}
}

// The forms that Ceph's own tools write and read.
func TestParseForms(t *testing.T) {
	text := "\ufeff"[:0] + "# comment\r\n; another\n\n" +
		"[client.a]   # who\r\n" +
		"  key=" + aesKey + "\n" +
		"  caps mon = allow r ; here\n" +
		"\tcaps  osd = \"allow rwx pool='a b' namespace=\\\"n s\\\"\" # and here\n" +
		"[ client.b ]\n        key = \"" + aes256Key + "\"" // no newline at the end
	got, err := keyring.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := got.Find(entity(t, "client.a"))
	b, _ := got.Find(entity(t, "client.b"))
	if !a.Key.Equal(parseKey(t, aesKey)) || b.Key.Type() != keyring.AES256K || len(got) != 2 {
		t.Errorf("Parse = %v", got)
	}
	want := map[string]string{"mon": "allow r", "osd": `allow rwx pool="a b" namespace="n s"`}
	if diff := cmp.Diff(want, a.Caps.Texts()); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, message string }{
		{"no section", "key = " + aesKey, "keyring: line 1: want a section first, such as [client.cinder]"},
		{"open section", "\n[client.a", "keyring: line 2: want a section such as [client.cinder]"},
		{"bad entity", "[client.a/b]", `keyring: line 1: entity "client.a/b": an ID is letters, digits, '_', '.' and '-' of ASCII, and begins with a letter or digit`},
		{"no key", "[client.a]\n\n[client.b]\nkey = " + aesKey, "keyring: line 3: client.a has no key"},
		{"no key at the end", "[client.a]\ncaps mon = allow r\n", "keyring: line 2: client.a has no key"},
		{"bad key", "[client.a]\nkey = AAAA", "keyring: line 2: client.a: the key is cut short: 3 bytes"},
		{"no key after the name", "[client.a]\nkey =", "keyring: line 2: client.a: the key is cut short: 0 bytes"},
		{"twice", "[client.a]\nkey=" + aesKey + "\n[client.a]\n", "keyring: line 3: a second section of client.a"},
		{"two keys", "[client.a]\nkey=" + aesKey + "\nkey=" + aesKey2, "keyring: line 3: a second key of client.a"},
		{"two caps", "[client.a]\ncaps mon=a\ncaps mon=b", "keyring: line 3: a second line of mon caps"},
		{"caps of what", "[client.a]\ncaps rgw=a", "keyring: line 2: caps of an unknown kind of daemon"},
		{"unknown field", "[client.a]\nauid = 0", "keyring: line 2: unknown field: want key, or caps and a daemon"},
		{"no equals", "[client.a]\nkey", "keyring: line 2: want NAME = VALUE"},
		{"open quote", "[client.a]\ncaps mon = \"allow r", "keyring: line 2: a quote is never closed"},
		{"text after quote", "[client.a]\ncaps mon = \"allow r\" x", "keyring: line 2: something stands after the closing quote"},
		{"long line", "[client.a]\n#" + strings.Repeat("x", 70000), "keyring: line 2: longer than 65536 bytes"},
		{"long file", strings.Repeat("# comment\n", 200000), "keyring: longer than 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := keyring.Parse(strings.NewReader(tt.text))
			if !errors.Is(err, keyring.ErrInvalid) || err.Error() != tt.message {
				t.Errorf("Parse = %v\nwant %s", err, tt.message)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := keyring.Parse(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Parse of a broken reader = %v", err)
	}
	if _, err := keyring.Parse(strings.NewReader("")); err != nil {
		t.Errorf("Parse of an empty file = %v", err)
	}
}

func TestKeyringRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var k keyring.Keyring
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`client\.[a-z0-9][A-Za-z0-9_.-]{0,10}`), 0, 5, rapid.ID[string]).Draw(rt, "names")
		for _, name := range names {
			e := keyring.Entry{Entity: entity(t, name), Key: parseKey(t, rapid.SampledFrom([]string{aesKey, aesKey2, aes256Key}).Draw(rt, "key"))}
			if rapid.Bool().Draw(rt, "caps") {
				pool := rapid.StringMatching(`[ !#-&(-~]{1,12}`).Draw(rt, "pool")
				e.Caps = parseCaps(t, `osd 'profile rbd pool="`+pool+`"' mon 'profile rbd'`)
			}
			k = append(k, e)
		}
		text := written(t, k)
		got, err := keyring.Parse(strings.NewReader(text))
		if err != nil {
			rt.Fatalf("%q: %v", text, err)
		}
		if len(got) != len(k) || written(t, got) != text {
			rt.Fatalf("%q came back as %q", text, written(t, got))
		}
		for _, e := range k {
			if back, ok := got.Find(e.Entity); !ok || !back.Key.Equal(e.Key) || !back.Caps.Equal(e.Caps) {
				rt.Fatalf("%v came back as %v", e, back)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"[client.a]\n\tkey = " + aesKey + "\n\tcaps mon = \"allow \\\"x\\\"\"\n",
		"# c\n[client.a] ; x\nkey = \"" + aes256Key + "\"\n[mon.]\nkey=" + aesKey2,
		"[client.a]\ncaps osd = allow r pool=\\\"a b\\\", allow\nkey=" + aesKey,
		"[client.a]\nkey = AQ==\n", "[", "key = x", "[client.a]\nkey = \"", "[client.a]\nkey = \\",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := keyring.Parse(bytes.NewReader(text))
		if err != nil {
			if !errors.Is(err, keyring.ErrInvalid) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("not one line of kind invalid: %q", err)
			}
			return
		}
		out := written(t, k)
		again, err := keyring.Parse(strings.NewReader(out))
		if err != nil {
			t.Fatalf("%q was read and printed as %q: %v", text, out, err)
		}
		if written(t, again) != out {
			t.Fatalf("%q is not stable", out)
		}
	})
}
