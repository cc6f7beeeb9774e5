package libvirtsecret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"

	"libvirt.org/go/libvirt"

	"rbdctl/internal/fault"
)

// Key gives out a cephx key in its text form, base64, as a copy that belongs to
// whoever asks.
type Key interface{ Reveal() []byte }

// The binary form of a cephx key: type, two words of creation time, length of the
// key proper, all little endian; then the key proper.
const (
	keyHeader  = 12
	keyAES     = 1 // 16 bytes, 40 characters as text
	keyAES256k = 2 // 32 bytes, 60 characters as text
)

// decodeKey turns the text form of a cephx key into what libvirt is to store: the
// decoded bytes, which libvirt encodes again when it hands them to QEMU. The
// caller wipes the result. The error says nothing of the key.
func decodeKey(text []byte) ([]byte, error) {
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(raw, text)
	raw = raw[:n]
	if err != nil || !isKey(raw) || len(text) != base64.StdEncoding.EncodedLen(n) { // a newline would be skipped
		wipe(raw)
		return nil, fault.Newf(ErrInvalid, "the key is not a cephx key: want 40 or 60 characters of base64, as in a keyring file")
	}
	return raw, nil
}

// isKey tells whether raw is a cephx key and not just any bytes: libvirt stores
// whatever it is given and calls it success.
func isKey(raw []byte) bool {
	if len(raw) < keyHeader {
		return false
	}
	length := int(binary.LittleEndian.Uint16(raw[10:]))
	switch binary.LittleEndian.Uint16(raw) {
	case keyAES:
		return length == 16 && len(raw) == keyHeader+16
	case keyAES256k:
		return length == 32 && len(raw) == keyHeader+32
	}
	return false
}

// ValueState says what a secret has for a value.
type ValueState string

// The states of a value.
const (
	ValueKey     ValueState = "key"     // a cephx key
	ValueNone    ValueState = "none"    // none was ever set
	ValueGarbage ValueState = "garbage" // bytes that are no cephx key; guests fail with "Invalid argument"
	ValuePrivate ValueState = "private" // libvirt gives it to QEMU only; it may also be missing
)

// readValue returns the stored bytes of a secret, which the caller wipes, and
// what they are. There are no bytes for ValueNone and ValuePrivate.
func readValue(native *libvirt.Secret, s Secret) ([]byte, ValueState, error) {
	if s.Private {
		return nil, ValuePrivate, nil
	}
	raw, err := native.GetValue(0)
	switch {
	case isNoSecret(err):
		return nil, ValueNone, nil
	case err != nil:
		return nil, "", plain(err)
	case !isKey(raw):
		return raw, ValueGarbage, nil
	}
	return raw, ValueKey, nil
}

func sameBytes(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// wipe overwrites a key.
func wipe(b []byte) { clear(b) }

// fingerprint names a key without giving it away, in the form that the keyring
// commands print: "sha256:" and the first 8 bytes of the SHA-256 of the decoded
// key, in hexadecimal.
func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:8])
}
