// Package rbd is rbdctl's one door to a Ceph cluster: a long-lived connection
// with bounds, and RBD images on it. It is the only package that calls librados
// and librbd.
//
//	cluster, err := rbd.Dial(ctx, rbd.Config{ConfFile: "/etc/ceph/ceph.conf", Entity: "client.cinder"})
//	…
//	defer cluster.Close()
//	images := rbd.NewImages(cluster)
//	golden := rbd.ImageSpec{Pool: "images", Image: id}.At("snap")
//	err = images.Clone(ctx, golden, rbd.ImageSpec{Pool: "volumes", Image: "volume-" + id}, rbd.CloneOptions{})
//
// A call of the native libraries cannot be cancelled and by default waits for
// ever. Three layers bound it (decision 0001): the timeouts of librados are set
// before connecting; operations that report progress stop at the next report
// when their context ends; every other call is let go when its context ends, and
// the caller gets [ErrOutcomeUnknown] while the call keeps its slot and its
// handles until the library returns.
//
// Handles of the libraries never leave this package. Everything that it lends
// to a function is closed when the function returns; [Leaks] tells tests what is
// still open.
//
// Words: an image is an RBD image, a clone is an image whose parent is a
// snapshot, a spec is a name as the rbd tool writes it
// ("pool/[namespace/]image[@snap]"). The package knows nothing of OpenStack.
package rbd
