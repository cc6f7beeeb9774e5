package rbd_test

import (
	"errors"
	"strings"
	"testing"

	"rbdctl/rbd"
)

func TestParseSpecs(t *testing.T) {
	for _, tt := range []struct {
		text  string
		image rbd.ImageSpec
		snap  string // "": an image spec
	}{
		{"volumes/v", rbd.ImageSpec{Pool: "volumes", Image: "v"}, ""},
		{"volumes/ns/v", rbd.ImageSpec{Pool: "volumes", Namespace: "ns", Image: "v"}, ""},
		{"volumes/v@s", rbd.ImageSpec{Pool: "volumes", Image: "v"}, "s"},
		{"volumes/ns/v@s", rbd.ImageSpec{Pool: "volumes", Namespace: "ns", Image: "v"}, "s"},
	} {
		if tt.snap == "" {
			got, err := rbd.ParseImageSpec(tt.text)
			if err != nil || got != tt.image || got.String() != tt.text {
				t.Errorf("ParseImageSpec(%q) = %v, %v", tt.text, got, err)
			}
			continue
		}
		got, err := rbd.ParseSnapSpec(tt.text)
		if err != nil || got != tt.image.At(tt.snap) || got.String() != tt.text {
			t.Errorf("ParseSnapSpec(%q) = %v, %v", tt.text, got, err)
		}
	}
}

func TestMalformedSpecsAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "v", "/v", "volumes/", "volumes//v", "a/b/c/d", "volumes/v@", "volumes/@s", "volumes/v@s@t",
		"volumes/v@s/t", "volumes/ v", "volumes/v\x00@s", "volumes/v\n@s", "-rf/v@s", "volumes/--pool@s",
		"volumes/vérité@s", "volumes/\u202ev@s", "volumes/" + strings.Repeat("v", 96) + "@s",
	} {
		if got, err := rbd.ParseSnapSpec(text); !errors.Is(err, rbd.ErrInvalid) {
			t.Errorf("ParseSnapSpec(%q) = %v, %v; want it refused as invalid", text, got, err)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("the error for %q has control characters: %q", text, err)
		}
	}
	if _, err := rbd.ParseImageSpec("volumes/v@s"); !errors.Is(err, rbd.ErrInvalid) {
		t.Errorf("a snapshot was taken for an image: %v", err)
	}
}

// FuzzSnapSpec: what parses is written as it was read, and nothing panics.
func FuzzSnapSpec(f *testing.F) {
	for _, seed := range []string{"p/i@s", "p/n/i@s", "p/i", "@", "//@", "p/i@s@", "\x00/\n@\t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if spec, err := rbd.ParseSnapSpec(text); err == nil && spec.String() != text {
			t.Errorf("%q was read as %q", text, spec)
		}
	})
}
