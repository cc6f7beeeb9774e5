package libvirtsecret

import (
	"crypto/sha256"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"rbdctl/internal/fault"
)

// usagePrefix begins the usage name of the secrets that For names.
const usagePrefix = "rbdctl/"

// maxText bounds a usage name and a description, in bytes.
const maxText = 1024

// Secret is what libvirt shows of a secret of usage type "ceph". The value is
// not part of it.
type Secret struct {
	UUID        string `json:"uuid"`  // canonical, lower case
	Usage       string `json:"usage"` // usage name, unique on a node
	Description string `json:"description,omitempty"`
	Private     bool   `json:"private"`   // libvirt never gives the value out, not even to verify it
	Ephemeral   bool   `json:"ephemeral"` // gone when libvirt's daemon restarts
}

// For is the standard secret of entity, a full cephx name such as
// "client.cinder", for the cluster fsid.
func For(fsid, entity string) (Secret, error) {
	id, err := uuid.Parse(fsid)
	if err != nil || len(fsid) != len(id.String()) {
		return Secret{}, fault.Newf(ErrInvalid, "fsid %q is not a UUID", fsid)
	}
	if kind, name, ok := strings.Cut(entity, "."); !ok || kind == "" || name == "" {
		return Secret{}, fault.Newf(ErrInvalid, "entity %q: want a full cephx name such as client.cinder", entity)
	}
	fsid = id.String()
	s := Secret{
		UUID:        UUIDFor(fsid, entity),
		Usage:       UsageFor(fsid, entity),
		Description: "cephx key of " + entity + ", cluster " + fsid,
	}
	return s, s.validate()
}

// UsageFor is the usage name of the secret of entity: "rbdctl/<fsid>/<entity>".
// It carries the fsid because a node may serve two clusters that both have a
// client.cinder, and libvirt allows a usage name once.
func UsageFor(fsid, entity string) string {
	return usagePrefix + strings.ToLower(fsid) + "/" + entity
}

// ParseUsage takes a usage name made by UsageFor apart. ok is false for any
// other usage name.
func ParseUsage(usage string) (fsid, entity string, ok bool) {
	rest, ok := strings.CutPrefix(usage, usagePrefix)
	if !ok {
		return "", "", false
	}
	fsid, entity, ok = strings.Cut(rest, "/")
	if id, err := uuid.Parse(fsid); !ok || err != nil || id.String() != fsid || entity == "" {
		return "", "", false
	}
	return fsid, entity, true
}

// UUIDFor derives the UUID of the secret of entity, so that every node arrives
// at the same one without being told: the first 16 bytes of the SHA-256 of
//
//	"rbdctl libvirt secret" NUL fsid NUL entity
//
// with fsid in lower case, then version 4 and the RFC 9562 variant written over
// their bits. It says version 4 although nothing is random, because tools that
// configure Nova accept no other.
func UUIDFor(fsid, entity string) string {
	sum := sha256.Sum256([]byte("rbdctl libvirt secret\x00" + strings.ToLower(fsid) + "\x00" + entity))
	var id uuid.UUID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// validate checks what libvirt would take in silently or refuse late.
func (s Secret) validate() error {
	if id, err := uuid.Parse(s.UUID); err != nil || id.String() != s.UUID {
		return fault.Newf(ErrInvalid, "secret uuid %q: want 8-4-4-4-12 lower-case hexadecimal digits", s.UUID)
	}
	if s.Usage == "" {
		return fault.Newf(ErrInvalid, "secret %s has no usage name", s.UUID)
	}
	if err := checkText("usage name", s.Usage); err != nil {
		return err
	}
	return checkText("description", s.Description)
}

func checkText(what, text string) error {
	if len(text) > maxText {
		return fault.Newf(ErrInvalid, "%s is %d bytes long: at most %d", what, len(text), maxText)
	}
	notPrintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, notPrintable) {
		return fault.Newf(ErrInvalid, "%s %q has characters that can't be printed", what, text)
	}
	return nil
}
