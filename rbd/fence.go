package rbd

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
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

// fencedLeast is how long a fence must last, from now on, for anybody to rely on it: by
// its end it has been made anew. fenceWait is how long fence waits for one.
const (
	fencedLeast = 15 * time.Second
	fenceWait   = 30 * time.Second
)

// fence keeps one dead or stalled librados instance from writing, for span: it is
// blocklisted by its exact address and nonce, and this connection has seen the map that
// says so, so that each object which it touches from now on is out of the other one's
// reach. `profile rbd` permits just this form.
//
// An entry that is there and ends earlier counts, if it lasts for a moment more: it is
// made anew when it has ended, as long as this process lives.
//
// Similar To: ceph osd blocklist add <address>:0/<nonce> <seconds>
func (s *scope) fence(address string, span time.Duration) error {
	if address == s.ses.address {
		return fault.Newf(ErrInvalid, "%s is this connection's own address", address)
	}
	if !strings.Contains(address, "/") {
		return fault.Newf(ErrInvalid, "%q is not the address of one client instance", address)
	}
	for deadline := time.Now().Add(fenceWait); ; time.Sleep(time.Second) { //nolint:forbidigo // nobody tells of an entry's end
		left, err := s.blocklistFor(address, span)
		if err != nil {
			return fmt.Errorf("blocklisting %s: %w", address, err)
		}
		if left > fencedLeast {
			return run(s, "rados_wait_for_latest_osdmap", s.conn().WaitForLatestOSDMap)
		}
		if time.Now().After(deadline) {
			return fault.Newf(ErrUnavailable, "the monitors keep %s out for %s only: try again", address, left)
		}
	}
}

// blocklistFor asks for an entry and tells for how long it lasts. The monitors say that
// they extend one that is there, and don't (ceph src/osd/OSDMap.cc,
// apply_incremental: blocklist.insert), and `profile rbd` may not remove one: it is
// asked for again when the one that is there has ended.
func (s *scope) blocklistFor(address string, span time.Duration) (time.Duration, error) {
	cmd, err := json.Marshal(map[string]any{
		"prefix": "osd blocklist", "blocklistop": "add", "addr": address, "format": "json",
		// The monitor wants a number with a point, which Go writes of none that is whole.
		"expire": json.RawMessage(fmt.Sprintf("%.1f", span.Seconds())),
	})
	if err == nil {
		_, err = s.monCommand(cmd)
	}
	if err != nil {
		return 0, err
	}
	list, err := s.blocklist()
	if err != nil {
		return 0, err
	}
	left := max(0, time.Until(list.addresses[address])) // 0 when the one that was there has just ended
	if left < span/2 {
		s.fences.again(address, span, left)
	}
	return left, nil
}

// fences are the clients that are to be fenced, or fenced anew, and when.
type fences struct {
	mu  sync.Mutex
	due map[string]fenceDue // by address
}

type fenceDue struct {
	at   time.Time
	span time.Duration
}

// again notes that address is to be fenced in a while, and a second.
func (f *fences) again(address string, span, in time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due == nil {
		f.due = map[string]fenceDue{}
	}
	f.due[address] = fenceDue{time.Now().Add(in + time.Second), span}
}

// take takes those out that are due.
func (f *fences) take() map[string]time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due map[string]time.Duration
	for address, d := range f.due {
		if time.Now().Before(d.at) {
			continue
		}
		if due == nil {
			due = map[string]time.Duration{}
		}
		due[address] = d.span
		delete(f.due, address)
	}
	return due
}
