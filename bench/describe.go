package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/ceph/go-ceph/rados"
)

// describe says on what the figures were measured.
func (b *bench) describe(w io.Writer) {
	major, minor, patch := rados.Version()
	fmt.Fprintf(w, "# Results\n\nMade by `make bench`. Medians and ratios of alternating runs on one machine, whose\nspeed drifts: compare within a table, not between two runs.\n\n")
	fmt.Fprintf(w, "- librados %d.%d.%d (API), %s, %d CPUs\n", major, minor, patch, runtime.Version(), runtime.NumCPU())
	fmt.Fprintf(w, "- one monitor, one manager, three BlueStore OSDs on files, 3 replicas, all on this machine\n")
}
