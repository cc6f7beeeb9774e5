package rbd

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"rbdctl/internal/fault"
)

// idle is nil when no client has the image open for writing: ErrInUse, with the
// client's address, otherwise. Clients that are blocklisted don't count: they have
// nothing more to say.
func (o *openImage) idle() error {
	live, err := o.liveWatchers()
	if err == nil && len(live) > 0 {
		err = fault.Newf(ErrInUse, "the image is open by the client at %s: it stays as it is", strings.Join(live, ", "))
	}
	return err
}

// liveWatchers are the addresses of those clients that have the image open and may
// still write to it.
func (o *openImage) liveWatchers() ([]string, error) {
	watchers, err := native(o.s, "rbd_watchers_list", o.ListWatchers)
	if err != nil || len(watchers) == 0 {
		return nil, err
	}
	fenced, err := o.s.blocklist()
	if err != nil {
		return nil, err
	}
	var live []string
	for _, w := range watchers {
		if address := bareAddress(w.Addr); !fenced.has(address) {
			live = append(live, address)
		}
	}
	if len(live) == len(watchers) {
		return live, nil
	}
	// The monitors know of the blocklisting, an OSD perhaps not yet. What this
	// connection asks for once it has the map, an OSD does with that map.
	return live, run(o.s, "rados_wait_for_latest_osdmap", o.s.conn().WaitForLatestOSDMap)
}

// blocklisted are the clients that the monitors keep from writing.
type blocklisted struct {
	addresses map[string]bool
	networks  []netip.Prefix
}

// has tells whether a client is kept from writing: by its own address, with all
// others of its host ("10.0.0.1:0/0"), or of its network.
func (b blocklisted) has(address string) bool {
	host, _ := splitAddress(address)
	if b.addresses[address] || b.addresses[host+":0/0"] {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && slices.ContainsFunc(b.networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// splitAddress takes "10.0.0.1:0/42" apart: the host, and what is behind the slash.
func splitAddress(address string) (host, nonce string) {
	host, nonce, _ = strings.Cut(address, "/")
	if i := strings.LastIndex(host, ":"); i >= 0 {
		host = host[:i]
	}
	return host, nonce
}

// blocklist asks the monitors.
//
// Similar To: ceph osd blocklist ls
func (s *scope) blocklist() (blocklisted, error) {
	out, err := s.monCommand([]byte(`{"prefix":"osd blocklist ls","format":"json"}`))
	if err != nil {
		return blocklisted{}, err
	}
	return parseBlocklist(out)
}

// parseBlocklist reads the answer: an array of clients, and from Pacific on another
// one, of networks, behind it.
func parseBlocklist(out []byte) (blocklisted, error) {
	list := blocklisted{addresses: map[string]bool{}}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var entries []struct {
			Address string `json:"addr"`
			Range   string `json:"range"` // "cidr:10.0.0.0:0/24"
		}
		err := in.Decode(&entries)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, fmt.Errorf("the monitors' blocklist: %w", err)
		}
		for _, e := range entries {
			address := cmp.Or(e.Range, e.Address)
			if network, ok := strings.CutPrefix(address, "cidr:"); ok || e.Range != "" {
				host, bits := splitAddress(network)
				if n, err := netip.ParsePrefix(strings.Trim(host, "[]") + "/" + bits); err == nil {
					list.networks = append(list.networks, n)
				}
				continue
			}
			list.addresses[bareAddress(address)] = true
		}
	}
}
