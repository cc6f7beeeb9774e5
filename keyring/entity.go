package keyring

import (
	"fmt"
	"strings"
)

// Entity is a cephx name with its type, such as client.cinder. The zero value
// names nothing. Entities are comparable.
type Entity struct {
	kind string // client, mon, osd, mds, mgr
	id   string // what comes after the first dot; empty for "mon."
}

// maxName bounds an entity's ID. Ceph has no bound of its own; longer names
// don't fit the names of files and sockets that are made of them.
const maxName = 95

// validID reports whether id is plain ASCII, so that no two names look alike, and
// has nothing that a path, a spec, an option or an INI file gives a meaning to.
func validID(id string) bool { return bare(id) && !strings.ContainsRune("_.-", rune(id[0])) }

// ParseEntity reads a full cephx name, TYPE.ID. The types are client, mon, osd,
// mds and mgr; only "mon." may have no ID. An error is of kind ErrInvalid.
func ParseEntity(name string) (Entity, error) {
	kind, id, ok := strings.Cut(name, ".")
	if !ok {
		return Entity{}, invalidf("entity %q: want TYPE.ID, such as client.cinder", clip(name))
	}
	switch kind {
	case "client", "osd", "mds", "mgr":
	case "mon":
		if id == "" {
			return Entity{kind: kind}, nil
		}
	default:
		return Entity{}, invalidf("entity %q: unknown type %q: want client, mon, osd, mds or mgr", clip(name), clip(kind))
	}
	if len(id) > maxName {
		return Entity{}, invalidf("entity %q: the ID is longer than %d characters", clip(name), maxName)
	}
	if !validID(id) {
		return Entity{}, invalidf("entity %q: an ID is letters, digits, '_', '.' and '-' of ASCII, and begins with a letter or digit", clip(name))
	}
	return Entity{kind: kind, id: id}, nil
}

// ID is the name without its type: what OpenStack's rbd_user and libvirt's
// <auth username> want.
func (e Entity) ID() string { return e.id }

// String is the full name, as ParseEntity takes it.
func (e Entity) String() string {
	if e == (Entity{}) {
		return ""
	}
	return e.kind + "." + e.id
}

// MarshalText is the full name.
func (e Entity) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Protected reports whether e is one of those that the cluster itself lives on,
// which this package neither changes nor gives out: every type but client,
// client.admin, and client.bootstrap-*.
func (e Entity) Protected() bool {
	return e.kind != "client" || e.id == "admin" || strings.HasPrefix(e.id, "bootstrap-")
}

// refuseProtected returns an error of kind ErrInvalid when e is protected.
func refuseProtected(e Entity) error {
	if e.Protected() {
		return invalidf("entity %s belongs to the cluster itself: it is neither changed nor given out", e)
	}
	return nil
}

// foreignEntity takes a name as the monitors gave it. They allow nearly every
// byte; a name that ParseEntity refuses is kept quoted, so that it prints
// safely and equals no entity that can be asked for.
func foreignEntity(name string) Entity {
	if e, err := ParseEntity(name); err == nil {
		return e
	}
	kind, id, _ := strings.Cut(name, ".")
	if !validID(kind) {
		return Entity{kind: "unknown", id: fmt.Sprintf("%+q", name)}
	}
	return Entity{kind: kind, id: fmt.Sprintf("%+q", id)}
}

// clip bounds what an error repeats of its input.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
