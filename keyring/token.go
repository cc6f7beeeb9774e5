package keyring

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCaps bounds the text of the caps at one kind of daemon, in bytes.
const maxCaps = 64 << 10

// token is a piece of a grant: a bare word, a quoted string, or '='.
type token struct {
	text   string
	quoted bool
	glued  bool // nothing stands between it and the token before
}

// is reports whether t is the bare word s.
func (t token) is(s string) bool { return !t.quoted && t.text == s }

// splitGrants cuts text at the commas and semicolons that are not in quotes.
// An open quote is left to the one who reads the piece.
func splitGrants(text string) []string {
	var pieces []string
	var quote rune
	start := 0
	for i, r := range text {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == ',' || r == ';':
			pieces = append(pieces, text[start:i])
			start = i + 1
		}
	}
	return append(pieces, text[start:])
}

// lex cuts one grant into tokens. Ceph's quoting has no escapes: a string ends
// at the next quote of its kind.
func lex(text string) ([]token, error) {
	var tokens []token
	glued := false
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == ' ' || r == '\t' || r == '\n':
			text, glued = text[size:], false
			continue
		case r == '"' || r == '\'':
			end := strings.IndexRune(text[1:], r)
			if end < 0 {
				return nil, fmt.Errorf("a quote (%c) is never closed", r)
			}
			tokens = append(tokens, token{text: text[1 : end+1], quoted: true, glued: glued})
			text = text[end+2:]
		case r == '=':
			tokens = append(tokens, token{text: "=", glued: glued})
			text = text[1:]
		default:
			end := strings.IndexAny(text, " \t\n\"'=")
			if end < 0 {
				end = len(text)
			}
			tokens = append(tokens, token{text: text[:end], glued: glued})
			text = text[end:]
		}
		glued = true
	}
	for _, t := range tokens {
		if err := printable(t.text); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// printable refuses what can't be shown or would not survive JSON.
func printable(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%+q is not UTF-8", clip(s))
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%+q has a character that does not print", clip(s))
		}
	}
	return nil
}

// bare reports whether s may stand without quotes wherever Ceph wants a string.
func bare(s string) bool {
	for _, r := range s {
		if r > 'z' || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", r) {
			return false
		}
	}
	return s != ""
}

// quote writes s so that lex gives it back as one string. s has at most one
// kind of quotes, as everything that lex returns.
func quote(s string) string {
	switch {
	case bare(s):
		return s
	case strings.Contains(s, `"`):
		return `'` + s + `'`
	}
	return `"` + s + `"`
}
