package sidecar

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
)

// What a client may take of us, beside the configuration.
const (
	headerTime  = 5 * time.Second  // to send the head of a request
	headerBytes = 64 << 10         // of that
	bodyTime    = 5 * time.Second  // to send a JSON body
	bodyBytes   = 1 << 20          // of that
	idleTime    = 2 * time.Minute  // between two requests on one connection
	stallTime   = 60 * time.Second // in which content on its way does not move at all
)

// routed finds the route of a request, for the metrics, and answers for the mux
// where it has none: it would do so in plain text.
func routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := exchangeOf(r.Context())
		if clean := path.Clean(r.URL.Path); r.URL.Path != clean {
			// The mux would redirect, to what the client did not ask for.
			e.refuse(refusal(http.StatusBadRequest, "path %q: want no empty parts, no . and no ..", r.URL.Path))
			return
		}
		handler, pattern := mux.Handler(r)
		if pattern == "" {
			e.refuse(noRoute(handler, w, r))
			return
		}
		e.route = pattern
		mux.ServeHTTP(w, r)
	})
}

// noRoute is what the mux says to a request that it has no handler for.
func noRoute(handler http.Handler, w http.ResponseWriter, r *http.Request) *Problem {
	said := unsent{header: http.Header{}}
	handler.ServeHTTP(&said, r)
	if said.status != http.StatusMethodNotAllowed {
		return refusal(http.StatusNotFound, "%s is not part of this API: see /openapi.json", r.URL.Path)
	}
	allow := said.header.Get("Allow")
	w.Header().Set("Allow", allow)
	return refusal(http.StatusMethodNotAllowed, "%s takes no %s: want %s", r.URL.Path, r.Method, allow)
}

// unsent is an answer that nobody gets.
type unsent struct {
	header http.Header
	status int
}

func (u *unsent) Header() http.Header         { return u.header }
func (u *unsent) WriteHeader(status int)      { u.status = status }
func (u *unsent) Write(b []byte) (int, error) { return len(b), nil }

// limited refuses more than limit requests at a time. Waiting in a queue would
// only hide from the client that it has to slow down.
func limited(limit int, next http.Handler) http.Handler {
	slots := make(chan struct{}, limit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		default:
			p := refusal(http.StatusServiceUnavailable, "%d requests are under way, and that is the limit: try again", limit)
			p.Kind, p.Title = "unavailable", "Unavailable"
			exchangeOf(r.Context()).refuse(p)
		}
	})
}

// poolHeader is the pool whose sidecar a request is meant for. Without it, it is meant
// for any.
const poolHeader = "Rbdctl-Pool"

// ofPool refuses requests for the sidecar of another pool: here, a delete would find
// nothing and succeed, and a volume would be made where nobody looks for it.
func ofPool(pool string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, meant := range r.Header[poolHeader] {
			if meant != pool && strings.HasPrefix(r.URL.Path, "/v1/") {
				w.Header().Set("Connection", "close") // the body is not read
				exchangeOf(r.Context()).refuse(refusal(http.StatusBadRequest,
					"the request is for pool %q, and this sidecar serves %q: mend rbdctl_socket or rbd_pool in cinder.conf, or --pool", meant, pool))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// buffered reads the body of a request before its handler runs, within the limits
// on size and time. Content of volumes passes by: its handler reads it.
func buffered(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, route := mux.Handler(r); route == http.MethodPut+" "+dataPath {
			next.ServeHTTP(w, r)
			return
		}
		body, refused := readBody(w, r)
		if refused != nil {
			w.Header().Set("Connection", "close") // the rest of the body is not read
			exchangeOf(r.Context()).refuse(refused)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	})
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *Problem) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTime)); err != nil {
		return nil, problemOf(err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytes))
	var large *http.MaxBytesError
	var slow net.Error
	switch {
	case errors.As(err, &large):
		return nil, refusal(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", bodyBytes)
	case errors.As(err, &slow) && slow.Timeout():
		return nil, refusal(http.StatusRequestTimeout, "the body did not come within %s", bodyTime)
	case err != nil:
		return nil, refusal(http.StatusBadRequest, "the body was cut off: %v", err)
	}
	// The deadline would end the watch for a client that disconnects, too.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return nil, problemOf(err)
	}
	return body, nil
}
