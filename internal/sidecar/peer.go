package sidecar

import (
	"context"
	"net"
	"net/http"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"rbdctl/internal/fault"
)

// guests are the users and groups that may use the socket.
type guests struct {
	uids []uint32
	gids []uint32
}

// newGuests are those of the configuration; by default, this process's own user
// and root.
func newGuests(c Config) guests {
	if len(c.AllowUIDs)+len(c.AllowGIDs) == 0 {
		return guests{uids: []uint32{0, uint32(os.Geteuid())}}
	}
	return guests{uids: c.AllowUIDs, gids: c.AllowGIDs}
}

func (g guests) include(peer unix.Ucred) bool {
	return slices.Contains(g.uids, peer.Uid) || slices.Contains(g.gids, peer.Gid)
}

// only refuses the requests of strangers. The kernel vouches for who they are, as
// of when they connected.
func (g guests) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := peerOf(r.Context())
		if ok && g.include(peer) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		exchangeOf(r.Context()).refuse(problemOf(fault.Newf(fault.ErrDenied,
			"user %d of group %d may not use this socket: allow it with --allow-uid or --allow-gid", peer.Uid, peer.Gid)))
	})
}

type peerKey struct{}

// withPeer notes who is at the other end of a UNIX socket.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	local, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := local.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || failed != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, *peer)
}

// peerOf is who made a request; false when that is not known.
func peerOf(ctx context.Context) (unix.Ucred, bool) {
	peer, ok := ctx.Value(peerKey{}).(unix.Ucred)
	return peer, ok
}
