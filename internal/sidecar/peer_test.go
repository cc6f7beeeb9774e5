package sidecar

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStranger: who is not on the list gets nothing but the reason, whatever the
// mode of the socket.
func TestStranger(t *testing.T) {
	const nobody = 65534
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	for _, tt := range []struct {
		name string
		edit func(*Config)
		want int
	}{
		{"by default", func(*Config) {}, http.StatusOK},
		{"own user", func(c *Config) { c.AllowUIDs = []uint32{nobody, uid} }, http.StatusOK},
		{"own group", func(c *Config) { c.AllowUIDs, c.AllowGIDs = []uint32{nobody}, []uint32{gid} }, http.StatusOK},
		{"another user", func(c *Config) { c.AllowUIDs = []uint32{nobody} }, http.StatusForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, tt.edit)
			for _, path := range []string{"/v1/stats", "/openapi.json"} {
				p := r.wants(tt.want, http.MethodGet, path, nil)
				if tt.want == http.StatusForbidden {
					checkProblem(t, p)
					if p.kind() != "denied" || !strings.Contains(p.detail(), "--allow-uid") {
						t.Errorf("refused: %s", p.text)
					}
				}
			}
			if info, err := os.Stat(r.socket); err != nil || info.Mode().Perm() != 0o660 {
				t.Errorf("the socket: %v, %v", info.Mode(), err)
			}
		})
	}
}

// TestOtherUser connects as another user, for whom the socket is open.
func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("only root can be another user: run the tests as root")
	}
	r := start(t)
	r.must(os.Chmod(filepath.Dir(r.socket), 0o755))
	r.must(os.Chmod(r.socket, 0o666))
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dialAs(65534, r.socket) },
	}}
	stranger := &running{T: t, Server: r.Server, client: client}
	if p := stranger.wants(http.StatusForbidden, http.MethodGet, "/v1/stats", nil); !strings.Contains(p.detail(), "user 65534") {
		t.Errorf("refused: %s", p.text)
	}
	r.wants(http.StatusOK, http.MethodGet, "/v1/stats", nil)
	if !strings.Contains(r.log.String(), `"uid":65534`) {
		t.Error("the log does not name the user")
	}
}

// dialAs connects with the effective ids of another user: those of a thread of
// its own, which ends with it.
func dialAs(id int, socket string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	dialed := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, _, errno := unix.RawSyscall(call, uintptr(id), uintptr(id), uintptr(id)); errno != 0 {
				dialed <- result{err: errno}
				return
			}
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
		}
		if err != nil {
			dialed <- result{err: err}
			return
		}
		file := os.NewFile(uintptr(fd), socket)
		defer file.Close()
		conn, err := net.FileConn(file)
		dialed <- result{conn, err}
	}()
	r := <-dialed
	return r.conn, r.err
}
