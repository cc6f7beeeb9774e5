package rbd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// wrongKey has the form of a cephx key and is nobody's.
const wrongKey = "AQAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAA=="

func TestDialSaysWhy(t *testing.T) {
	conf := labtest.Conf(t)
	labtest.Ceph(t, "auth", "add", "client.capless")
	t.Cleanup(func() { labtest.Ceph(t, "auth", "rm", "client.capless") })
	dead := filepath.Join(t.TempDir(), "ceph.conf")
	text := "[global]\nmon host = v2:127.0.0.1:9\nauth client required = cephx\n"
	if err := os.WriteFile(dead, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name string
		cfg  rbd.Config
		want error
		says string
	}{
		{"wrong key", rbd.Config{ConfFile: conf, Entity: "client.admin", Key: []byte(wrongKey)}, rbd.ErrDenied, "wrong key"},
		{"unknown entity", rbd.Config{ConfFile: conf, Entity: "client.nobody", Key: []byte(wrongKey)}, rbd.ErrDenied, "client.nobody"},
		{"entity without caps", rbd.Config{ConfFile: conf, Entity: "client.capless", Key: keyOf(t, "client.capless")}, rbd.ErrDenied, "no caps"},
		{"no keyring", rbd.Config{ConfFile: conf, Entity: "client.elsewhere"}, rbd.ErrNotFound, "keyring"},
		{"no ceph.conf", rbd.Config{ConfFile: "/nonexistent/ceph.conf", Entity: "client.admin"}, rbd.ErrNotFound, "--ceph-conf"},
		{"not a cephx name", rbd.Config{ConfFile: conf, Entity: "cinder"}, rbd.ErrInvalid, "client.cinder"},
		{"dead monitor", rbd.Config{ConfFile: dead, Entity: "client.admin", Key: []byte(wrongKey), ConnectTimeout: time.Second}, rbd.ErrUnavailable, "mon_host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := rbd.Dial(t.Context(), tt.cfg)
			if err == nil {
				_ = c.Close()
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Dial = %v, want %v with %q", err, tt.want, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), wrongKey) {
				t.Error("the error has the key in it")
			}
		})
	}
}

// TestDialEndsWithItsContext: connecting changes nothing, so to give up on it
// leaves nothing unknown.
func TestDialEndsWithItsContext(t *testing.T) {
	dead := filepath.Join(t.TempDir(), "ceph.conf")
	if err := os.WriteFile(dead, []byte("[global]\nmon host = v2:127.0.0.1:9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := rbd.Dial(ctx, rbd.Config{ConfFile: dead, Entity: "client.admin", Key: []byte(wrongKey), ConnectTimeout: time.Second})
	if !errors.Is(err, rbd.ErrUnavailable) || errors.Is(err, rbd.ErrOutcomeUnknown) {
		t.Errorf("Dial = %v, want unavailable", err)
	}
}

func keyOf(t *testing.T, entity string) []byte {
	t.Helper()
	return []byte(strings.TrimSpace(string(labtest.Ceph(t, "auth", "print-key", entity))))
}

func TestMonCommandKeepsTheMonitorsWords(t *testing.T) {
	c := labtest.Cluster(t)
	if out, err := c.MonCommand(t.Context(), []byte(`{"prefix":"osd pool ls","format":"json"}`)); err != nil || out[0] != '[' {
		t.Errorf("osd pool ls = %q, %v", out, err)
	}
	_, err := c.MonCommand(t.Context(), []byte(`{"prefix":"osd pool get","pool":"nopool","var":"size","format":"json"}`))
	if !errors.Is(err, rbd.ErrNotFound) || !strings.Contains(err.Error(), "unrecognized pool 'nopool'") {
		t.Errorf("get of a missing pool = %v, want not found in the monitors' words", err)
	}
	_, err = c.MonCommand(t.Context(), []byte(`{"prefix":"auth frobnicate","key":"`+wrongKey+`"}`))
	if !errors.Is(err, rbd.ErrInvalid) || strings.Contains(err.Error(), wrongKey) {
		t.Errorf("unknown command = %v, want invalid and no argument in it", err)
	}
}

// TestBlocklistedConnectionIsReplaced: the call that finds out fails, the next
// one works.
func TestBlocklistedConnectionIsReplaced(t *testing.T) {
	s := newSpace(t)
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	s.must(err)
	defer c.Close()
	images := rbd.NewImages(c)
	s.must(images.Create(t.Context(), s.image("before"), 4<<20, rbd.CreateOptions{}))

	address := c.Address()
	labtest.Ceph(t, "osd", "blocklist", "add", address)
	t.Cleanup(func() { labtest.Ceph(t, "osd", "blocklist", "rm", address) })
	var failed error
	for n := range 100 { // the new map reaches the connection with an answer or two
		if failed = images.Create(t.Context(), s.image("try-"+string(rune('a'+n%26))+string(rune('a'+n/26))), 4<<20, rbd.CreateOptions{}); failed != nil {
			break
		}
	}
	if !errors.Is(failed, rbd.ErrUnavailable) {
		t.Fatalf("create while blocklisted = %v, want unavailable", failed)
	}
	s.must(images.Create(t.Context(), s.image("after"), 4<<20, rbd.CreateOptions{}))
	if c.Address() == address {
		t.Error("the connection was not replaced")
	}
}

func TestCloseTwice(t *testing.T) {
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	if _, err := c.FSID(t.Context()); !errors.Is(err, rbd.ErrUnavailable) {
		t.Errorf("a call after Close = %v, want unavailable", err)
	}
}
