package libvirtsecret

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestXML(t *testing.T) {
	standard, err := For(testFSID, "client.cinder")
	if err != nil {
		t.Fatal(err)
	}
	private := standard
	private.Private, private.Ephemeral = true, true
	hostile := standard
	hostile.Usage, hostile.Description = `a</name>&"' b`, "</secret><!-- é -->"
	bare := Secret{UUID: standard.UUID, Usage: "client.cinder secret"}

	for name, secret := range map[string]Secret{
		"standard": standard, "private": private, "hostile": hostile, "bare": bare,
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := marshalXML(secret)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(golden, []byte(doc+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), doc+"\n"); diff != "" {
				t.Errorf("xml (-golden +got)\n%s", diff)
			}
			back, usageType, err := parseXML(doc)
			if err != nil || usageType != usageCeph {
				t.Fatalf("parseXML: usage type %q, %v", usageType, err)
			}
			if diff := cmp.Diff(secret, back); diff != "" {
				t.Errorf("round trip (-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseXMLRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"empty":       "",
		"not xml":     "secret",
		"other root":  "<domain/>",
		"cut off":     "<secret ephemeral='no'><uuid>",
		"oversize":    "<secret><description>" + strings.Repeat("x", maxXML) + "</description></secret>",
		"bad entity":  "<secret><uuid>&x;</uuid></secret>",
		"mismatching": "<secret><uuid></secret></uuid>",
	} {
		if s, _, err := parseXML(doc); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: parseXML = %+v, %v, want %v", name, s, err, ErrInvalid)
		}
	}
}

func TestRefersTo(t *testing.T) {
	secret := Secret{UUID: "1d9cbb4e-5d7f-4c5e-8d5b-0a7d8f1c2b3a", Usage: "client.cinder secret"}
	for _, tt := range []struct {
		name, doc string
		want      bool
	}{
		{"by uuid", "<domain><devices><disk><auth><secret type='ceph' uuid='1d9cbb4e-5d7f-4c5e-8d5b-0a7d8f1c2b3a'/></auth></disk></devices></domain>", true},
		{"upper case", "<domain><secret uuid='1D9CBB4E-5D7F-4C5E-8D5B-0A7D8F1C2B3A'/></domain>", true},
		{"by usage", "<domain><secret type='ceph' usage='client.cinder secret'/></domain>", true},
		{"in a backing chain", "<domain><disk><backingStore><source><auth><secret usage='client.cinder secret'/></auth></source></backingStore></disk></domain>", true},
		{"another's", "<domain><secret uuid='00000000-5d7f-4c5e-8d5b-0a7d8f1c2b3a'/></domain>", false},
		{"uuid of the domain", "<domain><uuid>1d9cbb4e-5d7f-4c5e-8d5b-0a7d8f1c2b3a</uuid></domain>", false},
		{"in a comment", "<domain><!-- <secret uuid='1d9cbb4e-5d7f-4c5e-8d5b-0a7d8f1c2b3a'/> --></domain>", false},
	} {
		got, err := refersTo(tt.doc, secret)
		if got != tt.want || err != nil {
			t.Errorf("%s: refersTo = %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	if _, err := refersTo("<domain", secret); !errors.Is(err, ErrInvalid) {
		t.Errorf("broken xml: %v, want %v", err, ErrInvalid)
	}
}

// What was parsed and has a valid form survives being written and parsed again.
func FuzzParseXML(f *testing.F) {
	f.Add("<secret ephemeral='no' private='yes'><uuid>1d9cbb4e-5d7f-4c5e-8d5b-0a7d8f1c2b3a</uuid><usage type='ceph'><name>a</name></usage></secret>")
	f.Fuzz(func(t *testing.T, doc string) {
		s, usageType, err := parseXML(doc)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("parseXML: %q, want one line of kind %v", err, ErrInvalid)
			}
			return
		}
		if usageType != usageCeph || s.validate() != nil {
			return
		}
		again, err := marshalXML(s)
		if err != nil {
			t.Fatalf("marshalXML(%+v): %v", s, err)
		}
		back, _, err := parseXML(again)
		if err != nil || back != s {
			t.Fatalf("round trip of %+v gave %+v, %v", s, back, err)
		}
	})
}
