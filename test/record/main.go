// Command record writes down what the monitors of a real cluster answer, for
// tests that replay it:
//
//	go run ./test/record
//
// It brings up a lab of its own, puts it into one state after the other, reads
// each as package pools does, and writes the commands and answers of each state
// to test/monanswers/<ceph version>/<state>.json. Nothing there is typed by hand.
// Of the description of all commands, which is long, it keeps two.
//
// The lab is taken down whatever happens.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"rbdctl/internal/lab"
	"rbdctl/pools"
	"rbdctl/rbd"
)

func main() {
	out := flag.String("out", "test/monanswers", "write below this directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := record(ctx, *out)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

// record records everything from a lab that lives as long as it takes.
func record(ctx context.Context, out string) (err error) {
	dir, err := os.MkdirTemp("", "record-")
	if err != nil {
		return err
	}
	defer func() {
		down := lab.Down(context.WithoutCancel(ctx), lab.DownOptions{Dir: dir})
		err = errors.Join(err, down, os.RemoveAll(dir))
	}()
	l, err := lab.Up(ctx, lab.Options{Dir: dir, Store: lab.MemStore, FastMon: true, NoLibvirt: true, Log: os.Stderr})
	if err != nil {
		return err
	}
	cluster, err := rbd.Dial(ctx, rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin"})
	if err != nil {
		return err
	}
	defer cluster.Close()
	return recordStates(ctx, cluster, out)
}

func recordStates(ctx context.Context, cluster *rbd.Cluster, out string) error {
	top, err := pools.Read(ctx, cluster)
	if err != nil {
		return err
	}
	out = filepath.Join(out, top.Version)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, s := range states() {
		fmt.Fprintln(os.Stderr, "record:", s.name)
		t := &tape{cluster: cluster}
		if err := s.reach(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := t.write(filepath.Join(out, s.name+".json")); err != nil {
			return err
		}
	}
	return nil
}
