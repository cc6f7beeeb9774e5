package spec

import (
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/uuid"

	"rbdctl/keyring"
)

func (r *reader) entities(n ast.Node, s *Spec) {
	r.mapping(n, "entities",
		field{"layout", func(n ast.Node) { choose(r, n, "layout", &s.Layout, keyring.Separate, keyring.SharedCinder) }},
	)
}

// entity reads a full cephx name.
func (r *reader) entity(n ast.Node, what string) (keyring.Entity, bool) {
	name, ok := r.text(n, what)
	if !ok {
		return keyring.Entity{}, false
	}
	e, err := keyring.ParseEntity(name)
	if err != nil {
		r.complain(n, "%s: %v", what, err)
	}
	return e, err == nil
}

// secrets reads the secrets that are wished for, which replace the default ones.
func (r *reader) secrets(n ast.Node, s *Spec) {
	s.Secrets = nil
	issued, err := s.Entities()
	if err != nil {
		return // a pool's name, complained about already
	}
	uuids := map[string]string{}
	r.each(n, "secrets", func(key ast.Node, name string, value ast.Node) {
		i := slices.IndexFunc(issued, func(p keyring.Params) bool { return p.Entity.String() == name })
		if i < 0 {
			var names []string
			for _, p := range issued {
				names = append(names, p.Entity.String())
			}
			r.complain(key, "secrets: %s is no entity of layout %s: want one of %s", quote(name), s.Layout, strings.Join(names, ", "))
			return
		}
		secret := Secret{Entity: issued[i].Entity}
		if value.Type() != ast.NullType {
			r.secret(value, &secret)
		}
		if other := uuids[secret.UUID]; secret.UUID != "" && other != "" {
			r.complain(key, "secrets: %s and %s have the same uuid: each needs its own", other, name)
		}
		uuids[secret.UUID] = name
		s.Secrets = append(s.Secrets, secret)
	})
	slices.SortFunc(s.Secrets, func(a, b Secret) int { return strings.Compare(a.Entity.String(), b.Entity.String()) })
}

func (r *reader) secret(n ast.Node, s *Secret) {
	at := func(field string) string { return "secrets." + s.Entity.String() + "." + field }
	r.mapping(n, "secrets."+s.Entity.String(),
		field{"uuid", func(n ast.Node) {
			text, ok := r.text(n, at("uuid"))
			id, err := uuid.Parse(text)
			if ok && (err != nil || !strings.EqualFold(id.String(), text)) {
				r.complain(n, "%s %s: want a UUID", at("uuid"), quote(text))
				return
			}
			s.UUID = strings.ToLower(text)
		}},
		field{"adopt", func(n ast.Node) { s.Adopt = r.texts(n, at("adopt")) }},
		field{"private", func(n ast.Node) { s.Private = r.boolean(n, at("private")) }},
	)
}

func (r *reader) nodes(n ast.Node, s *Spec) {
	owner := map[string]string{} // node by URI
	r.each(n, "nodes", func(key ast.Node, name string, value ast.Node) {
		if name == "" || len(name) > 253 || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
			r.complain(key, "node %s: want a host name", quote(name))
			return
		}
		uri, given := "", false
		if value.Type() != ast.NullType {
			r.mapping(value, "nodes."+name, field{"libvirt", func(n ast.Node) {
				uri, given = r.uri(n, "nodes."+name+".libvirt"), true
			}})
		}
		other := owner[uri]
		switch {
		case !given:
			r.complain(key, "nodes.%s: say how to reach it, with `libvirt: URI`", name)
		case uri != "" && other != "":
			r.complain(key, "nodes: %s and %s are the same libvirt", other, name)
		}
		owner[uri] = name
		s.Nodes = append(s.Nodes, Node{name, uri})
	})
	slices.SortFunc(s.Nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
}

// uri reads the URI of a libvirt; "" after a complaint. What of it is encrypted
// is libvirtsecret's to judge.
func (r *reader) uri(n ast.Node, what string) string {
	text, ok := r.text(n, what)
	if !ok {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		r.complain(n, "%s: want the URI of a libvirt, such as qemu+ssh://root@compute1/system", what)
		return ""
	}
	if _, has := u.User.Password(); has {
		r.complain(n, "%s: a password does not belong into this file: use ssh keys or certificates", what)
		return ""
	}
	return text
}
