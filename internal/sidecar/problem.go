package sidecar

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/internal/fault"
)

// Problem is what a request that failed is answered with: a problem document of
// RFC 9457. Kind is what a program goes by, Detail what a person reads.
type Problem struct {
	Title     string `json:"title" doc:"The kind in words." example:"Already exists"`
	Status    int    `json:"status" doc:"The HTTP status." example:"409"`
	Detail    string `json:"detail" doc:"What was wrong this time, and what to do about it, in one line."`
	Kind      string `json:"kind" enum:"invalid,not_found,exists,in_use,denied,unavailable,unsupported,outcome_unknown,failed" doc:"What a caller does about it. unavailable: try again later. outcome_unknown: it may or may not have happened; ask again, every request can be repeated."`
	RequestID string `json:"request_id,omitempty" doc:"The id under which the log has it."`
}

// kinds maps the kind of an error to its word and status; the first match wins. Those that
// say least are first: the others mean that nothing was changed.
//
//nolint:gochecknoglobals // a constant table
var kinds = []struct {
	kind   error
	word   string
	title  string
	status int
}{
	{fault.ErrOutcomeUnknown, "outcome_unknown", "Outcome unknown", http.StatusGatewayTimeout},
	{fault.ErrUnavailable, "unavailable", "Unavailable", http.StatusServiceUnavailable},
	{fault.ErrInvalid, "invalid", "Invalid", http.StatusBadRequest},
	{fault.ErrNotFound, "not_found", "Not found", http.StatusNotFound},
	{fault.ErrExists, "exists", "Already exists", http.StatusConflict},
	{fault.ErrInUse, "in_use", "In use", http.StatusConflict},
	{fault.ErrDenied, "denied", "Denied", http.StatusForbidden},
	{fault.ErrUnsupported, "unsupported", "Unsupported", http.StatusUnprocessableEntity},
}

// kindWord is the word for the kind of err: "failed" when it has none.
func kindWord(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.word
		}
	}
	return "failed"
}

// problemOf describes err.
func problemOf(err error) *Problem {
	var known *Problem
	if errors.As(err, &known) {
		return known
	}
	p := &Problem{Title: "Failed", Status: http.StatusInternalServerError, Kind: kindWord(err), Detail: oneLine(err)}
	for _, k := range kinds {
		if k.word == p.Kind {
			p.Title, p.Status = k.title, k.status
		}
	}
	return p
}

// refusal is a problem in HTTP's own terms, before any of ours is asked.
func refusal(status int, format string, args ...any) *Problem {
	p := problemOf(fault.Newf(fault.ErrInvalid, format, args...))
	if status == http.StatusNotFound {
		p = problemOf(fault.Newf(fault.ErrNotFound, format, args...))
	}
	p.Status = status
	return p
}

// problemOfModel describes what the library found wrong with a request. The
// values that it found are left out.
func problemOfModel(m *huma.ErrorModel) *Problem {
	switch m.Status {
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout, http.StatusNotAcceptable:
	case http.StatusUnsupportedMediaType: // curl -d by itself announces a form
		return refusal(m.Status, "the body is not announced as JSON: send it with the header Content-Type: application/json")
	case http.StatusInternalServerError:
		return &Problem{Title: "Failed", Status: m.Status, Kind: "failed", Detail: m.Detail}
	default:
		m.Status = http.StatusBadRequest
	}
	said := []string{}
	for _, e := range m.Errors {
		if e == nil {
			continue
		}
		text := e.Message
		if e.Location != "" {
			text = e.Location + ": " + text
		}
		said = append(said, text)
	}
	detail := m.Detail
	if len(said) > 0 {
		detail = strings.Join(said, "; ")
	}
	return refusal(m.Status, "%s", detail)
}

// Error makes a Problem an error that a handler returns.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is asked by the library.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is asked by the library.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// keyPattern matches a cephx key in base64. No error should hold one: this is
// for the one that does nevertheless.
var keyPattern = regexp.MustCompile(`A[Qg][A-Za-z0-9+/]{36}==|A[Qg][A-Za-z0-9+/]{57}=`)

// oneLine is the message of err without the newlines that errors.Join puts in,
// and without keys.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
	return keyPattern.ReplaceAllString(text, "[redacted]")
}

// panicked is the error of a handler that panicked.
func panicked(v any) error { return fmt.Errorf("internal error: %v", v) }
