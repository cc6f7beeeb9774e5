package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"rbdctl/internal/fault"
)

// reader takes values out of a parsed file and collects what is wrong with them.
// After a complaint it goes on, with the default in place of the value.
type reader struct {
	name       string   // of the file
	lines      []string // of the file
	complaints []string
}

func newReader(name string, data []byte) *reader {
	return &reader{name: name, lines: strings.Split(string(data), "\n")}
}

// A complaint about a file that is something else altogether ends somewhere.
const maxComplaints = 10

// complain notes what is wrong at n.
func (r *reader) complain(n ast.Node, format string, args ...any) {
	r.complainAt(n.GetToken(), format, args...)
}

// complainAt notes what is wrong at a token, which may be nil.
func (r *reader) complainAt(t *token.Token, format string, args ...any) {
	place, text := r.name, ""
	if t != nil && t.Position != nil {
		place = fmt.Sprintf("%s:%d:%d", r.name, t.Position.Line, t.Position.Column)
		if at := t.Position.Line - 1; at >= 0 && at < len(r.lines) {
			text = " (line: " + quote(strings.TrimSpace(r.lines[at])) + ")"
		}
	}
	message := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	r.complaints = append(r.complaints, place+": "+redact(message+text))
}

// err joins the complaints; nil when there are none.
func (r *reader) err() error {
	shown := r.complaints
	if len(shown) == 0 {
		return nil
	}
	if more := len(shown) - maxComplaints; more > 0 {
		shown = append(shown[:maxComplaints:maxComplaints], fmt.Sprintf("and %d more complaints", more))
	}
	return fault.New(fault.ErrInvalid, strings.Join(shown, "; "))
}

// maxQuoted bounds what an error repeats of the file, in characters.
const maxQuoted = 80

// quote makes text of the file fit for a message: printable, and not too long.
func quote(text string) string {
	if runes := []rune(text); len(runes) > maxQuoted {
		text = string(runes[:maxQuoted]) + "…"
	}
	return strconv.Quote(redact(text))
}

// redact takes out what may be a cephx key or the password of a URI. Neither
// belongs in the file, which is why it would show up in a complaint.
func redact(text string) string {
	key := regexp.MustCompile(`A[Qg][A-Za-z0-9+/]{20,}={0,2}`) // both types of key begin so
	password := regexp.MustCompile(`(://[^/@:\s]*):[^/@\s]*@`)
	return password.ReplaceAllString(key.ReplaceAllString(text, "[redacted]"), "$1:[redacted]@")
}
