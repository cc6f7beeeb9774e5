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
// stalled for a year.
func TestFenceLasts(t *testing.T) {
	s := newSpace(t)
	for _, tt := range []struct {
		stalled bool
		atLeast time.Duration
	}{
		{false, 50 * time.Minute},
		{true, 300 * 24 * time.Hour},
	} {
		address := fmt.Sprintf("127.0.0.1:0/%d", rand.Uint32()) // kept out by nobody yet
		s.must(rbd.Fence(t, s.images, address, tt.stalled))
		entries, found := blocklist(t), false
		for _, e := range entries {
			if e.Addr != address {
				continue
			}
			found = true
			until, err := time.Parse("2006-01-02T15:04:05.999999-0700", e.Until)
			s.must(err)
			if time.Until(until) < tt.atLeast {
				t.Errorf("%s is kept out until %s, want %s at least", address, e.Until, tt.atLeast)
			}
		}
		if !found {
			t.Errorf("%s is not kept out: %v", address, entries)
		}
	}
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
