// Package lab runs a real Ceph cluster and a real libvirt in one directory.
//
// A lab is one monitor, one manager, some OSDs and a private libvirtd, all from
// the distribution's packages and all ordinary processes of whoever called
// [Up]: cephx is on, everything listens on loopback, no system daemon is asked
// and no system file is read or written. "rbdctl lab", the demo and every test
// that needs a cluster use this package, so what they show is what an operator
// gets.
//
// Words: a lab has an id, drawn once and kept in DIR/lab.json; a part is one of
// its daemons ("mon.a", "mgr.x", "osd.0", "libvirtd"); a tool is a short-lived
// helper such as a mkfs.
//
// Every process that Up starts carries the lab's id in its environment, and the
// processes of a lab are found by looking for that mark in /proc, never by a
// recorded pid. A pid that the kernel has given to somebody else is therefore
// not ours, and a process whose start nobody lived to record still is. [Up] and
// [Down] may be killed at any instruction: the next Up completes the lab, the
// next Down removes it.
//
//	l, err := lab.Up(ctx, lab.Options{Dir: "/tmp/lab", Log: os.Stderr})
//	…
//	cluster, err := rbd.Dial(ctx, rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin"})
//	…
//	err = lab.Down(ctx, lab.DownOptions{Dir: "/tmp/lab"})
//
// A lab is no place for data: one host, one copy of the monitor, small caches.
package lab
