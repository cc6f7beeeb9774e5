package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// front is where requests come in by one listener.
type front struct {
	*http.Server

	listener net.Listener
	arrivals arrivals
	ended    chan struct{} // closed when no more connections are taken
}

// serve begins to serve; how it ends goes to ended, unless it was asked to.
func (s *Server) serve(l net.Listener, handler http.Handler, ended chan<- error) *front {
	f := &front{listener: l, ended: make(chan struct{})}
	f.Server = &http.Server{
		Handler:           f.arrivals.heard(handler),
		ReadHeaderTimeout: headerTime,
		MaxHeaderBytes:    headerBytes,
		IdleTimeout:       idleTime,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return withPeer(f.arrivals.come(ctx, conn), conn)
		},
		ConnState:   f.arrivals.changed,
		BaseContext: func(net.Listener) context.Context { return s.hard },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(f.ended)
		if err := f.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			ended <- err
		}
	}()
	return f
}

// Shutdown takes no more connections, and returns when those that there are have had
// their answers, or ctx ends. The one of http.Server closes a connection without an
// answer when its first request comes after the call, or is being read: with a socket
// that systemd holds, a client would see that as a failure in a mere restart.
func (f *front) Shutdown(ctx context.Context) error {
	_ = f.listener.Close()
	<-f.ended
	f.arrivals.wait(ctx) // headerTime is the most that one takes
	return f.Server.Shutdown(ctx)
}

// arrivals are the connections whose first request has not been read.
type arrivals struct {
	group

	mu   sync.Mutex
	open map[net.Conn]bool
}

type arrivalKey struct{}

// come notes a new connection.
func (a *arrivals) come(ctx context.Context, conn net.Conn) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = make(map[net.Conn]bool)
	}
	a.open[conn] = true
	a.add()
	return context.WithValue(ctx, arrivalKey{}, conn)
}

// heard strikes off the connections of the requests that come to next.
func (a *arrivals) heard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(arrivalKey{}).(net.Conn); ok {
			a.strike(conn)
		}
		next.ServeHTTP(w, r)
	})
}

// changed strikes off a connection that is closed before it has sent a request.
func (a *arrivals) changed(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		a.strike(conn)
	}
}

func (a *arrivals) strike(conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[conn] {
		delete(a.open, conn)
		a.done()
	}
}
