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
	"syscall"
	"time"
)

// blocklisted are the clients that the monitors keep from writing.
type blocklisted struct {
	addresses map[string]time.Time // until when
	networks  []netip.Prefix
}

// has tells whether a client is kept from writing: by its own address, with all
// others of its host ("10.0.0.1:0/0"), or of its network.
func (b blocklisted) has(address string) bool {
	host, _ := splitAddress(address)
	for _, entry := range []string{address, host + ":0/0"} {
		if _, found := b.addresses[entry]; found {
			return true
		}
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

// confirmNotFound is err, by which librbd says that an image is not there, unless this
// connection is blocklisted: one that was a moment ago is told so of an image that is
// there by Ceph 16.2, once in some hundred times. The monitors know of it before any OSD
// does.
func (s *scope) confirmNotFound(err error) error {
	list, failed := s.blocklist()
	switch {
	case isErrno(failed, syscall.EACCES, syscall.EPERM): // it may not ask that
	case failed != nil:
		return failed
	case list.has(s.ses.address):
		return errShutOut
	}
	return err
}

// parseBlocklist reads the answer: an array of clients, and from Pacific on another
// one, of networks, behind it.
func parseBlocklist(out []byte) (blocklisted, error) {
	list := blocklisted{addresses: map[string]time.Time{}}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var entries []struct {
			Address string `json:"addr"`
			Range   string `json:"range"` // "cidr:10.0.0.0:0/24"
			Until   string `json:"until"`
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
			until, err := time.Parse("2006-01-02T15:04:05.999999-0700", e.Until)
			if err != nil { // a date that is no calendar's
				until = time.Now().Add(fencedStalled)
			}
			list.addresses[bareAddress(address)] = until
		}
	}
}
