// Command rbdctl joins a Ceph cluster to OpenStack's Glance, Cinder and Nova:
// pools with planned PG numbers, cephx entities and keyrings, libvirt secrets,
// and copy-on-write clones of RAW images. Every command is a short-lived client
// of the cluster; nothing is stored outside of it.
//
// One file holds one command, named after it (pools_plan.go): a constructor, an
// options struct, and a run function that knows nothing of the flag library.
// Results go to standard output and nothing else does; the exit status says
// which kind of failure it was (exit.go).
package main

import (
	"context"
	"os"

	_ "rbdctl/internal/heap" // one arena for all threads
)

func main() {
	os.Exit(run(untilSignal(context.Background()), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
