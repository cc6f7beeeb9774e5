package rbd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestFenceLasts: a client is kept out for as long as is wanted, also when somebody has
// blocklisted it for a moment before: then from the end of that moment on. Done with the
// caps that services have.
func TestFenceLasts(t *testing.T) {
	const moment = 30 * time.Second // is relied upon
	images := rbd.NewImages(service(t))
	for _, before := range []string{"", "5", "30"} {
		address := someAddress()
		if before != "" {
			labtest.Ceph(t, "osd", "blocklist", "add", address, before)
		}
		begin := time.Now()
		if err := rbd.Fence(t, images, address, aYear); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		if before == "30" {
			if left := keptOut(t, address); took > moment/2 || left > moment {
				t.Errorf("relied upon after %s, with %s left: the monitors extend entries", took, left)
			}
			eventually(t, 2*moment, func() bool {
				_, _ = images.List(t.Context(), labtest.Pool(t), "") // any call does it
				return keptOut(t, address) > aYear/2
			})
		}
		if left := keptOut(t, address); left < aYear/2 {
			t.Errorf("blocklisted for %q seconds before: it is kept out for %s", before, left)
		}
	}
}

// service is a connection with no more caps than a service of OpenStack's has.
func service(t *testing.T) *rbd.Cluster {
	t.Helper()
	key := labtest.Ceph(t, "auth", "get-or-create-key", "client.fences", "mon", "profile rbd", "osd", "profile rbd")
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.fences", Key: bytes.TrimSpace(key)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually fails the test unless holds comes true within limit.
func eventually(t testing.TB, limit time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s", limit)
		}
	}
}

// someAddress is the address of a client that nobody keeps out yet.
func someAddress() string { return fmt.Sprintf("127.0.0.1:0/%d", rand.Uint32()) }

// keptOut is for how long a client is still blocklisted.
func keptOut(t *testing.T, address string) time.Duration {
	t.Helper()
	for _, e := range blocklist(t) {
		if e.Addr != address {
			continue
		}
		until, err := time.Parse("2006-01-02T15:04:05.999999-0700", e.Until)
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(until)
	}
	return 0
}

type blocked struct {
	Addr  string `json:"addr"`
	Until string `json:"until"`
}

// blocklist reads all of the monitors' answer: it is several lists, one after the
// other.
func blocklist(t *testing.T) []blocked {
	t.Helper()
	var all []blocked
	for d := json.NewDecoder(bytes.NewReader(labtest.Ceph(t, "osd", "blocklist", "ls", "--format", "json"))); d.More(); {
		var list []blocked
		if err := d.Decode(&list); err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
	}
	return all
}
