package sidecar

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/fault"
)

// deadlines is a ResponseWriter that can have deadlines, for tests without a
// connection.
type deadlines struct{ http.ResponseWriter }

func (deadlines) SetReadDeadline(time.Time) error { return nil }

// TestKinds: each kind has its word and status, however deep it is wrapped.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		kind   error
		word   string
		status int
	}{
		{fault.ErrInvalid, "invalid", 400},
		{fault.ErrNotFound, "not_found", 404},
		{fault.ErrExists, "exists", 409},
		{fault.ErrInUse, "in_use", 409},
		{fault.ErrDenied, "denied", 403},
		{fault.ErrUnavailable, "unavailable", 503},
		{fault.ErrUnsupported, "unsupported", 422},
		{fault.ErrOutcomeUnknown, "outcome_unknown", 504},
		{errors.New("no kind"), "failed", 500},
	} {
		err := fmt.Errorf("deep: %w", &fault.Error{Op: "clone", Subject: "a@s to b", Kind: tt.kind, Err: errors.New("why")})
		p := problemOf(err)
		if p.Kind != tt.word || p.Status != tt.status || p.Title == "" || p.Detail != "deep: clone a@s to b: why" {
			t.Errorf("%v: %+v", tt.kind, p)
		}
	}
}

// TestNoKeyGetsOut: keys of both types, which no error should hold, are taken out.
func TestNoKeyGetsOut(t *testing.T) {
	for _, key := range []string{
		"AQBbqlRlAAAAABAAPoJqxJ2SHYwE8i8kMVFEfA==",
		"AgBbqlRlAAAAACAAPoJqxJ2SHYwE8i8kMVFEfAbqlRlAAAAACAAPoJqxJ2S=",
	} {
		p := problemOf(fmt.Errorf("key = %s: no such\nthing", key))
		if strings.Contains(p.Detail, key[2:20]) || !strings.Contains(p.Detail, "[redacted]") || strings.Contains(p.Detail, "\n") {
			t.Errorf("detail %q", p.Detail)
		}
	}
	const name = "volumes/volume-0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9@snapshot-0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
	if p := problemOf(errors.New(name)); p.Detail != name {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestStrictJSON(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{`{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}`, ""},
		{`{"a":1,"a":1}`, "twice"},
		{`{"b":{"a":1,"a":1}}`, "twice"},
		{`[{"a":1,"a":1}]`, "twice"},
		{`{"A":1}`, "lower case"},
		{`{"a":1`, "cut off"},
		{``, "cut off"},
		{`{"a"`, "cut off"},
		{`1 2`, "more behind"},
		{strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), ""},
		{strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), "deeper"},
		{strings.Repeat("[", 1<<20), "deeper"},
	} {
		var v any
		err := strictJSON([]byte(tt.text), &v)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%.40q: %v, want %q", tt.text, err, tt.says)
		}
	}
}

// TestRequestID: OpenStack's id is taken as it is, and another one made for what a
// log line could not hold.
func TestRequestID(t *testing.T) {
	for id, taken := range map[string]bool{
		"req-0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9": true,
		"x":                      true,
		"":                       false,
		"two words":              false,
		"a\x00b":                 false,
		"smile \u263a":           false,
		strings.Repeat("a", 129): false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[requestIDHeader] = []string{id}
		if got := requestID(r); (got == id) != taken || got == "" {
			t.Errorf("%.40q became %q", id, got)
		}
	}
}

// TestPanic: a handler that panics is a problem to its client, and in the log with
// its stack. Where an answer had begun, or on purpose, the connection breaks.
func TestPanic(t *testing.T) {
	for _, tt := range []struct {
		name         string
		handler      http.HandlerFunc
		status       int
		cut, logged  bool
		body, absent string
	}{
		{"before the answer", func(http.ResponseWriter, *http.Request) { panic("at the disco") }, 500, false, true, `"kind":"failed"`, "pure_test.go"},
		{"within it", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("half")); panic("late") }, 200, true, true, "half", "kind"},
		{"on purpose", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		}, 200, true, false, "half", "kind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := &logBuffer{}
			s, err := New(Config{}, WithLogger(slog.New(slog.NewTextHandler(log, nil))))
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			func() {
				defer func() {
					if broken := recover() != nil; broken != tt.cut {
						t.Errorf("the connection breaks: %v, want %v", broken, tt.cut)
					}
				}()
				s.recorded(tt.handler).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/stats", nil))
			}()
			if got := w.Body.String(); w.Code != tt.status || !strings.Contains(got, tt.body) || strings.Contains(got, tt.absent) {
				t.Errorf("answer %d %s", w.Code, got)
			}
			if logged := strings.Contains(log.String(), "panicked") && strings.Contains(log.String(), "pure_test.go"); logged != tt.logged {
				t.Errorf("the log has the panic with its stack: %v, want %v", logged, tt.logged)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{MaxRequests: -1}, {Jobs: -1}, {RequestTimeout: -1}, {Delay: -1}} {
		if _, err := New(c); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
