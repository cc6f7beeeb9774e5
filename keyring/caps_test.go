package keyring

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// osd, mon and mgr are the caps of one daemon in the form of ParseCaps.
func only(daemon, text string) string {
	return daemon + " '" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func TestParseCapsCanonical(t *testing.T) {
	for _, tt := range []struct{ daemon, text, want string }{
		{"mon", "allow *", ""},
		{"mon", "allow all", "allow *"},
		{"mon", "allow rwx", ""},
		{"mon", "  allow  r ;allow\tw", "allow r, allow w"},
		{"mon", "allow profile rbd", "profile rbd"},
		{"mon", "profile=rbd", "profile rbd"},
		{"mon", `profile "rbd" network 10.1.2.3/8`, "profile rbd network 10.0.0.0/8"},
		{"mon", "allow service osd rw network fe80::1/64", "allow service osd rw network fe80::/64"},
		{
			"mon", `allow command='osd blocklist' with blocklistop=add addr regex "^[^/]+/[0-9]+$"`,
			`allow command "osd blocklist" with addr regex "^[^/]+/[0-9]+$" blocklistop=add`,
		},
		{"mon", `allow command "config-key get" with key prefix rbd/`, `allow command "config-key get" with key prefix "rbd/"`},
		{"mon", "allow rw fsname=a", ""},
		{"mgr", "allow module rbd_support with pool=x namespace prefix 'a b' rw", `allow module rbd_support with pool=x namespace prefix "a b" rw`},
		{"mgr", "profile rbd namespace = y pool = x", "profile rbd pool=x namespace=y"},
		{"mgr", `profile rbd "network"=x network ::/0`, `profile rbd "network"=x network ::/0`},
		{"mgr", `allow command "osd df"`, ""},
		{"osd", "profile rbd pool=volumes,profile rbd-read-only pool images", "profile rbd pool=volumes, profile rbd-read-only pool=images"},
		{"osd", "profile rbd pool='a b' namespace=\"\"", `profile rbd pool="a b" namespace=""`},
		{"osd", "allow namespace=n pool=p rwx", "allow rwx pool=p namespace=n"},
		{"osd", "allow pool p namespace=n* object_prefix rbd_data. r", "allow r pool=p namespace=n* object_prefix rbd_data."},
		{"osd", `allow rwx pool=p namespace="n"*`, "allow rwx pool=p namespace=n*"},
		{"osd", "allow rwx class-read pool=p", "allow rwx pool=p"},
		{"osd", "allow class-read class-write", "allow x"},
		{"osd", "allow rw class-write pool=p", ""},
		{"osd", "allow class-read object_prefix rbd_children, allow rwx pool=vms", "allow class-read object_prefix rbd_children, allow rwx pool=vms"},
		{"osd", "allow rwx tag cephfs data = x", "allow rwx tag cephfs data=x"},
		{"osd", "allow tag rbd *=all namespace=n rwx", "allow rwx namespace=n tag rbd *=*"},
		{"osd", "allow class rbd metadata_list pool=x network 10.0.0.0/8", "allow pool=x class rbd metadata_list network 10.0.0.0/8"},
		{"osd", "allow class rbd pool=x", "allow pool=x class rbd"},
		{"osd", "allow class rbd 'pool' pool=x", `allow pool=x class rbd "pool"`},
		{"osd", `allow r pool="it's"`, ""},
		{"osd", `allow r pool='say "x"'`, ""},
		{"osd", `allow r pool="a, b; c"`, ""},
		{"osd", "allow r pool=x, allow r pool=x,allow r  pool=x", "allow r pool=x"},
	} {
		want := tt.want
		if want == "" {
			want = tt.text
		}
		got, err := ParseCaps(only(tt.daemon, tt.text))
		if err != nil {
			t.Errorf("%s %q: %v", tt.daemon, tt.text, err)
			continue
		}
		if got.Texts()[tt.daemon] != want {
			t.Errorf("%s %q = %q, want %q", tt.daemon, tt.text, got.Texts()[tt.daemon], want)
		}
		again, err := ParseCaps(got.String())
		if err != nil || !again.Equal(got) {
			t.Errorf("%q does not survive a round trip: %q, %v", got, again, err)
		}
	}
}

func TestCapsEqual(t *testing.T) {
	base := "mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd-read-only pool=images' mgr 'profile rbd pool=volumes'"
	for _, tt := range []struct {
		text string
		want bool
	}{
		{base, true},
		{"osd 'profile rbd-read-only pool=images,profile rbd pool=volumes' mgr 'profile rbd pool=volumes' mon 'allow profile rbd'", true},
		{`osd "profile rbd-read-only  pool='images' ; profile rbd pool \"volumes\"" mgr 'profile rbd pool = volumes' mon profile=rbd`, true},
		{"mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd pool=images' mgr 'profile rbd pool=volumes'", false},
		{"mon 'profile rbd' osd 'profile rbd pool=volumes' mgr 'profile rbd pool=volumes'", false},
		{"mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd-read-only pool=images'", false},
		{"mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd-read-only pool=Images' mgr 'profile rbd pool=volumes'", false},
		{"mon 'profile rbd' osd 'profile rbd pool=volumes namespace=n, profile rbd-read-only pool=images' mgr 'profile rbd pool=volumes'", false},
		{"mon 'profile rbd' osd 'profile rbd pool=volumes namespace=\"\", profile rbd-read-only pool=images' mgr 'profile rbd pool=volumes'", false},
	} {
		a, err := ParseCaps(base)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseCaps(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if a.Equal(b) != tt.want || b.Equal(a) != tt.want {
			t.Errorf("Equal(%s) = %v", tt.text, !tt.want)
		}
	}
}

func TestCapsMinus(t *testing.T) {
	a, _ := ParseCaps("mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd pool=vms'")
	b, _ := ParseCaps("mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd-read-only pool=vms'")
	if got, want := a.Minus(b).String(), "osd 'profile rbd pool=vms'"; got != want {
		t.Errorf("Minus = %s, want %s", got, want)
	}
	if got := a.Minus(a); len(got) != 0 {
		t.Errorf("Minus of itself = %s", got)
	}
}

func TestParseCapsRefuses(t *testing.T) {
	for _, tt := range []struct{ text, message string }{
		{"mon", `caps "mon": want pairs of a daemon and its grants, such as mon 'profile rbd'`},
		{"mon 'profile rbd", `caps "mon 'profile rbd": a quote is never closed`},
		{"rgw 'allow r'", `unknown kind of daemon "rgw": want mon, mgr or osd`},
		{"mon 'allow r' mon 'allow w'", `caps "mon 'allow r' mon 'allow w'": mon comes twice`},
		{"mds 'allow rw'", "caps at the mds are for CephFS and are not understood"},
		{"osd 'profile rdb pool=x'", `osd cap "profile rdb pool=x": unknown profile "rdb": want one of rbd, rbd-read-only, read-only, read-write`},
		{"mgr 'profile rbd-mirror'", `mgr cap "profile rbd-mirror": unknown profile "rbd-mirror": want one of rbd, rbd-read-only, crash, osd, mds, rgw, read-only, read-write`},
		{"mon 'profil rbd'", `mon cap "profil rbd": "profil": a grant begins with "allow" or "profile"`},
		{"mon 'profile rbd pool=x'", `mon cap "profile rbd pool=x": "pool" is not understood there`},
		{"mon 'allow r,'", `mon cap "": nothing is granted: a comma too many?`},
		{"osd ''", `osd cap "": nothing is granted: a comma too many?`},
		{"mon 'allow xr'", `mon cap "allow xr": the permissions are missing: want *, or some of rwx in this order`},
		{"osd 'allow r rw'", `osd cap "allow r rw": "rw" is not understood there`},
		{"osd 'allow'", `osd cap "allow": the permissions are missing: want *, or some of rwx in this order`},
		{"mon 'allow class-read'", `mon cap "allow class-read": the permissions are missing: want *, or some of rwx in this order`},
		{"osd 'allow r pool='", `osd cap "allow r pool=": the pool is missing`},
		{`osd 'allow r pool=""'`, `osd cap "allow r pool=\"\"": the pool is missing`},
		{"osd 'allow r pool=a pool=b'", `osd cap "allow r pool=a pool=b": a second pool`},
		{"osd 'allow r pool=a object_prefix b tag c d=e'", `osd cap "allow r pool=a object_prefix b tag c d=e": a tag stands instead of a pool and an object_prefix`},
		{"osd 'profile rbd tag rbd a=b'", `osd cap "profile rbd tag rbd a=b": "tag" is not understood there`},
		{"osd 'allow r pool=a$b'", `osd cap "allow r pool=a$b": pool "a$b": put it in quotes`},
		{`osd 'allow r pool="a'`, `osd cap "allow r pool=\"a": a quote (") is never closed`},
		{"osd 'allow r pool=\"a\x01b\"'", `osd cap "allow r pool=\"a\x01b\"": "a\x01b" has a character that does not print`},
		{"osd 'allow r pool=\"\xff\"'", `caps "osd 'allow r pool=\"\xff\"'": not UTF-8`},
		{"osd 'allow r network 10.0.0.1'", `osd cap "allow r network 10.0.0.1": network "10.0.0.1": want ADDRESS/BITS, such as 10.0.0.0/8`},
		{`mon 'allow command "a" with'`, `mon cap "allow command \"a\" with": "with" wants an argument, such as key=value`},
		{`mgr 'allow command "a" with k=v k=w'`, `mgr cap "allow command \"a\" with k=v k=w": a second k`},
		{"mon 'allow module x r'", `mon cap "allow module x r": the permissions are missing: want *, or some of rwx in this order`},
	} {
		caps, err := ParseCaps(tt.text)
		if !errors.Is(err, ErrInvalid) || err.Error() != tt.message {
			t.Errorf("ParseCaps(%q) = %v, %v\nwant %s", tt.text, caps, err, tt.message)
		}
	}
	long := "osd 'allow r pool=\"" + strings.Repeat("a", maxCaps) + "\"'"
	if _, err := ParseCaps(long); !errors.Is(err, ErrInvalid) || len(err.Error()) > 200 {
		t.Errorf("ParseCaps of %d bytes = %v", len(long), err)
	}
}

func TestForeignCapsAreKept(t *testing.T) {
	texts := map[string]string{
		"mds": "allow rw path=/a,  allow r",
		"mon": "allow frobnicate 'a,b', allow   r",
		"osd": `allow r pool="never closed, allow *`,
		"new": "allow everything",
	}
	caps := foreignCaps(texts)
	want := map[string]string{
		"mds": "allow r, allow rw path=/a",
		"mon": "allow frobnicate 'a,b', allow r",
		"osd": `allow r pool="never closed, allow *`,
		"new": "allow everything",
	}
	if diff := cmp.Diff(want, caps.Texts()); diff != "" {
		t.Error(diff)
	}
	if !caps.Equal(foreignCaps(caps.Texts())) {
		t.Error("not equal to itself")
	}
}

func TestCapsJSON(t *testing.T) {
	caps, _ := ParseCaps("osd 'profile rbd pool=x' mon 'profile rbd'")
	got, err := json.Marshal(caps)
	if want := `{"mon":"profile rbd","osd":"profile rbd pool=x"}`; err != nil || string(got) != want {
		t.Errorf("JSON = %s, %v, want %s", got, err, want)
	}
}

// anyWord is a string that a grant can hold: printable, one kind of quotes.
func anyWord() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z][a-zA-Z0-9_.-]{0,8}`),
		rapid.SampledFrom([]string{"pool", "network", "with", "rw", "all", "class-read", "all", "allow", "tag", "namespace", "allow", "prefix"}),
		rapid.StringMatching(`[ -!#-~äж√]{1,8}`),
		rapid.StringMatching(`[ -&(-~]{1,8}`),
	)
}

