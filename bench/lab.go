package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"rbdctl/internal/lab"
	"rbdctl/pools"
	"rbdctl/rbd"
)

// ownLab brings up a cluster as an operator's is: three BlueStore OSDs, three
// replicas, Ceph's own timing, and the four pools as `rbdctl pools init` makes
// them. It returns the ceph.conf and what takes the lab down.
func ownLab(ctx context.Context, log io.Writer) (conf string, down func(), err error) {
	dir, err := os.MkdirTemp("/var/tmp", "rbdctl-bench-") // /tmp may be memory
	if err != nil {
		return "", nil, err
	}
	o := lab.Options{Dir: filepath.Join(dir, "lab"), OSDs: 3, Store: lab.BlueStore, NoLibvirt: true, Log: log}
	down = func() {
		_ = lab.Down(context.WithoutCancel(ctx), lab.DownOptions{Dir: o.Dir, Log: log})
		_ = os.RemoveAll(dir)
	}
	l, err := lab.Up(ctx, o)
	if err == nil {
		err = initPools(ctx, l.ConfFile())
	}
	if err != nil {
		down()
		return "", nil, err
	}
	return l.ConfFile(), down, nil
}

func initPools(ctx context.Context, conf string) error {
	cluster, err := rbd.Dial(ctx, rbd.Config{ConfFile: conf, Entity: "client.admin"})
	if err != nil {
		return err
	}
	defer cluster.Close()
	topology, err := pools.Read(ctx, cluster)
	if err != nil {
		return err
	}
	plan, err := pools.NewPlan(topology, pools.Standard(), pools.Options{})
	if err != nil {
		return err
	}
	_, err = pools.Apply(ctx, cluster, cluster, plan)
	return err
}
