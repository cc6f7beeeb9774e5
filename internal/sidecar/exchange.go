package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
)

// exchange is one request with its answer: what the log and the metrics say of it.
type exchange struct {
	http.ResponseWriter
	id     string // of the request: OpenStack's, else one of ours
	route  string // the pattern, never the path: ids don't become labels
	log    *slog.Logger
	status int // sent; 0: nothing yet
	coerce int // instead of the status that the library sends
	kind   string
	detail string // of a problem
}

// requestIDHeader carries OpenStack's request id, both ways.
// See: oslo_middleware/request_id.py.
const requestIDHeader = "X-Openstack-Request-Id"

type exchangeKey struct{}

// exchangeOf is the exchange of a request's context. Outside one it is a new one
// that says nothing.
func exchangeOf(ctx context.Context) *exchange {
	if e, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return e
	}
	return &exchange{log: slog.New(slog.DiscardHandler)}
}

// WriteHeader sends the status, once.
func (e *exchange) WriteHeader(status int) {
	if e.coerce != 0 {
		status = e.coerce
	}
	if e.status == 0 {
		e.status = status
	}
	e.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (e *exchange) Write(data []byte) (int, error) {
	if e.status == 0 {
		e.WriteHeader(http.StatusOK)
	}
	return e.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

// refuse answers with a problem, unless an answer is on its way already.
func (e *exchange) refuse(p *Problem) {
	e.note(p)
	if e.status != 0 {
		return
	}
	if p.Status == http.StatusServiceUnavailable {
		e.Header().Set("Retry-After", "1")
	}
	e.Header().Set("Content-Type", problemType)
	e.WriteHeader(p.Status)
	_ = json.NewEncoder(e).Encode(p.with(e.id))
}

// note keeps what went wrong for the log.
func (e *exchange) note(p *Problem) { e.kind, e.detail = p.Kind, p.Detail }

func (p *Problem) with(id string) *Problem {
	named := *p
	named.RequestID = id
	return &named
}

// recorded gives each request its exchange, and logs and counts it at its end.
func (s *Server) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &exchange{ResponseWriter: w, id: requestID(r), route: "other"}
		e.log = s.log.With("request_id", e.id)
		w.Header().Set(requestIDHeader, e.id)
		start := time.Now()
		s.metrics.inFlight.Inc()
		s.traffic.begin()
		defer func() {
			s.metrics.inFlight.Dec()
			s.traffic.end()
			broken := recover()
			cut := broken != nil && (isAbort(broken) || e.status != 0) // the client must not take it for whole
			if broken != nil && !isAbort(broken) {
				e.log.Error("a handler panicked", "panic", broken, "stack", string(debug.Stack()))
				e.refuse(problemOf(panicked(broken)))
			}
			s.ended(e, r, time.Since(start))
			if cut {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(e, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e)))
	})
}

func isAbort(v any) bool {
	err, ok := v.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// ended logs and counts an exchange.
func (s *Server) ended(e *exchange, r *http.Request, took time.Duration) {
	s.metrics.requested(e.route, e.status, took)
	peer, _ := peerOf(r.Context())
	attrs := []any{
		"method", r.Method, "path", r.URL.EscapedPath(), "status", e.status,
		"seconds", took.Round(time.Microsecond).Seconds(), "uid", peer.Uid,
	}
	level := slog.LevelInfo
	if e.kind != "" {
		attrs = append(attrs, "kind", e.kind, "detail", e.detail)
		level = slog.LevelWarn
	}
	if e.kind == "failed" {
		level = slog.LevelError
	}
	e.log.Log(r.Context(), level, "request", attrs...)
}

// maxRequestID is the longest id that is taken from a client.
const maxRequestID = 128

// requestID takes the client's id, if it is one that a log line can hold, and
// else makes one in OpenStack's form.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if id == "" || len(id) > maxRequestID {
		return "req-" + uuid.NewString()
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c >= 0x7f {
			return "req-" + uuid.NewString()
		}
	}
	return id
}
