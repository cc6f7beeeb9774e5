package integration

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/pools"
)

func TestStatus(t *testing.T) {
	p := Plan{
		FSID: "f",
		Items: []Item{
			{Part: Cluster, Name: "f", Action: Change, Steps: []string{"ceph osd set-require-min-compat-client mimic"}},
			{Part: Pool, Name: "volumes", Action: Keep, Want: "32 PGs"},
			{Part: Pool, Name: "vms", Action: Keep, Kept: []pools.Difference{{Field: "size", Now: "2", Want: "3"}}},
			{Part: Pool, Name: "images", Action: Create, Want: "32 PGs"},
			{Part: Entity, Name: "client.nova", Action: Change, Adds: []string{"osd 'a'"}, Drops: []string{"mon 'b'"}},
			{Part: Secret, Name: "client.nova", Node: "n", Action: Change},
		},
		Refusals: []Refusal{
			{Part: Pool, Name: "images", Code: "a", Text: "first"},
			{Part: Pool, Name: "images", Code: "b", Text: "second"},
		},
		Failures: []Failure{{Node: "m", Text: "down", err: errors.New("down")}},
	}
	want := Status{FSID: "f", Findings: []Finding{
		{Cluster, "f", "", Differs, "ceph osd set-require-min-compat-client mimic"},
		{Pool, "volumes", "", OK, "32 PGs"},
		{Pool, "vms", "", Kept, "size is 2, wanted 3"},
		{Pool, "images", "", Refused, "first; second"},
		{Entity, "client.nova", "", Differs, "lacks osd 'a'; has mon 'b'"},
		{Secret, "client.nova", "n", Differs, "value or attributes"},
		{Secret, "", "m", Unreachable, "down"},
	}}
	if diff := cmp.Diff(want, p.Status()); diff != "" {
		t.Errorf("Status (-want +got)\n%s", diff)
	}
	calm := Plan{Items: p.Items[1:3]}
	if s := calm.Status(); !s.AsWanted {
		t.Errorf("Status of %+v is not as wanted", calm.Items)
	}
	if s := Unknown(errors.New("a\nb")); s.AsWanted || s.Findings[0].Detail != "a; b" {
		t.Errorf("Unknown = %+v", s)
	}
}

func TestSince(t *testing.T) {
	item := Item{Part: Pool, Name: "volumes", Action: Change, Steps: []string{"a"}, Moved: 1, Kept: []pools.Difference{{Field: "size", Moved: 1}}}
	base := Plan{FSID: "f", Items: []Item{item}}
	grown, other, gone := item, item, item
	grown.Moved, grown.Kept = 2, []pools.Difference{{Field: "size", Moved: 2}}
	other.Steps = []string{"b"}
	gone.Name = "vms"
	for _, tt := range []struct {
		name  string
		later Plan
		want  string
	}{
		{"the same", base, ""},
		{"more data", Plan{FSID: "f", Items: []Item{grown}}, ""},
		{"another step", Plan{FSID: "f", Items: []Item{other}}, "pool volumes"},
		{"another item", Plan{FSID: "f", Items: []Item{item, gone}}, "pool vms"},
		{"nothing left", Plan{FSID: "f"}, "pool volumes"},
		{"another cluster", Plan{FSID: "g", Items: []Item{item}}, "the cluster, f and now g"},
		{"refused", Plan{FSID: "f", Items: []Item{item}, Refusals: []Refusal{{Text: "no"}}}, "no"},
	} {
		if got := base.since(tt.later); got != tt.want {
			t.Errorf("%s: since = %q, want %q", tt.name, got, tt.want)
		}
	}
}
