package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/keyring"
)

// Test vectors: keys that were never any cluster's.
const (
	aesKey    = "AQABAgMEBQYHCBAAAAECAwQFBgcICQoLDA0ODw=="
	aesKey2   = "AQABAgMEBQYHCBAA/wECAwQFBgcICQoLDA0ODw=="
	aes256Key = "AgABAgMEBQYHCCAAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

func parseKey(t testing.TB, text string) keyring.Key {
	t.Helper()
	k, err := keyring.ParseKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParseKey(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       keyring.KeyType
		message    string // of the error; "" for none
	}{
		{name: "aes", text: aesKey, want: keyring.AES},
		{name: "aes256k", text: aes256Key, want: keyring.AES256K},
		{name: "empty", text: "", message: "the key is cut short: 0 bytes"},
		{name: "cut", text: aesKey[:36], message: "the key is of type aes and has 27 bytes, or says so: want 28"},
		{name: "cut in the header", text: aesKey[:8], message: "the key is cut short: 6 bytes"},
		{name: "no padding", text: strings.TrimRight(aesKey, "="), message: "the key is not base64"},
		{name: "not base64", text: strings.Repeat("!", 40), message: "the key is not base64"},
		{name: "stray bits at the end", text: aesKey[:37] + "x==", message: "the key is not base64"},
		{name: "two keys", text: aesKey + aesKey, message: "the key is not base64"},
		{name: "aes number, aes256k length", text: "AQ" + aes256Key[2:], message: "the key is of type aes and has 44 bytes, or says so: want 28"},
		{name: "aes256k number, aes length", text: "Ag" + aesKey[2:], message: "the key is of type aes256k and has 28 bytes, or says so: want 44"},
		{name: "length field lies", text: aesKey[:14] + "IA" + aesKey[16:], message: "the key is of type aes and has 28 bytes, or says so: want 28"},
		{name: "type to come", text: "Aw" + aesKey[2:], message: "the key is of type 3: want 1 (aes) or 2 (aes256k)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := keyring.ParseKey([]byte(tt.text))
			if tt.message == "" {
				if err != nil || k.Type() != tt.want || string(k.Reveal()) != tt.text {
					t.Errorf("ParseKey = type %q, %v; want %q and the text back", k.Type(), err, tt.want)
				}
				return
			}
			if !errors.Is(err, keyring.ErrInvalid) || err.Error() != tt.message {
				t.Errorf("ParseKey = %v, want invalid: %s", err, tt.message)
			}
			if !k.IsZero() || k.Reveal() != nil {
				t.Error("a key came back with the error")
			}
		})
	}
}

func TestKeyKeepsItsOwnCopy(t *testing.T) {
	text := []byte(aesKey)
	k, err := keyring.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	clear(k.Reveal())
	if string(k.Reveal()) != aesKey {
		t.Error("the key changed with a slice that it does not own")
	}
}

func TestKeyEqualAndFingerprint(t *testing.T) {
	a, b, again := parseKey(t, aesKey), parseKey(t, aesKey2), parseKey(t, aesKey)
	if !a.Equal(again) || a.Equal(b) || a.Equal(keyring.Key{}) || !(keyring.Key{}).Equal(keyring.Key{}) {
		t.Error("Equal is wrong")
	}
	// echo AQAB… | base64 -d | sha256sum
	if got, want := a.Fingerprint(), "sha256:1323981c065b93b8"; got != want {
		t.Errorf("Fingerprint = %s, want %s", got, want)
	}
	if a.Fingerprint() == b.Fingerprint() || (keyring.Key{}).Fingerprint() != "" {
		t.Error("the fingerprint does not tell keys apart")
	}
}

// leaks returns the forms of key that text has in it.
func leaks(text, key string) (found []string) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		panic(err)
	}
	secret := raw[12:]
	decimal := strings.Trim(fmt.Sprint(secret), "[]")
	var goHex []string
	for _, b := range secret {
		goHex = append(goHex, fmt.Sprintf("%#x", b))
	}
	for form, needle := range map[string]string{
		"base64":         key,
		"part of base64": key[18:34],
		"raw":            string(secret),
		"hex":            hex.EncodeToString(secret),
		"hex of base64":  hex.EncodeToString([]byte(key[18:34])),
		"decimal":        decimal,
		"Go hex":         strings.Join(goHex, ", "),
		"text, decimal":  strings.Trim(fmt.Sprint([]byte(key[18:34])), "[]"),
		"escaped":        strings.Trim(fmt.Sprintf("%q", secret), `"`),
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(needle)) {
			found = append(found, form)
		}
	}
	return found
}

