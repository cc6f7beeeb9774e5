package keyring

import (
	"cmp"
	"slices"
	"strings"
)

// Grant is one thing that a daemon lets an entity do, such as
//
//	profile rbd pool=volumes
//	allow command "osd blocklist" with blocklistop=add
//	allow class-read object_prefix rbd_children
//
// Two grants with equal String mean the same.
type Grant struct {
	kind    grantKind
	name    string // of the profile, service, module, command or class; the text itself when verbatim
	method  string // of a class; may be empty
	perms   perms
	terms   []term // what it is limited to, in canonical order
	network string // the clients that it is limited to, CIDR; may be empty
}

// grantKind is the first word, or two, of a grant.
type grantKind string

const (
	kindVerbatim grantKind = ""        // text that this package does not understand; equal to itself only
	kindProfile  grantKind = "profile" // profile NAME [TERM…]
	kindAllow    grantKind = "allow"   // allow PERMS [TERM…]
	kindClass    grantKind = "class"   // osd: allow [TERM…] class NAME [METHOD]
	kindService  grantKind = "service" // mon, mgr: allow service NAME PERMS
	kindModule   grantKind = "module"  // mgr: allow module NAME [with TERM…] PERMS
	kindCommand  grantKind = "command" // mon, mgr: allow command NAME [with TERM…]
)

// perms is a set of permissions.
type perms uint8

const (
	permRead perms = 1 << iota
	permWrite
	permClassRead
	permClassWrite
	permAny
)

// permExec is both class permissions at the osd, as Ceph has it.
const permExec = permClassRead | permClassWrite

func (p perms) String() string {
	if p&permAny != 0 {
		return "*"
	}
	var b strings.Builder
	for _, l := range []struct {
		bits perms
		text string
	}{{permRead, "r"}, {permWrite, "w"}, {permExec, "x"}} {
		if p&l.bits == l.bits {
			b.WriteString(l.text)
		}
	}
	words := []string{b.String()}
	if p&permExec == permClassRead {
		words = append(words, "class-read")
	}
	if p&permExec == permClassWrite {
		words = append(words, "class-write")
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// term limits a grant: pool=x, object_prefix y, or an argument of a command.
type term struct {
	key string
	op  string // "=", "prefix", "regex"; "tag" for "tag KEY SUB=VALUE"
	sub string // of a tag
	val string
}

// rank puts the terms of the osd in the order in which its grammar wants them.
// The others, which come in any order, go by name after them.
func (t term) rank() int {
	return slices.Index([]string{"object_prefix", "tag", "namespace", "pool"}, cmp.Or(map[string]string{"tag": "tag"}[t.op], t.key))
}

func sortTerms(terms []term) {
	slices.SortFunc(terms, func(a, b term) int {
		return cmp.Or(-cmp.Compare(a.rank(), b.rank()), strings.Compare(a.key, b.key))
	})
}

// String is the canonical text of t.
func (t term) String() string {
	switch {
	case t.op == "tag":
		return "tag " + quote(t.key) + " " + quoteTag(t.sub) + "=" + quoteTag(t.val)
	case t.key == "object_prefix":
		return t.key + " " + quote(t.val)
	case t.key == "namespace" && strings.HasSuffix(t.val, "*"):
		return t.key + "=" + quote(strings.TrimSuffix(t.val, "*")) + "*"
	case t.op == "=":
		return quoteKey(t.key) + "=" + quote(t.val)
	}
	return quoteKey(t.key) + " " + t.op + " " + quote(t.val)
}

// quoteTag is quote, but leaves the star that stands for everything, and keeps
// what begins like the other word for it apart from that.
func quoteTag(s string) string {
	switch {
	case s == "*":
		return s
	case strings.HasPrefix(s, "all") && bare(s):
		return `"` + s + `"`
	}
	return quote(s)
}

// quoteKey is quote, but keeps an argument apart from the word before an address.
func quoteKey(s string) string {
	if s == "network" {
		return `"network"`
	}
	return quote(s)
}

// keyword reports whether word, after the name of a class, is not its method.
func keyword(word string) bool {
	return slices.Contains([]string{"pool", "namespace", "object_prefix", "tag", "network"}, word)
}

// String is the canonical text of g: the same for all ways to write it, and
// accepted by the monitors.
func (g Grant) String() string {
	var words []string
	add := func(w ...string) { words = append(words, w...) }
	terms := func() {
		for _, t := range g.terms {
			add(t.String())
		}
	}
	with := func() {
		if len(g.terms) > 0 {
			add("with")
			terms()
		}
	}
	switch g.kind {
	case kindVerbatim:
		return g.name
	case kindProfile:
		add("profile", quote(g.name))
		terms()
	case kindAllow:
		add("allow", g.perms.String())
		terms()
	case kindClass:
		add("allow")
		terms()
		add("class", quote(g.name))
		if keyword(g.method) {
			add(`"` + g.method + `"`)
		} else if g.method != "" {
			add(quote(g.method))
		}
	case kindService:
		add("allow service", quote(g.name), g.perms.String())
	case kindModule:
		add("allow module", quote(g.name))
		with()
		add(g.perms.String())
	case kindCommand:
		add("allow command", quote(g.name))
		with()
	}
	if g.network != "" {
		add("network", g.network)
	}
	return strings.Join(words, " ")
}

// pool is the pool that g is limited to; "" when it is to none.
func (g Grant) pool() string {
	for _, t := range g.terms {
		if t.key == "pool" && t.op == "=" {
			return t.val
		}
	}
	return ""
}
