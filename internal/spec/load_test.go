package spec

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/fault"
)

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	write(t, good, "pg: {target: 42}\n")
	write(t, bad, "pg: {target: many}\n")
	missing := filepath.Join(dir, "missing.yaml")
	for _, tt := range []struct {
		name, path, fallback string
		file                 string
		target               int
		want                 error
		message              string
	}{
		{name: "named", path: good, fallback: bad, file: good, target: 42},
		{name: "not named", fallback: good, file: good, target: 42},
		{name: "none at all", fallback: missing, target: 100},
		{name: "named and missing", path: missing, fallback: good, want: fault.ErrNotFound, message: missing},
		{name: "malformed", path: bad, want: fault.ErrInvalid, message: bad + ":1:14: "},
		{name: "the default malformed", fallback: bad, want: fault.ErrInvalid, message: bad + ":1:14: "},
		{name: "device without an end", path: "/dev/zero", want: fault.ErrInvalid, message: "more than"},
		{name: "nothing", path: os.DevNull, file: os.DevNull, target: 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := load(tt.path, tt.fallback)
			if tt.want != nil {
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.message) {
					t.Errorf("load = %v, want kind %v and %q", err, tt.want, tt.message)
				}
				return
			}
			if err != nil || s.File != tt.file || s.Count.Target != tt.target {
				t.Errorf("load = file %q, target %d, %v, want %q and %d", s.File, s.Count.Target, err, tt.file, tt.target)
			}
		})
	}
	if _, err := load(dir, ""); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a directory: %v, want an error of one line", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The example shows every field, and what it sets is the default.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("../../docs/rbdctl.yaml.example")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("rbdctl.yaml.example", data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Standard(), got, byValue); diff != "" {
		t.Errorf("the example is not the standard integration (-standard +example)\n%s", diff)
	}
	// Uncommented, it is well-formed still, and says something of everything.
	full := strings.ReplaceAll(string(data), "#:", "  ")
	got, err = Parse("rbdctl.yaml.example", []byte(full))
	if err != nil {
		t.Fatalf("with its examples uncommented: %v", err)
	}
	for what, v := range map[string]any{
		"cluster": got.Cluster, "count": got.Count, "volumes": got.Pools[0], "secret": got.Secrets[0], "node": got.Nodes[0],
	} {
		value := reflect.ValueOf(v)
		for i := range value.NumField() {
			if value.Field(i).IsZero() {
				t.Errorf("%s: the example has nothing on %s", what, value.Type().Field(i).Name)
			}
		}
	}
}