func TestLeaksAreFound(t *testing.T) {
	raw, _ := base64.StdEncoding.DecodeString(aesKey)
	for _, planted := range []string{
		aesKey, string(raw), fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), fmt.Sprintf("%v", raw), fmt.Sprintf("%#v", raw), fmt.Sprintf("%q", raw), fmt.Sprint([]byte(aesKey)),
	} {
		if leaks("before "+planted+" after", aesKey) == nil {
			t.Errorf("leaks misses %q", planted)
		}
	}
}

func TestKeyNeverPrints(t *testing.T) {
	for _, text := range []string{aesKey, aes256Key} {
		key := parseKey(t, text)
		entry := keyring.Entry{Entity: entity(t, "client.cinder"), Key: key}
		hidden := struct{ k keyring.Key }{key}
		var out strings.Builder
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "10", ".40", "+#"} {
				format := "%" + flags + string(verb) + "\n"
				fmt.Fprintf(&out, format, key)
				for _, in := range []any{entry, &entry, hidden, &hidden, keyring.Keyring{entry}, map[string]keyring.Key{"k": key}, []any{key}, errors.Join(fmt.Errorf(format, key))} {
					fmt.Fprintf(&out, format, in)
				}
			}
		}
		fmt.Fprintln(&out, key, hidden, entry)
		for _, v := range []any{key, &key, entry, keyring.Keyring{entry}, hidden, map[string]keyring.Key{"k": key}} {
			if b, err := json.Marshal(v); err != nil {
				t.Error(err)
			} else {
				out.Write(b)
			}
		}
		if b, err := xml.Marshal(key); err != nil {
			t.Error(err)
		} else {
			out.Write(b)
		}
		for _, h := range []slog.Handler{
			slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}),
			slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}),
		} {
			slog.New(h).Debug("m", "key", key, "entry", entry, "hidden", hidden, "ptr", &key, "keyring", keyring.Keyring{entry})
		}
		out.WriteString(cmp.Diff(key, keyring.Key{}))
		if found := leaks(out.String(), text); found != nil {
			t.Errorf("%s key came out as %q", key.Type(), found)
		}
		if n := strings.Count(out.String(), "[redacted]"); n < 500 {
			t.Errorf("only %d times [redacted]: did the formats run?", n)
		}
	}
}

func TestErrorsNeverRepeatKeys(t *testing.T) {
	for _, file := range []string{
		"[client.a]\n" + aesKey + "\n",
		"[client.a]\n" + aesKey + " = key\n",
		"[client.a]\nkey = " + aesKey + aesKey + "\n",
		"[client.a]\nkey = " + aesKey + "\nkey = " + aesKey + "\n",
		"[client.a]\nkey = \"" + aesKey + "\n",
		"[client.a]\nkey = \"" + aesKey + "\" " + aesKey + "\n",
		"[client.a]\nkey " + aesKey + "\n",
		"[client.a]\ncaps " + aesKey + " = x\n",
		"[client.a] " + aesKey + "\n",
		"[client.a]\nkey = Aw" + aesKey[2:] + "\n",
		aesKey,
	} {
		_, err := keyring.Parse(strings.NewReader(file))
		if !errors.Is(err, keyring.ErrInvalid) {
			t.Errorf("Parse(%q) = %v, want invalid", file, err)
			continue
		}
		if found := leaks(err.Error(), aesKey); found != nil {
			t.Errorf("Parse(%q): the error has the key as %q", file, found)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, text := range []string{aesKey, aes256Key, "", "AQ==", aesKey[:36], "Aw" + aesKey[2:]} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := keyring.ParseKey(text)
		if err != nil {
			if len(text) > 12 && bytes.Contains([]byte(err.Error()), text) {
				t.Fatal("the error repeats the key")
			}
			return
		}
		again := parseKey(t, string(k.Reveal()))
		if !again.Equal(k) || again.Type() != k.Type() {
			t.Fatal("a key is not the same after a round trip")
		}
	})
}
