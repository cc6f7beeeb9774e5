package lab

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// grant is an entity of a fresh lab and its caps, in the order of a keyring.
type grant struct {
	entity string
	caps   []string // "mon = allow *"
}

func monGrant() grant { return grant{"mon.", []string{"mon = \"allow *\""}} }

func adminGrant() grant {
	return grant{"client.admin", []string{
		"mon = \"allow *\"", "mgr = \"allow *\"", "osd = \"allow *\"", "mds = \"allow *\"",
	}}
}

func mgrGrant() grant {
	return grant{"mgr.x", []string{"mon = \"allow profile mgr\"", "osd = \"allow *\"", "mds = \"allow *\""}}
}

func osdGrant(i int) grant {
	return grant{fmt.Sprintf("osd.%d", i), []string{
		"mon = \"allow profile osd\"", "mgr = \"allow profile osd\"", "osd = \"allow *\"",
	}}
}

// section is g with a key of its own, as a keyring file has it.
func (g grant) section() (string, error) {
	key, err := newKey()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[%s]\n\tkey = %s\n", g.entity, key)
	for _, c := range g.caps {
		fmt.Fprintf(&b, "\tcaps %s\n", c)
	}
	return b.String(), nil
}

// newKey draws an AES key in Ceph's encoding: type 1, time of making, length,
// 16 random bytes, all little-endian, in base64.
//
// Similar To: ceph-authtool --gen-print-key
func newKey() (string, error) {
	const aes, size = 1, 16
	raw := binary.LittleEndian.AppendUint16(nil, aes)
	raw = binary.LittleEndian.AppendUint32(raw, uint32(time.Now().Unix()))
	raw = binary.LittleEndian.AppendUint32(raw, 0)
	raw = binary.LittleEndian.AppendUint16(raw, size)
	secret := make([]byte, size)
	if _, err := rand.Read(secret); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(append(raw, secret...)), nil
}

// writeKeys makes the keys of a new cluster. mon.keyring has all of them: the
// monitor's store begins with what that file holds.
func (l *Lab) writeKeys() error {
	var all string
	for _, f := range []struct {
		name  string
		grant grant
	}{
		{"mgr.keyring", mgrGrant()},
		{"ceph.client.admin.keyring", adminGrant()},
		{"mon.keyring", monGrant()},
	} {
		section, err := f.grant.section()
		if err != nil {
			return err
		}
		all += section
		if f.name == "mon.keyring" {
			section = all
		}
		if err := writeFile(l.file(f.name), []byte(section), 0o600); err != nil {
			return err
		}
	}
	return nil
}
