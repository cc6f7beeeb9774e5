package rbd

import (
	"strings"

	"rbdctl/internal/fault"
)

// idle is nil when no client has the image open for writing: ErrInUse, with the
// client's address, otherwise. Clients that are blocklisted don't count: they have
// nothing more to say.
func (o *openImage) idle() error {
	_, live, err := o.watchers()
	if err == nil && len(live) > 0 {
		err = openBy(live)
	}
	return err
}

func openBy(addresses []string) error {
	return fault.Newf(ErrInUse, "the image is open by the client at %s: it stays as it is", strings.Join(addresses, ", "))
}

// watchers are the addresses of the clients that have the image open, and of those
// among them that may still write to it.
func (o *openImage) watchers() (all, live []string, err error) {
	watchers, err := native(o.s, "rbd_watchers_list", o.ListWatchers)
	if err != nil || len(watchers) == 0 {
		return nil, nil, err
	}
	fenced, err := o.s.blocklist()
	if err != nil {
		return nil, nil, err
	}
	for _, w := range watchers {
		address := bareAddress(w.Addr)
		all = append(all, address)
		if !fenced.has(address) {
			live = append(live, address)
		}
	}
	if len(live) == len(all) {
		return all, live, nil
	}
	// The monitors know of the blocklisting, an OSD perhaps not yet. What this
	// connection asks for once it has the map, an OSD does with that map.
	return all, live, run(o.s, "rados_wait_for_latest_osdmap", o.s.conn().WaitForLatestOSDMap)
}
