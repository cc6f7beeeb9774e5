// Package spec reads rbdctl.yaml, the file that describes one integration of a
// Ceph cluster with OpenStack.
//
// The words: a role is what a pool is for (volumes, vms, images, backups); a
// node is a host with a libvirt; a [Spec] is the whole wish, in the types of the
// packages that fulfil it. What the file leaves out has a default, so an empty
// file, or none, is the standard integration.
//
//	wish, err := spec.Load("/etc/rbdctl/rbdctl.yaml")
//	…
//	entities, err := wish.Entities()
//
// Reading is strict: a field that is not known, a field given twice, a number
// where a name belongs and a second document are errors. An error is one line
// and lists every complaint with its file, line and column, so that a file is
// corrected in one go.
//
// The package asks no cluster and no libvirt: whether the wish can be fulfilled
// is for others to find out. There are no keys in the file, and what looks like
// one is never repeated in an error.
package spec

import (
	"rbdctl/keyring"
	"rbdctl/pools"
)

// Spec is what is wished for.
type Spec struct {
	File    string         // that it was read from; empty: all defaults
	Cluster Cluster        // where
	Pools   []pools.Params // one for each role, in the order of Roles
	Count   pools.Options  // how placement groups are counted, and what may move
	Names   keyring.Pools  // the pools by role
	Layout  keyring.Layout // who shares an entity
	Secrets []Secret       // on every node, by entity
	Nodes   []Node         // by name; none: secrets are nobody's business
}

// Cluster is how to reach the cluster. Empty fields mean that the file does not
// say.
type Cluster struct {
	CephConf string // path of ceph.conf
	Entity   string // full cephx name of an administrator
}

// Secret is a libvirt secret that holds the key of an entity.
type Secret struct {
	Entity  keyring.Entity
	UUID    string   // of a new secret; empty: made from fsid and entity
	Adopt   []string // usage names of which an existing secret is used instead
	Private bool     // libvirt gives the value to guests only
}

// Node is a host with a libvirt.
type Node struct {
	Name string
	URI  string // of its libvirt
}

// Roles are what pools are for, in the order in which they are shown.
func Roles() []string { return []string{"volumes", "vms", "images", "backups"} }

// Standard is the wish of an empty file: the four standard pools, the five
// standard entities, secrets for client.cinder and client.nova, and no nodes to
// put them on.
func Standard() Spec {
	s := Spec{Pools: pools.Named(Roles()...), Count: pools.Options{Formula: pools.Card, Target: pools.DefaultTarget}, Layout: keyring.Separate}
	for i := range s.Pools {
		s.Pools[i].Policy = pools.Pinned
	}
	s.name()
	s.Secrets = s.guestSecrets()
	return s
}

// name takes the names of the pools over into Names.
func (s *Spec) name() {
	s.Names = keyring.Pools{
		Volumes: s.Pools[0].Name, VMs: s.Pools[1].Name, Images: s.Pools[2].Name, Backups: s.Pools[3].Name,
	}
}

// Entities are the entities of the layout with the caps that the pools' names
// give them. An error is of kind fault.ErrInvalid: a name that no cap can carry.
func (s Spec) Entities() ([]keyring.Params, error) {
	return keyring.Standard(s.Layout, s.Names)
}

// guestSecrets are those of the entities that guests reach their disks as: of
// Cinder's for volumes and, where Nova has one of its own, of that.
func (s Spec) guestSecrets() []Secret {
	names := []string{"client.cinder", "client.nova"}
	if s.Layout == keyring.SharedCinder {
		names = names[:1]
	}
	var out []Secret
	for _, name := range names {
		entity, err := keyring.ParseEntity(name)
		if err == nil { // they are constants
			out = append(out, Secret{Entity: entity})
		}
	}
	return out
}
