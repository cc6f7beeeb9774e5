package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/fault"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// entity makes a cephx entity and a ceph.conf that names its keyring, and returns
// both; write puts the entity's present key into the keyring.
func entity(t *testing.T, name string) (conf string, write func()) {
	t.Helper()
	dir := shortDir(t)
	conf, keyring := filepath.Join(dir, "ceph.conf"), filepath.Join(dir, "keyring")
	lab, err := os.ReadFile(labtest.Conf(t))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s\n[%s]\nkeyring = %s\n", lab, name, keyring)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addEntity(t, name)
	t.Cleanup(func() { labtest.Ceph(t, "auth", "rm", name) })
	write = func() {
		t.Helper()
		if err := os.WriteFile(keyring, labtest.Ceph(t, "auth", "get", name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	return conf, write
}

func addEntity(t *testing.T, name string) {
	t.Helper()
	labtest.Ceph(t, "auth", "add", name, "mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd")
}

var monHost = regexp.MustCompile(`(?m)^\s*mon[_ ]host\s*=.*$`)

// TestReload: a new key is taken over by a reload, under requests that go on with
// the old connection; a wrong one changes nothing, and neither does a wrong ceph.conf.
func TestReload(t *testing.T) {
	const name = "client.sidecar-reload"
	conf, write := entity(t, name)
	r := start(t, func(c *Config) {
		c.Cluster = rbd.Config{ConfFile: conf, Entity: name, ConnectTimeout: 3 * time.Second}
	})
	path := r.volume(mib)
	before := r.address()

	up := r.beginUpload(path+"/data", mib)
	defer up.Close()
	up.send(mib / 2)
	r.underWay()

	right, err := os.ReadFile(conf)
	r.must(err)
	r.must(os.WriteFile(conf, monHost.ReplaceAll(right, []byte("mon_host = 127.0.0.1:1")), 0o600))
	if err := r.Reload(t.Context()); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("Reload with a ceph.conf that leads nowhere = %v, want unavailable", err)
	}
	r.must(os.WriteFile(conf, right, 0o600))
	labtest.Ceph(t, "auth", "rm", name)
	addEntity(t, name) // with another key
	if err := r.Reload(t.Context()); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("Reload with the old key = %v, want denied", err)
	}
	if now := r.address(); now != before {
		t.Errorf("the connection is %s, was %s", now, before)
	}
	write()
	r.must(r.Reload(t.Context()))
	after := r.address()
	if after == before {
		t.Errorf("the connection is still %s", after)
	}
	if got := r.wants(http.StatusOK, http.MethodGet, path, nil); got.doc["size_bytes"] != float64(mib) {
		t.Errorf("GET = %s", got.text)
	}
	if open := strings.Join(rbd.Leaks(), "\n"); strings.Count(open, "connection as "+name) != 2 {
		t.Errorf("while the upload runs, open: %s", open)
	}
	up.send(mib / 2)
	if p := up.reply(); p.status != http.StatusOK {
		t.Errorf("the upload on the old connection: %d %s", p.status, p.text)
	}
	r.eventually("the old connection ends", func() bool {
		return strings.Count(strings.Join(rbd.Leaks(), "\n"), "connection as "+name) == 1
	})
	secret := keyOf(t, name)
	if strings.Contains(r.log.String(), secret) {
		t.Error("the log has the key in it")
	}
}

func (r *running) address() string {
	r.Helper()
	b, release, err := r.link.lease(r.Context())
	r.must(err)
	defer release()
	return b.cluster.Address()
}

func keyOf(t *testing.T, name string) string {
	t.Helper()
	var list []struct{ Key string }
	if err := json.Unmarshal(labtest.Ceph(t, "auth", "get", name, "--format", "json"), &list); err != nil || len(list) != 1 {
		t.Fatalf("auth get: %v", err)
	}
	return list[0].Key
}

// TestBlocklisted: a client that was fenced goes on with a new connection.
func TestBlocklisted(t *testing.T) {
	r := start(t, ownPool(t))
	path := r.volume(mib)
	fenced := r.address()
	labtest.Ceph(t, "osd", "blocklist", "add", fenced)
	r.eventually("it answers with a new connection", func() bool { // an OSD may answer the old one a moment longer
		p := r.do(http.MethodGet, path, nil)
		if p.status != http.StatusOK && p.kind() != "unavailable" {
			t.Fatalf("GET = %d %s", p.status, p.text)
		}
		return p.status == http.StatusOK && r.address() != fenced
	})
	r.leaves(path)
	r.wants(http.StatusNoContent, http.MethodDelete, path, nil)
	r.leaves()
}

// TestConfMissing: what does not mend itself keeps a sidecar from starting.
func TestConfMissing(t *testing.T) {
	dir := shortDir(t)
	keyless := filepath.Join(dir, "ceph.conf")
	lab, err := os.ReadFile(labtest.Conf(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyless, append(lab, "\n[client.nobody]\nkeyring = /does/not/exist\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		cluster rbd.Config
		want    error
	}{
		{"no ceph.conf", rbd.Config{ConfFile: "/does/not/exist", Entity: "client.admin"}, fault.ErrNotFound},
		{"no keyring", rbd.Config{ConfFile: keyless, Entity: "client.nobody"}, fault.ErrNotFound},
		{"no entity", rbd.Config{ConfFile: labtest.Conf(t), Entity: "cinder"}, fault.ErrInvalid},
	} {
		s, err := New(Config{Socket: filepath.Join(dir, "s"), Cluster: tt.cluster})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); !errors.Is(err, tt.want) {
			t.Errorf("%s: Run = %v, want %v", tt.name, err, tt.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "s")); err == nil {
			t.Errorf("%s: the socket is left", tt.name)
		}
	}
}
