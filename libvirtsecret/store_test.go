package libvirtsecret

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestList(t *testing.T) {
	store := dial(t, testURI(t))
	fsid := uuid.NewString()
	secret := func(entity string) Secret {
		s, err := For(fsid, entity)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	none, garbage, key, private := secret("client.a"), secret("client.b"), secret("client.c"), secret("client.d")
	private.Private = true
	define(t, store, private)
	if err := define(t, store, garbage).SetValue([]byte("not base64!!"), 0); err != nil {
		t.Fatal(err)
	}
	if err := define(t, store, key).SetValue(raw(t, keyA), 0); err != nil {
		t.Fatal(err)
	}
	define(t, store, none)

	all, err := store.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []Info // others may be using this libvirt
	for _, info := range all {
		if strings.Contains(info.Usage, fsid) {
			got = append(got, info)
		}
	}
	want := []Info{
		{Secret: none, Value: ValueNone},
		{Secret: garbage, Value: ValueGarbage},
		{Secret: key, Value: ValueKey, Fingerprint: fingerprint(raw(t, keyA))},
		{Secret: private, Value: ValuePrivate},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got)\n%s", diff)
	}
}

func TestDialRefuses(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	newProxy(t, tcp, testURI(t))
	closed, gone := listen(t)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, uri string
		want      error
		text      string
	}{
		{"empty", "", ErrInvalid, "no libvirt uri"},
		{"no scheme", "compute1", ErrInvalid, "no libvirt uri"},
		{"newline", "qemu:///system\n", ErrInvalid, "no libvirt uri"},
		{"unknown driver", strings.Replace(testURI(t), "qemu", "nosuch", 1), ErrInvalid, "nosuch"},
		{"nobody listens", gone, ErrUnavailable, "socket"},
		{"not encrypted", "qemu+tcp://" + tcp.Addr().String() + "/session", ErrInvalid, "not encrypted"},
		{"password is not shown", "nosuch+nosuch://me:hunter2@host/system", ErrInvalid, "me:xxxxx@host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, err := Dial(t.Context(), tt.uri)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Dial = %v, %v, want %v with %q", store, err, tt.want, tt.text)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("message: %q", err)
			}
		})
	}
}

// A driver without secrets is told apart from a secret that is not there.
func TestNoSecretDriver(t *testing.T) {
	store := dial(t, "test:///default")
	if _, err := store.List(t.Context()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("List = %v, want %v", err, ErrUnsupported)
	}
}

// A daemon that accepts a connection and says nothing holds nobody up.
func TestDialSilentDaemon(t *testing.T) {
	l, uri := listen(t)
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		c := <-accepted
		cancel(errors.New("the caller has no more time"))
		t.Cleanup(func() { _ = c.Close(); _ = l.Close() })
	}()
	_, err := Dial(ctx, uri)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "no more time") {
		t.Errorf("Dial = %v, want %v and its cause", err, ErrUnavailable)
	}
}

// A daemon that stops in the middle: the caller is let go, with the kind that
// tells whether something may have happened.
func TestCallsOfStoppedDaemon(t *testing.T) {
	l, uri := listen(t)
	p := newProxy(t, l, testURI(t))
	store := dial(t, uri)
	s := fresh(t, store)

	p.freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := store.Register(ctx, s, keyA); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("Register = %v, want %v", err, ErrOutcomeUnknown)
	}
	if _, err := store.List(ctx); !errors.Is(err, ErrUnavailable) {
		t.Errorf("List = %v, want %v", err, ErrUnavailable)
	}
	p.thaw()

	// The call that was let go did not go on to change anything: its next step
	// found its context ended. Registering again ends it well.
	if _, err := store.Register(t.Context(), s, keyA); err != nil {
		t.Fatal(err)
	}
	wantValue(t, store, s.UUID, keyA)
}

func TestClose(t *testing.T) {
	store, err := Dial(t.Context(), testURI(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if _, err := store.List(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("List after Close = %v, want %v", err, ErrUnavailable)
	}
}

// A machine without libvirt runs the same binary and says what is missing. Here
// the library is hidden behind an empty file.
func TestNoLibrary(t *testing.T) {
	const mark = "RBDCTL_TEST_NO_LIBRARY"
	if os.Getenv(mark) != "" {
		_, err := Dial(t.Context(), "qemu:///system")
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "libvirt0") {
			t.Errorf("Dial = %v, want %v naming the package", err, ErrUnsupported)
		}
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "libvirt.so.0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestNoLibrary$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"=1", "LD_LIBRARY_PATH="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNoLibrary") {
		t.Errorf("%v\n%s", err, out)
	}
}
