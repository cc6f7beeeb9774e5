package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/fault"
)

// FuzzParse holds Parse to what it promises of any text: a wish that can be
// carried on with, or one line of kind invalid.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", everything, "pools: {volumes: {size: 3}}\n", "a: &x [*x]\n", "---\n---\n", "{{{{[[[[", "? : \n",
		"pools:\n  <<: {}\n", "a: !!binary ==\n", "\"\\u0000\": |\n  x\n", "nodes: {a: {libvirt: '%zz'}}", "- - - -\n",
		"secrets:\n  client.cinder: {adopt: [a, [b]]}\n", "\ufeffpg: {target: 0o17}\n", "a:\tb\r\nc: >-\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data)
		if err != nil {
			if message := err.Error(); !errors.Is(err, fault.ErrInvalid) || strings.ContainsAny(message, "\n\r") || !strings.HasPrefix(message, "f:") {
				t.Fatalf("error %q", message)
			}
			return
		}
		if len(s.Pools) != len(Roles()) {
			t.Fatalf("%d pools", len(s.Pools))
		}
		names := map[string]bool{}
		for _, p := range s.Pools {
			if p.Name == "" || names[p.Name] || p.Size < 0 || p.Size > maxSize || p.Size > 0 && p.MinSize > p.Size || !(p.Weight > 0 && p.Weight <= 100) {
				t.Fatalf("pool %+v", p)
			}
			names[p.Name] = true
		}
		if _, err := s.Entities(); err != nil {
			t.Fatalf("entities: %v", err)
		}
		for _, n := range s.Nodes {
			if n.Name == "" || n.URI == "" {
				t.Fatalf("node %+v", n)
			}
		}
		again, err := Parse("f", data)
		if diff := cmp.Diff(s, again, byValue); err != nil || diff != "" {
			t.Fatalf("not the same twice: %v\n%s", err, diff)
		}
	})
}