func anyTerms(t *rapid.T, keys ...string) []term {
	var terms []term
	for _, key := range keys {
		if rapid.Bool().Draw(t, "has "+key) {
			terms = append(terms, term{key: key, op: "=", val: anyWord().Draw(t, key)})
		}
	}
	return terms
}

func anyArguments(t *rapid.T) []term {
	var terms []term
	for _, key := range rapid.SliceOfNDistinct(anyWord(), 0, 3, rapid.ID[string]).Draw(t, "keys") {
		terms = append(terms, term{key: key, op: rapid.SampledFrom([]string{"=", "prefix", "regex"}).Draw(t, "op"), val: anyWord().Draw(t, "value")})
	}
	return terms
}

func anyPerms(t *rapid.T) perms {
	set := rapid.SampledFrom([]perms{permAny, permRead, permWrite, permExec, permRead | permWrite, permRead | permExec, permRead | permWrite | permExec}).Draw(t, "perms")
	return set
}

// anyGrant draws a grant that a daemon of the given kind takes.
func anyGrant(t *rapid.T, daemon string) Grant {
	kinds := map[string][]grantKind{
		"mon": {kindProfile, kindAllow, kindService, kindCommand},
		"mgr": {kindProfile, kindAllow, kindService, kindCommand, kindModule},
		"osd": {kindProfile, kindAllow, kindClass},
	}
	g := Grant{kind: rapid.SampledFrom(kinds[daemon]).Draw(t, "kind")}
	if g.kind == kindProfile {
		g.name = rapid.SampledFrom(profiles(daemon)).Draw(t, "profile")
	} else if g.kind != kindAllow {
		g.name = anyWord().Draw(t, "name")
	}
	if slices.Contains([]grantKind{kindAllow, kindService, kindModule}, g.kind) {
		g.perms = anyPerms(t)
	}
	switch {
	case daemon == "osd" && g.kind == kindProfile:
		g.terms = anyTerms(t, "pool", "namespace")
	case daemon == "osd" && rapid.Bool().Draw(t, "tag"):
		g.terms = append(anyTerms(t, "namespace"), term{key: anyWord().Draw(t, "app"), op: "tag", sub: anyWord().Draw(t, "key"), val: anyWord().Draw(t, "val")})
	case daemon == "osd":
		g.terms = anyTerms(t, "pool", "namespace", "object_prefix")
	case g.kind == kindCommand, g.kind == kindModule, daemon == "mgr" && g.kind == kindProfile:
		g.terms = anyArguments(t)
	}
	if g.kind == kindClass {
		g.method = rapid.OneOf(rapid.Just(""), anyWord()).Draw(t, "method")
	}
	g.network = rapid.SampledFrom([]string{"", "10.0.0.0/8", "fe80::/64"}).Draw(t, "network")
	sortTerms(g.terms)
	return g
}

func TestCapsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var caps Caps
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			daemon := rapid.SampledFrom([]string{"mon", "mgr", "osd"}).Draw(t, "daemon")
			caps = append(caps, Cap{daemon, anyGrant(t, daemon)})
		}
		text := caps.String()
		got, err := ParseCaps(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		opts := cmp.AllowUnexported(Grant{}, term{})
		if diff := cmp.Diff(caps.sorted(), got, opts, cmp.Transformer("nil", func(s []term) []term { return append([]term{}, s...) })); len(caps) > 0 && diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
		shuffled := slices.Clone(caps)
		slices.Reverse(shuffled)
		if !Caps(shuffled).Equal(got) {
			t.Fatalf("order counts in %s", text)
		}
	})
}

func FuzzParseCaps(f *testing.F) {
	for _, text := range []string{
		"mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd-read-only pool=images' mgr 'profile rbd pool=volumes'",
		`mon 'allow r, allow command "osd blocklist" with blocklistop=add addr regex "^[^/]+/[0-9]+$"'`,
		`osd 'allow rwx pool='\''a b'\'' namespace="" network 10.0.0.0/8; allow tag rbd *=* r'`,
		"mgr 'allow module x with a=b c prefix d rw, allow service y *'",
		"osd 'allow class rbd metadata_list pool=x'",
		`osd 'allow r pool="`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		caps, err := ParseCaps(text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("no kind: %v", err)
			}
			return
		}
		again, err := ParseCaps(caps.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, caps, err)
		}
		if !again.Equal(caps) || again.String() != caps.String() {
			t.Fatalf("%q prints as %q and comes back as %q", text, caps, again)
		}
		if !foreignCaps(caps.Texts()).Equal(caps) {
			t.Fatalf("%q is another to the lenient reader", caps)
		}
	})
}
