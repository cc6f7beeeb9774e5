// Package keyring decides what the OpenStack services may do on a Ceph cluster,
// makes the monitors agree, and writes the files that the services read.
//
// The words: an [Entity] is a cephx name with its type, such as client.cinder; a
// [Key] is what proves that name and never prints itself; a [Cap] is one [Grant]
// at one kind of daemon, and [Caps] are all that an entity may do. A [Keyring] is
// a set of entities with keys and caps: the authentication database is one, and
// so is the file /etc/ceph/ceph.client.cinder.keyring.
//
//	desired, err := keyring.Standard(keyring.Separate, keyring.Pools{})
//	…
//	done, err := keyring.Issue(ctx, cluster, desired, keyring.Options{})
//	…
//	cinder, err := keyring.Read(ctx, cluster, entity)
//	…
//	file, err := keyring.WriteFile("/etc/ceph/ceph.client.cinder.keyring", cinder.Bare(), owner)
//
// Caps are compared by what they mean. The monitors compare them as text, accept
// names of profiles and pools that don't exist, and lose what one forgets to
// repeat; this package knows the profiles, asks for the pools, always sends the
// whole set and reads back what it wrote.
//
// It never changes the key of an entity that exists, never touches an entity
// that it was not told about, and never the ones that the cluster itself lives
// on: client.admin, mon., osd.*, mds.*, mgr.* and client.bootstrap-*.
//
// It does not connect to anything (a caller lends the connection), does not run
// commands, and does not rotate keys.
package keyring

import "rbdctl/internal/fault"

// The kinds of failure that this package returns, besides those of the
// connection that it is lent.
var (
	ErrInvalid     = fault.ErrInvalid     // a name, key, cap or file that is not one, or not ours to touch
	ErrNotFound    = fault.ErrNotFound    // no such entity or pool
	ErrDenied      = fault.ErrDenied      // the file system refuses
	ErrUnsupported = fault.ErrUnsupported // the cluster can't make a key of the wanted type
)

// invalidf returns an error of kind ErrInvalid.
func invalidf(format string, args ...any) error {
	return fault.Newf(fault.ErrInvalid, format, args...)
}
