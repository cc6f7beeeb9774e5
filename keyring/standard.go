package keyring

import (
	"cmp"
	"slices"
	"strings"
)

// Params is the desired state of one entity.
type Params struct {
	Entity Entity
	Caps   Caps
	User   string // the system user, and group, of the service that reads its keyring file
}

// Layout says which services share an entity.
type Layout string

// The layouts.
const (
	// Separate gives each service an entity of its own.
	Separate Layout = "separate"
	// SharedCinder is the layout of Ceph's own guide: Nova uses client.cinder,
	// which therefore reaches vms too, and there is no client.nova.
	SharedCinder Layout = "shared-cinder"
)

// Pools names the pools of the four roles. An empty name means the role's own.
type Pools struct {
	Volumes string `json:"volumes"` // Cinder's volumes
	VMs     string `json:"vms"`     // Nova's disks
	Images  string `json:"images"`  // Glance's images
	Backups string `json:"backups"` // Cinder's backups
}

func (p Pools) withDefaults() Pools {
	return Pools{
		Volumes: cmp.Or(p.Volumes, "volumes"),
		VMs:     cmp.Or(p.VMs, "vms"),
		Images:  cmp.Or(p.Images, "images"),
		Backups: cmp.Or(p.Backups, "backups"),
	}
}

func (p Pools) validate() error {
	for _, name := range []string{p.Volumes, p.VMs, p.Images, p.Backups} {
		if err := printable(name); err != nil {
			return invalidf("pool name: %v", err)
		}
		if strings.ContainsAny(name, `'"/@`) {
			return invalidf("pool name %q: quotes, '/' and '@' can't be part of a cap", clip(name))
		}
	}
	return nil
}

// Standard returns the entities of the standard integration with the least caps
// with which each service can do its work, sorted by name. An unknown layout and
// a pool name that can't be part of a cap are errors of kind ErrInvalid.
//
// Every writer has "profile rbd" at the monitors: it is what lets a client put a
// dead one, by exact address, on the blocklist and take its lock over; with
// "allow r" a dead hypervisor's guests never come back.
func Standard(layout Layout, pools Pools) ([]Params, error) {
	pools = pools.withDefaults()
	if err := pools.validate(); err != nil {
		return nil, err
	}
	desired := []Params{backup(pools), glance(pools), observer(pools)}
	switch layout {
	case Separate:
		desired = append(desired, cinder(pools), nova(pools))
	case SharedCinder:
		desired = append(desired, sharedCinder(pools))
	default:
		return nil, invalidf("unknown layout %q: want %s or %s", clip(string(layout)), Separate, SharedCinder)
	}
	slices.SortFunc(desired, func(a, b Params) int { return strings.Compare(a.Entity.String(), b.Entity.String()) })
	return desired, nil
}

// glance keeps images. It reads volumes and vms because deleting an image lists
// the clones of its snapshots, wherever they are: without, Glance answers 500
// where it should answer 409.
func glance(p Pools) Params {
	return client("glance", "glance", access{write: []string{p.Images}, read: []string{p.Volumes, p.VMs}})
}

// cinder keeps volumes and clones them from images, for which reading is enough.
func cinder(p Pools) Params {
	return client("cinder", "cinder", access{write: []string{p.Volumes}, read: []string{p.Images}})
}

// nova keeps disks. It writes images because a snapshot of a running instance
// becomes an image directly, by a clone; without, Nova copies the whole disk
// through a file, and says nothing. Volumes it reaches as client.cinder, through
// the libvirt secret.
func nova(p Pools) Params {
	return client("nova", "nova", access{write: []string{p.VMs, p.Images}})
}

// sharedCinder is cinder and nova in one, as Ceph's guide has it: images are
// read-only, so Nova's direct snapshots are not to be had in this layout.
func sharedCinder(p Pools) Params {
	return client("cinder", "cinder", access{write: []string{p.Volumes, p.VMs}, read: []string{p.Images}})
}

// backup keeps backups, and writes volumes: a backup begins with a snapshot of
// the volume, and no smaller right makes one (the monitors ask for write access
// to the whole pool before they hand out the ID of a snapshot). cinder-backup
// runs as Cinder's user.
func backup(p Pools) Params {
	return client("cinder-backup", "cinder", access{write: []string{p.Backups, p.Volumes}})
}

// observer is client.rbdctl: it sees everything in the four pools, the journal
// in their namespace rbdctl included, and changes nothing. Capacity, metrics,
// status and reports run as it; the sidecars run as the entity of the service
// that they stand beside, which may write that journal, and what changes the
// cluster runs as an administrator. So its monitor profile is the one that can't
// blocklist; "allow r" would let it read what the monitors keep for others. At
// the manager it may see the fill of the OSDs and the autoscaler's view.
func observer(p Pools) Params {
	params := Params{Entity: Entity{"client", "rbdctl"}, User: "root"}
	add := func(daemon string, g Grant) { params.Caps = append(params.Caps, Cap{daemon, g}) }
	add("mon", Grant{kind: kindProfile, name: "simple-rados-client"})
	add("mgr", Grant{kind: kindCommand, name: "osd df"})
	add("mgr", Grant{kind: kindModule, name: "pg_autoscaler", perms: permRead})
	// Clones of format 1 are found by asking every pool for its list of children,
	// the pools of others too; "profile rbd" has this in it, rbd-read-only has not.
	children := []term{{key: "object_prefix", op: "=", val: "rbd_children"}}
	add("osd", Grant{kind: kindAllow, perms: permClassRead, terms: children})
	for _, pool := range []string{p.Volumes, p.VMs, p.Images, p.Backups} {
		add("mgr", poolProfile("rbd-read-only", pool))
		add("osd", poolProfile("rbd-read-only", pool))
	}
	params.Caps = params.Caps.sorted()
	return params
}

// access says which pools an entity writes and which it only reads.
type access struct{ write, read []string }

// client is a service's entity. At the manager it may ask for the tasks of the
// pools that it writes.
func client(id, user string, a access) Params {
	caps := Caps{{"mon", Grant{kind: kindProfile, name: "rbd"}}}
	for _, pool := range a.write {
		caps = append(caps, Cap{"mgr", poolProfile("rbd", pool)}, Cap{"osd", poolProfile("rbd", pool)})
	}
	for _, pool := range a.read {
		if !slices.Contains(a.write, pool) { // two roles may share a pool
			caps = append(caps, Cap{"osd", poolProfile("rbd-read-only", pool)})
		}
	}
	return Params{Entity: Entity{"client", id}, Caps: caps.sorted(), User: user}
}

func poolProfile(name, pool string) Grant {
	return Grant{kind: kindProfile, name: name, terms: []term{{key: "pool", op: "=", val: pool}}}
}
