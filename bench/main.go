// Command bench measures rbdctl beside what an operator would otherwise use, on
// one cluster, in one run, the contenders taking turns: the bare librbd calls on
// an open connection, the rbd tool, a connection per operation with the Python
// bindings (as the upstream drivers do), rados bench, qemu-img.
//
//	make bench                                   # a lab of its own, all cases
//	CEPH_CONF=… go run ./bench -only clone       # a cluster that is there
//
// It prints medians and ratios, which is what a noisy machine can say, and
// writes them as Markdown with -out. It is not part of the tests: no figure here
// passes or fails anything.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	_ "rbdctl/internal/heap" // one arena for all threads, as the program has it
	"rbdctl/rbd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	conf   string // ceph.conf of the cluster, which has pools images and volumes
	rbdctl string // the binary, for what is measured as a process
	only   string
	rounds int
	dir    string // for files
	out    string
}

// bench is one run: a cluster and what to do on it.
type bench struct {
	settings
	cluster *rbd.Cluster
	images  *rbd.Images
	log     io.Writer
}

func run(ctx context.Context, out io.Writer) error {
	var s settings
	flag.StringVar(&s.conf, "conf", os.Getenv("CEPH_CONF"), "ceph.conf of a cluster with the pools images and volumes (default: a lab of its own)")
	flag.StringVar(&s.rbdctl, "rbdctl", "bin/rbdctl", "the rbdctl binary")
	flag.StringVar(&s.only, "only", "", "run the cases whose name begins with this")
	flag.IntVar(&s.rounds, "rounds", 30, "rounds of the short cases; the long ones have a fifth of it")
	flag.StringVar(&s.dir, "dir", "", "where to put files (default: a temporary directory)")
	flag.StringVar(&s.out, "out", "", "write the results to this file, as Markdown")
	flag.Parse()
	if s.conf == "" {
		conf, down, err := ownLab(ctx, os.Stderr)
		if err != nil {
			return err
		}
		defer down()
		s.conf = conf
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("/var/tmp", "rbdctl-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.dir = dir
	}
	cluster, err := rbd.Dial(ctx, rbd.Config{ConfFile: s.conf, Entity: "client.admin"})
	if err != nil {
		return err
	}
	defer cluster.Close()
	b := &bench{settings: s, cluster: cluster, images: rbd.NewImages(cluster), log: os.Stderr}
	return b.all(ctx, out)
}

func (b *bench) all(ctx context.Context, out io.Writer) error {
	var report strings.Builder
	b.describe(&report)
	for _, c := range []struct {
		name string
		run  func(context.Context) (table, error)
	}{
		{"clone", b.cloneAndGrow},
		{"parallel", b.cloneParallel},
		{"import", b.importFile},
		{"memory", b.importMemory},
		{"sidecar", b.sidecarCreate},
		{"sidecar-parallel", b.sidecarParallel},
		{"sidecar-delete", b.sidecarDelete},
		{"sidecar-memory", b.sidecarMemory},
	} {
		if !strings.HasPrefix(c.name, b.only) {
			continue
		}
		fmt.Fprintln(b.log, "bench: case", c.name)
		t, err := c.run(ctx)
		if err != nil {
			return fmt.Errorf("case %s: %w", c.name, err)
		}
		t.write(&report)
	}
	if b.out != "" {
		if err := os.WriteFile(b.out, []byte(report.String()), 0o644); err != nil {
			return err
		}
	}
	_, err := io.WriteString(out, report.String())
	return err
}
