// Package libvirtsecret keeps cephx keys in libvirt, where QEMU finds them.
//
// A secret is libvirt's: a UUID, a usage name, a few attributes, and as its value
// the key of one cephx entity. A guest's disk names the secret by UUID, so the
// UUID must be the same on every node that a guest may move to; the usage name is
// unique on a node and carries the entity and the cluster's fsid.
//
//	store, err := libvirtsecret.Dial(ctx, "qemu:///system")
//	…
//	defer store.Close()
//	secret, err := libvirtsecret.For(fsid, "client.cinder")
//	result, err := store.Register(ctx, secret, key)
//
// Registering again changes nothing. A secret that already has the usage name is
// adopted with the UUID that it has, because attached volumes refer to that UUID.
//
// libvirt is loaded at run time (build tag libvirt_dlopen); a machine without it
// gets [ErrUnsupported]. Calls of libvirt block and cannot be cancelled: each
// runs under its caller's context, and is let go when that ends.
//
// A key enters as something that can be revealed, is decoded for exactly the
// call, and is overwritten after it, as far as the language allows: the library's
// Go binding and libvirt itself make copies that this package cannot reach. No
// key is ever part of an error, a result or a String.
//
// The package does not fetch keys, knows no Ceph library (who wants a stored key
// tried against the cluster brings a prober), and writes no files.
package libvirtsecret
