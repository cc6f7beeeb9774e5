package spec

import (
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"rbdctl/pools"
)

// spec reads the whole file; root is nil when there is nothing in it.
func (r *reader) spec(root ast.Node) Spec {
	s := Standard()
	if root == nil || root.Type() == ast.NullType {
		return s
	}
	var secrets ast.Node
	r.mapping(root, "the file",
		field{"cluster", func(n ast.Node) { r.cluster(n, &s) }},
		field{"pg", func(n ast.Node) { r.pg(n, &s) }},
		field{"pools", func(n ast.Node) { r.pools(n, &s) }},
		field{"entities", func(n ast.Node) { r.entities(n, &s) }},
		field{"secrets", func(n ast.Node) { secrets = n }},
		field{"nodes", func(n ast.Node) { r.nodes(n, &s) }},
	)
	// What depends on other fields comes last, wherever it stands in the file.
	s.Secrets = s.guestSecrets()
	if secrets != nil {
		r.secrets(secrets, &s)
	}
	return s
}

func (r *reader) cluster(n ast.Node, s *Spec) {
	r.mapping(n, "cluster",
		field{"ceph_conf", func(n ast.Node) {
			path, ok := r.text(n, "ceph_conf")
			if ok && !filepath.IsAbs(path) {
				r.complain(n, "ceph_conf %s: want an absolute path", quote(path))
			}
			s.Cluster.CephConf = path
		}},
		field{"entity", func(n ast.Node) {
			if e, ok := r.entity(n, "entity"); ok {
				s.Cluster.Entity = e.String()
			}
		}},
		field{"keep_min_compat_client", func(n ast.Node) { s.Count.KeepClients = r.boolean(n, "keep_min_compat_client") }},
	)
}

// Most PG replicas per OSD that can be aimed at, and most placement groups of a
// pool (mon_max_pool_pg_num by default).
const (
	maxTarget = 10_000
	maxPGNum  = 65_536
)

func (r *reader) pg(n ast.Node, s *Spec) {
	r.mapping(n, "pg",
		field{"rule", func(n ast.Node) { choose(r, n, "rule", &s.Count.Formula, pools.Card, pools.PGCalc) }},
		field{"target", func(n ast.Node) { s.Count.Target = r.integer(n, "target", 1, maxTarget) }},
		field{"allow_data_movement", func(n ast.Node) { s.Count.AllowDataMovement = r.boolean(n, "allow_data_movement") }},
	)
}

// Most replicas that the monitors accept.
const maxSize = 10

func (r *reader) pools(n ast.Node, s *Spec) {
	var fields []field
	owner := map[string]string{} // role by name of pool
	for i, role := range Roles() {
		fields = append(fields, field{role, func(n ast.Node) { r.pool(n, role, &s.Pools[i]) }})
	}
	r.mapping(n, "pools", fields...)
	for i, role := range Roles() {
		name := s.Pools[i].Name
		if other, taken := owner[name]; taken {
			r.complain(n, "pools: %s and %s are both in pool %s: each role needs a pool of its own", other, role, quote(name))
		}
		owner[name] = role
	}
	s.name()
}

func (r *reader) pool(n ast.Node, role string, p *pools.Params) {
	at := func(field string) string { return "pools." + role + "." + field }
	r.mapping(n, "pools."+role,
		field{"name", func(n ast.Node) {
			if name, ok := r.poolName(n, at("name")); ok {
				p.Name = name
			}
		}},
		field{"crush_rule", func(n ast.Node) { p.Rule, _ = r.text(n, at("crush_rule")) }},
		field{"class", func(n ast.Node) { p.Class, _ = r.text(n, at("class")) }},
		field{"size", func(n ast.Node) { p.Size = r.integer(n, at("size"), 1, maxSize) }},
		field{"min_size", func(n ast.Node) { p.MinSize = r.integer(n, at("min_size"), 1, maxSize) }},
		field{"weight", func(n ast.Node) { p.Weight = r.percent(n, at("weight")) }},
		field{"bulk", func(n ast.Node) { p.Bulk = r.boolean(n, at("bulk")) }},
		field{"pg_num", func(n ast.Node) { p.PGNum = r.integer(n, at("pg_num"), 1, maxPGNum) }},
		field{"pg_policy", func(n ast.Node) {
			choose(r, n, at("pg_policy"), &p.Policy, pools.Pinned, pools.Floor, pools.Managed)
		}},
		field{"quota", func(n ast.Node) { p.Quota = r.size(n, at("quota")) }},
	)
	if p.Size > 0 && p.MinSize > p.Size {
		r.complain(n, "%s: min_size %d is more than size %d", "pools."+role, p.MinSize, p.Size)
	}
}

// poolName reads a name that Ceph's tools, image specs and caps can carry.
func (r *reader) poolName(n ast.Node, what string) (string, bool) {
	name, ok := r.text(n, what)
	if !ok {
		return "", false
	}
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
	}
	if len(name) > 128 || strings.ContainsFunc(name, odd) || strings.ContainsRune(".-", rune(name[0])) {
		r.complain(n, "%s %s: want up to 128 letters, digits, dots, dashes and underscores, not beginning with a dot or dash", what, quote(name))
		return "", false
	}
	return name, true
}
