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

// TestFenceLasts: a dead client is kept out for an hour, one that may only be
// stalled for a year, also when somebody has blocklisted it for less before.
func TestFenceLasts(t *testing.T) {
	s := newSpace(t)
	for _, tt := range []struct {
		stalled bool
		atLeast time.Duration
	}{
		{false, 50 * time.Minute},
		{true, 300 * 24 * time.Hour},
	} {
		for _, before := range []string{"", "60", "7200"} {
			address := someAddress()
			if before != "" {
				labtest.Ceph(t, "osd", "blocklist", "add", address, before)
			}
			s.must(rbd.Fence(t, s.images, address, tt.stalled))
			if until := keptOut(t, address); until < tt.atLeast {
				t.Errorf("blocklisted for %q seconds before, and stalled %t: kept out for %s, want %s", before, tt.stalled, until, tt.atLeast)
			}
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
