package keyring

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a key prints as.
const redacted = "[redacted]"

// KeyType says how a key works. Its zero value is none.
type KeyType string

// The types that Ceph has had.
const (
	AES     KeyType = "aes"     // 28 bytes, 40 characters: every release
	AES256K KeyType = "aes256k" // 44 bytes, 60 characters: since 19.2.6 and 20.2.4; older libraries can't use it
)

// keyTypeOf returns the type whose number a decoded key begins with, and the
// length of the secret at its end.
func keyTypeOf(number uint16) (kind KeyType, secret int) {
	switch number {
	case 1:
		return AES, 16
	case 2:
		return AES256K, 32
	}
	return "", 0
}

// keyHeader is what comes before the secret, little-endian: type (2 bytes), time
// of creation (4 seconds, 4 nanoseconds), length of the secret (2).
const keyHeader = 12

// Key is the cephx key of an entity. It prints as "[redacted]" in every format
// and encoding; only [Key.Reveal] gives it out. The zero value is no key.
//
// The bytes are behind a function because fmt does not call the methods of a
// value in an unexported field, and a pointer it follows when the verb does not
// fit; of a function it prints the address. Nor can keys be compared by ==.
type Key struct{ p func() *keyBytes }

type keyBytes struct {
	text []byte // base64, as keyring files have it
	raw  []byte // decoded
	kind KeyType
}

// ParseKey reads a key in base64, as keyring files have it. It checks encoding,
// type and length. The error, of kind ErrInvalid, never repeats the key. Key
// keeps a copy; text stays the caller's.
func ParseKey(text []byte) (Key, error) {
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(raw, text)
	if err != nil {
		clear(raw)
		return Key{}, invalidf("the key is not base64")
	}
	raw = raw[:n]
	if n < keyHeader {
		clear(raw)
		return Key{}, invalidf("the key is cut short: %d bytes", n)
	}
	number := binary.LittleEndian.Uint16(raw)
	kind, secret := keyTypeOf(number)
	if kind == "" {
		clear(raw)
		return Key{}, invalidf("the key is of type %d: want 1 (aes) or 2 (aes256k)", number)
	}
	if n != keyHeader+secret || int(binary.LittleEndian.Uint16(raw[10:])) != secret {
		clear(raw)
		return Key{}, invalidf("the key is of type %s and has %d bytes, or says so: want %d", kind, n, keyHeader+secret)
	}
	// Encoded again, so that line breaks that the decoder skips don't stay.
	p := &keyBytes{text: make([]byte, base64.StdEncoding.EncodedLen(n)), raw: raw, kind: kind}
	base64.StdEncoding.Encode(p.text, raw)
	return Key{func() *keyBytes { return p }}, nil
}

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.p == nil }

// Type is the type of k; "" for no key.
func (k Key) Type() KeyType {
	if k.p == nil {
		return ""
	}
	return k.p().kind
}

// Equal compares in constant time.
func (k Key) Equal(other Key) bool {
	if k.p == nil || other.p == nil {
		return k.p == nil && other.p == nil
	}
	return subtle.ConstantTimeCompare(k.p().raw, other.p().raw) == 1
}

// Fingerprint names k without giving it away: "sha256:" and the first 8 bytes,
// in hex, of the SHA-256 of the decoded key. A key has at least 128 random bits,
// so there is no way back. "" for no key.
func (k Key) Fingerprint() string {
	if k.p == nil {
		return ""
	}
	sum := sha256.Sum256(k.p().raw)
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// Reveal gives out the key in base64. The slice is the caller's, who clears it
// after use and lets it go no further than a keyring file or a libvirt secret.
func (k Key) Reveal() []byte {
	if k.p == nil {
		return nil
	}
	return append([]byte(nil), k.p().text...)
}

// String is "[redacted]".
func (k Key) String() string { return redacted }

// GoString is "[redacted]".
func (k Key) GoString() string { return redacted }

// Format prints "[redacted]" whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText gives "[redacted]".
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON gives "[redacted]".
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue gives "[redacted]".
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }
