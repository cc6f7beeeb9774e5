package rbd

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rbdctl/internal/fault"
)

// fence keeps one dead librados instance from writing: it is blocklisted by its
// exact address and nonce, and this connection has seen the map that says so, so
// that each object which it touches from now on is out of the dead one's reach.
// `profile rbd` permits just this form.
//
// An entry ends after an hour, and then its client may write again: enough for a
// process that is dead. For one that is stalled, and may wake up, it is a year.
//
// Similar To: ceph osd blocklist add <address>:0/<nonce> [<seconds>]
func (s *scope) fence(address string, stalled bool) error {
	if address == s.ses.address {
		return fault.Newf(ErrInvalid, "%s is this connection's own address", address)
	}
	if !strings.Contains(address, "/") {
		return fault.Newf(ErrInvalid, "%q is not the address of one client instance", address)
	}
	entry := map[string]any{"prefix": "osd blocklist", "blocklistop": "add", "addr": address, "format": "json"}
	if stalled {
		// The monitor wants a number with a point, which Go writes of none that is whole.
		entry["expire"] = json.RawMessage(fmt.Sprintf("%.1f", (365 * 24 * time.Hour).Seconds()))
	}
	cmd, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	if _, err := s.monCommand(cmd); err != nil {
		return fmt.Errorf("blocklisting %s: %w", address, err)
	}
	return run(s, "rados_wait_for_latest_osdmap", s.conn().WaitForLatestOSDMap)
}
