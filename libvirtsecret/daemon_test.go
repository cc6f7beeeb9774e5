package libvirtsecret

import (
	"bytes"
	"encoding/base64"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"rbdctl/internal/lab/labtest"
)

// testKey is a cephx key that only ever existed in this file.
type testKey string

func (k testKey) Reveal() []byte { return []byte(k) }

const (
	keyA    testKey = "AQDGBgAAAwAAABAAAwoRGB8mLTQ7QklQV15lbA=="
	keyB    testKey = "AQDGBgAABAAAABAABAsSGSAnLjU8Q0pRWF9mbQ=="
	keyLong testKey = "AgDGBgAABQAAACAABQwTGiEoLzY9REtSWWBnbnV8g4qRmJ+mrbS7wsnQ194="
)

func TestMain(m *testing.M) { labtest.Main(m) }

func testURI(t *testing.T) string {
	t.Helper()
	return labtest.LibvirtURI(t)
}

// dial opens a store that the test closes.
func dial(t *testing.T, uri string) *Store {
	t.Helper()
	store, err := Dial(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// fresh is a standard secret of a cluster that no other test has, removed with
// whatever else carries its fsid when the test is over.
func fresh(t *testing.T, store *Store) Secret {
	t.Helper()
	secret, err := For(uuid.NewString(), "client.cinder")
	if err != nil {
		t.Fatal(err)
	}
	forget(t, store, secret.Usage)
	return secret
}

// forget undefines the secret with this usage name when the test is over.
func forget(t *testing.T, store *Store, usage string) {
	t.Helper()
	t.Cleanup(func() {
		if native, err := find(store.conn, usage); err == nil && native != nil {
			_ = native.Undefine()
			free(native)
		}
	})
}

// define makes a secret as another tool would.
func define(t *testing.T, store *Store, s Secret) *libvirt.Secret {
	t.Helper()
	doc, err := marshalXML(s)
	if err != nil {
		t.Fatal(err)
	}
	native, err := store.conn.SecretDefineXML(doc, 0)
	if err != nil {
		t.Fatal(err)
	}
	forget(t, store, s.Usage)
	t.Cleanup(func() { free(native) })
	return native
}

func raw(t *testing.T, key Key) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(string(key.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantValue compares what libvirt has with the decoded key.
func wantValue(t *testing.T, store *Store, ref string, key Key) {
	t.Helper()
	native, err := find(store.conn, ref)
	if err != nil || native == nil {
		t.Fatalf("look up %s: %v, %v", ref, native, err)
	}
	defer free(native)
	got, err := native.GetValue(0)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, raw(t, key)) {
		t.Errorf("%s holds %d bytes that are not the key", ref, len(got))
	}
}

// proxy stands between a client and libvirt's socket, and can stop like a daemon
// that hangs.
type proxy struct {
	mu sync.Mutex // held while frozen
}

func (p *proxy) freeze() { p.mu.Lock() }
func (p *proxy) thaw()   { p.mu.Unlock() }

func (p *proxy) copy(to io.WriteCloser, from io.Reader) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		_, werr := to.Write(buf[:n])
		p.mu.Unlock()
		if err != nil || werr != nil {
			return
		}
	}
}

// newProxy serves on l what the daemon of uri serves, until the test ends.
func newProxy(t *testing.T, l net.Listener, uri string) *proxy {
	t.Helper()
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	socket := parsed.Query().Get("socket")
	p := &proxy{}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			daemon, err := net.Dial("unix", socket)
			if err != nil {
				_ = client.Close()
				continue
			}
			go p.copy(daemon, client)
			go p.copy(client, daemon)
		}
	}()
	return p
}

// listen opens a UNIX socket and gives the URI by which libvirt reaches it.
func listen(t *testing.T) (l net.Listener, uri string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rbdctl") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sock")
	l, err = net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	return l, "qemu+unix:///session?socket=" + socket
}
