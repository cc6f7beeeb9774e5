package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
	"rbdctl/pools"
)

var byValue = cmp.Comparer(func(a, b keyring.Entity) bool { return a == b })

func entity(t *testing.T, name string) keyring.Entity {
	t.Helper()
	e, err := keyring.ParseEntity(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Nothing said is the standard integration, however it is not said.
func TestParseNothing(t *testing.T) {
	for _, text := range []string{
		"", "\n", "# a comment\n", "---\n", "---\n# a comment\n...\n", "{}\n", "null\n",
		"cluster:\npg:\npools:\nentities:\nsecrets:\nnodes:\n",
		"pools:\n  volumes:\n  vms: {}\n  images:\n    size:\n", "\ufeff# with a byte order mark\n",
	} {
		got, err := Parse("rbdctl.yaml", []byte(text))
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		if diff := cmp.Diff(Standard(), got, byValue); diff != "" {
			t.Errorf("Parse(%q) is not the standard (-standard +got)\n%s", text, diff)
		}
	}
}

func TestStandard(t *testing.T) {
	s := Standard()
	entities, err := s.Entities()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range s.Pools {
		got = append(got, p.Name)
	}
	for _, e := range entities {
		got = append(got, e.Entity.String())
	}
	for _, x := range s.Secrets {
		got = append(got, "secret "+x.Entity.String())
	}
	want := []string{
		"volumes", "vms", "images", "backups",
		"client.cinder", "client.cinder-backup", "client.glance", "client.nova", "client.rbdctl",
		"secret client.cinder", "secret client.nova",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("standard integration (-want +got)\n%s", diff)
	}
}

const everything = `
cluster:
  ceph_conf: /etc/ceph/two.conf
  entity: client.operator
  keep_min_compat_client: true
secrets: # what it depends on comes later
  client.rbdctl:
  client.cinder:
    uuid: 9F1D6A52-8a0c-4d7e-b1a4-0c9e5a7f2b11
    adopt: [client.cinder secret, "cinder: volumes"]
    private: true
pg: {rule: pgcalc, target: 150, allow_data_movement: true}
pools:
  images: {name: glance-images, weight: 12.5}
  volumes:
    crush_rule: fast
    class: nvme
    size: 3
    min_size: 2
    weight: 60
    bulk: false
    pg_num: 256
    pg_policy: floor
    quota: 10TiB
  backups: {quota: 4096}
entities:
  layout: shared-cinder
nodes:
  b: {libvirt: "qemu+ssh://root@b/system"}
  a:
    libvirt: qemu:///system
`

func TestParseEverything(t *testing.T) {
	got, err := Parse("rbdctl.yaml", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	want := Standard()
	want.Cluster = Cluster{CephConf: "/etc/ceph/two.conf", Entity: "client.operator"}
	want.Count = pools.Options{Formula: pools.PGCalc, Target: 150, AllowDataMovement: true, KeepClients: true}
	want.Pools[0] = pools.Params{
		Name: "volumes", Rule: "fast", Class: "nvme", Size: 3, MinSize: 2, Weight: 60,
		PGNum: 256, Policy: pools.Floor, Quota: 10 << 40,
	}
	want.Pools[2].Name, want.Pools[2].Weight = "glance-images", 12.5
	want.Pools[3].Quota = 4096
	want.Names.Images = "glance-images"
	want.Layout = keyring.SharedCinder
	want.Secrets = []Secret{
		{Entity: entity(t, "client.cinder"), UUID: "9f1d6a52-8a0c-4d7e-b1a4-0c9e5a7f2b11", Adopt: []string{"client.cinder secret", "cinder: volumes"}, Private: true},
		{Entity: entity(t, "client.rbdctl")},
	}
	want.Nodes = []Node{{"a", "qemu:///system"}, {"b", "qemu+ssh://root@b/system"}}
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("Parse (-want +got)\n%s", diff)
	}
}

// Where an entity is shared there is one secret fewer, and none if one says so.
func TestParseSecrets(t *testing.T) {
	for text, want := range map[string]int{
		"entities: {layout: shared-cinder}": 1,
		"secrets: {}":                       0,
		"secrets:":                          2,
		"secrets: {client.glance: }":        1,
	} {
		got, err := Parse("rbdctl.yaml", []byte(text))
		if err != nil || len(got.Secrets) != want {
			t.Errorf("Parse(%q): %d secrets, %v, want %d", text, len(got.Secrets), err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{
			"unknown field", "pools:\n  volumes:\n    sizee: 3\n",
			`f:3:5: unknown field "sizee" of pools.volumes: want one of name, crush_rule, class, size, min_size, weight, bulk, pg_num, pg_policy, quota (line: "sizee: 3")`,
		},
		{"unknown role", "pools:\n  vmss: {}\n", `f:2:3: unknown field "vmss" of pools: want one of volumes, vms, images, backups (line: "vmss: {}")`},
		{"unknown at the top", "clusters: {}\n", `f:1:1: unknown field "clusters" of the file: want one of cluster, pg, pools, entities, secrets, nodes (line: "clusters: {}")`},
		{"twice", "pools:\n  vms: {}\n  vms: {}\n", `f:3:3: mapping key "vms" already defined at [2:3] (line: "vms: {}")`},
		{"twice, quoted", "pools: {}\n\"pools\": {}\n", `f:2:1: `},
		{"tab", "pools:\n\tvms: {}\n", `f:2:1: found character ' ' that cannot start any token (line: "vms: {}")`},
		{"unfinished", "pools: {vms: \n", `f:1:12: could not find map value`},
		{"no mapping", "- pools\n", `f:1:1: the file is a list: want fields, "name: value" (line: "- pools")`},
		{"text for a mapping", "pools: standard\n", `f:1:8: pools is "standard": want fields, "name: value" (line: "pools: standard")`},
		{"second document", "pg: {target: 1}\n---\npg: {target: 2}\n", `f:3:3: a second document: one file describes one integration (line: "pg: {target: 2}")`},
		{"fraction", "pools: {vms: {size: 3.5}}", `f:1:21: pools.vms.size is "3.5": want a whole number from 1 to 10 (line: "pools: {vms: {size: 3.5}}")`},
		{"zero", "pools: {vms: {size: 0}}", `f:1:21: pools.vms.size is "0": want a whole number from 1 to 10 `},
		{"negative", "pools: {vms: {pg_num: -1}}", `f:1:23: pools.vms.pg_num is "-1": want a whole number from 1 to 65536 `},
		{"huge", "pools: {vms: {size: 99999999999999999999}}", `f:1:21: pools.vms.size is "99999999999999999999": want a whole number`},
		{"quoted number", "pools: {vms: {size: '3'}}", `f:1:21: pools.vms.size is "3": want a whole number`},
		{"min above size", "pools: {vms: {size: 2, min_size: 3}}", `pools.vms: min_size 3 is more than size 2`},
		{"weight", "pools: {vms: {weight: 100.1}}", `f:1:23: pools.vms.weight is "100.1": want a percentage`},
		{"weight NaN", "pools: {vms: {weight: .nan}}", `f:1:23: pools.vms.weight is ".nan": want a percentage`},
		{"quota", "pools: {vms: {quota: lots}}", `f:1:22: pools.vms.quota is "lots": want a size from 1 byte to 2^63-1, such as 10T`},
		{"quota zero", "pools: {vms: {quota: 0}}", `want a size from 1 byte`},
		{"quota 2^63", "pools: {vms: {quota: 9223372036854775808}}", `want a size from 1 byte`},
		{"quota 2^63 as text", "pools: {vms: {quota: 8388608T}}", `want a size from 1 byte`},
		{"bool", "pools: {vms: {bulk: yes}}", `f:1:21: pools.vms.bulk is "yes": want true or false`},
		{"policy", "pools: {vms: {pg_policy: on}}", `f:1:26: pools.vms.pg_policy "on": want pinned or floor or managed`},
		{"rule", "pg: {rule: even}", `f:1:12: rule "even": want card or pgcalc`},
		{"target", "pg: {target: 0}", `target is "0": want a whole number from 1 to 10000`},
		{"name with a slash", "pools: {vms: {name: a/b}}", `f:1:21: pools.vms.name "a/b": want up to 128 letters, digits, dots, dashes and underscores`},
		{"name with an at", "pools: {vms: {name: a@b}}", `pools.vms.name "a@b"`},
		{"name begins with a dot", "pools: {vms: {name: .mgr}}", `not beginning with a dot or dash`},
		{"name too long", "pools: {vms: {name: " + strings.Repeat("a", 129) + "}}", `want up to 128`},
		{"name is a number", "pools: {vms: {name: 3}}", `pools.vms.name is "3": want text, in quotes`},
		{"empty text", "cluster: {ceph_conf: ''}", `ceph_conf is empty: leave the field out for its default`},
		{"newline in text", "cluster: {ceph_conf: \"a\\nb\"}", `ceph_conf "a\nb" has blanks around it or control characters in it`},
		{"one pool for two", "pools: {vms: {name: volumes}}", `pools: volumes and vms are both in pool "volumes": each role needs a pool of its own`},
		{"relative path", "cluster: {ceph_conf: ceph.conf}", `f:1:22: ceph_conf "ceph.conf": want an absolute path`},
		{"layout", "entities: {layout: flat}", `layout "flat": want separate or shared-cinder`},
		{"entity", "cluster: {entity: admin}", `f:1:19: entity: `},
		{"secret of nobody", "secrets:\n  client.neutron:\n", `f:2:3: secrets: "client.neutron" is no entity of layout separate: want one of client.cinder, client.cinder-backup, client.glance, client.nova, client.rbdctl`},
		{"secret of an entity that is shared", "secrets: {client.nova: }\nentities: {layout: shared-cinder}\n", `"client.nova" is no entity of layout shared-cinder`},
		{"uuid", "secrets: {client.nova: {uuid: 12}}", `secrets.client.nova.uuid is "12"`},
		{"uuid in braces", "secrets: {client.nova: {uuid: '{9f1d6a52-8a0c-4d7e-b1a4-0c9e5a7f2b11}'}}", `want a UUID`},
		{
			"uuid shared", "secrets:\n  client.nova: {uuid: 9f1d6a52-8a0c-4d7e-b1a4-0c9e5a7f2b11}\n  client.cinder: {uuid: 9f1d6a52-8a0c-4d7e-b1a4-0c9e5a7f2b11}\n",
			`f:3:3: secrets: client.nova and client.cinder have the same uuid`,
		},
		{"adopt", "secrets: {client.nova: {adopt: some}}", `adopt is "some": want a list`},
		{"node without libvirt", "nodes:\n  compute1:\n", "f:2:3: nodes.compute1: say how to reach it, with `libvirt: URI`"},
		{"node with an empty mapping", "nodes:\n  compute1: {}\n", "f:2:3: nodes.compute1: say how to reach it"},
		{"node by string", "nodes:\n  compute1: qemu:///system\n", `f:2:13: nodes.compute1 is "qemu:///system": want fields`},
		{"nodes with one URI", "nodes: {a: {libvirt: qemu:///system}, b: {libvirt: qemu:///system}}", `nodes: a and b are the same libvirt`},
		{"no URI", "nodes: {a: {libvirt: compute1}}", `nodes.a.libvirt: want the URI of a libvirt`},
		{"anchor", "pools: {vms: &x {size: 3}, images: *x}", `f:1:14: anchor "&": not understood here`},
		{"alias", "pools: {vms: *x}", `f:1:14: alias "*": not understood here`},
		{"merge key", "pools:\n  vms:\n    <<: {size: 3}\n", `f:3:5: merge key "<<": not understood here`},
		{"complex key", "? pools\n: {}\n", `f:1:1: complex key "?"`},
		{"directive", "%YAML 1.2\n---\n", `f:1:1: directive "%"`},
		{"brackets", strings.Repeat("[", maxBytes), `f:1:9: nested too deep`},
		{"lists in lists", strings.Repeat("- ", 1000), `f:1:3: nested too deep`},
		{"blocks in blocks", blocks(200), `: the line begins after column 64: nested too deep`},
		{"tag", "pools: {vms: {size: !!int 3}}", `f:1:21: tag "!!int": not understood here`},
		{"key is a number", "pools: {1: {}}", `f:1:9: "1" is no name of a field`},
		{"not UTF-8", "pools: \xff\n", `f: not UTF-8 text`},
		{"too big", strings.Repeat("#", maxBytes+1), `f: more than 262144 bytes`},
		{"block text", "cluster:\n  ceph_conf: |\n    a\n", `ceph_conf is a block of text: want text`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(tt.text))
			if !errors.Is(err, fault.ErrInvalid) {
				t.Fatalf("error %v, want kind invalid", err)
			}
			if message := err.Error(); !strings.Contains(message, tt.want) || strings.Contains(message, "\n") {
				t.Errorf("message\n  %s\nwant\n  %s", message, tt.want)
			}
		})
	}
}

// blocks is a mapping in a mapping, and so on.
func blocks(depth int) string {
	var text strings.Builder
	for i := range depth {
		text.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return text.String()
}

// All that is wrong is said at once, up to a point.
func TestParseJoinsComplaints(t *testing.T) {
	_, err := Parse("f", []byte("cluster: {entitty: x}\npools:\n  vms:\n    size: 11\n    weight: 0\nnodes: {a: {}}\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, place := range []string{"f:1:11: ", "f:4:11: ", "f:5:13: ", "f:6:9: "} {
		if !strings.Contains(err.Error(), place) {
			t.Errorf("no complaint at %s: %v", place, err)
		}
	}
	_, err = Parse("f", []byte(strings.Repeat("- a\n", 1)+strings.Repeat("- b\n", 3)))
	if err == nil || strings.Contains(err.Error(), "; ") {
		t.Errorf("a list: %v, want one complaint", err)
	}
	var many strings.Builder
	for i := range 30 {
		many.WriteString(strings.Repeat("x", i+1) + ": 1\n")
	}
	_, err = Parse("f", []byte(many.String()))
	if err == nil || !strings.HasSuffix(err.Error(), "and 20 more complaints") {
		t.Errorf("thirty unknown fields: %v", err)
	}
}

// What looks like a key or a password is not repeated.
func TestParseRedacts(t *testing.T) {
	const key, password = "AQB7Z2FmAAAAABAAq5nB0l6Xv0rS3k2m1Yt9Qw==", "hunter2"
	for _, text := range []string{
		"entities: {client.cinder: {key: " + key + "}}",
		"cluster: {entity: " + key + "}",
		key + ": 1",
		"pools: " + key,
		"pools: {vms: {name: '" + key + "'}}",
		"nodes: {a: {libvirt: 'qemu+ssh://root:" + password + "@a/system'}}",
		"nodes: {a: 'qemu+ssh://root:" + password + "@a/system'}",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || strings.Contains(err.Error(), key[:20]) || strings.Contains(err.Error(), password) {
			t.Errorf("Parse(%q): %v, want an error that keeps it to itself", text, err)
		}
	}
}
