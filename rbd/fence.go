package rbd

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rbdctl/internal/fault"
)

// How long a client is fenced. An entry of the blocklist ends, and then its client may
// write again: an hour is enough for a process that is dead. For one that is stalled,
// and may wake up, it is a year.
const (
	fencedDead    = time.Hour
	fencedStalled = 365 * 24 * time.Hour
)

// fence keeps one dead or stalled librados instance from writing: it is blocklisted by
// its exact address and nonce, and this connection has seen the map that says so, so
// that each object which it touches from now on is out of the other one's reach.
// `profile rbd` permits just this form.
//
// Similar To: ceph osd blocklist add <address>:0/<nonce> <seconds>
func (s *scope) fence(address string, stalled bool) error {
	if address == s.ses.address {
		return fault.Newf(ErrInvalid, "%s is this connection's own address", address)
	}
	if !strings.Contains(address, "/") {
		return fault.Newf(ErrInvalid, "%q is not the address of one client instance", address)
	}
	span := fencedDead
	if stalled {
		span = fencedStalled
	}
	if err := s.shutOut(address, span); err != nil {
		return fmt.Errorf("blocklisting %s: %w", address, err)
	}
	return run(s, "rados_wait_for_latest_osdmap", s.conn().WaitForLatestOSDMap)
}

// shutOut makes the blocklist have an entry of address that lasts for span, or half of
// it at least. The monitors say that they extend one that is there, and don't (ceph
// src/osd/OSDMap.cc, apply_incremental: blocklist.insert): one that ends too early is
// taken away first. For the moment between, the client is let in again, which
// is less than it would be for when that entry ends.
func (s *scope) shutOut(address string, span time.Duration) error {
	for attempt := 0; ; attempt++ {
		if err := s.changeBlocklist("add", address, span); err != nil {
			return err
		}
		list, err := s.blocklist()
		if err != nil {
			return err
		}
		until, there := list.addresses[address]
		switch {
		case there && time.Until(until) > span/2:
			return nil
		case attempt == 2:
			return fault.Newf(ErrUnavailable, "the monitors keep it out until %s, not for %s", until.Format(time.RFC3339), span)
		case there:
			if err := s.changeBlocklist("rm", address, 0); err != nil {
				return err
			}
		}
	}
}

// changeBlocklist adds an entry, or takes one away.
func (s *scope) changeBlocklist(op, address string, span time.Duration) error {
	entry := map[string]any{"prefix": "osd blocklist", "blocklistop": op, "addr": address, "format": "json"}
	if span > 0 {
		// The monitor wants a number with a point, which Go writes of none that is whole.
		entry["expire"] = json.RawMessage(fmt.Sprintf("%.1f", span.Seconds()))
	}
	cmd, err := json.Marshal(entry)
	if err == nil {
		_, err = s.monCommand(cmd)
	}
	return err
}
