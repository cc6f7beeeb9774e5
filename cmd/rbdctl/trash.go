package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/backends"
	"rbdctl/rbd"
)

func trashCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:        "trash",
		Usage:       "deleted volumes: bring one back, or remove them for good",
		Subcommands: []*cli.Command{trashLsCommand(e), trashRestoreCommand(e), trashPurgeCommand(e)},
	}
}

// poolFlag names the pool that a command about volumes works on.
func poolFlag(pool *string) cli.Flag {
	return &cli.StringFlag{Name: "pool", Value: backends.PoolVolumes, Usage: "in `POOL`", Destination: pool}
}

// onImages connects and runs fn.
func (e *env) onImages(ctx context.Context, fn func(*rbd.Images) error) error {
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	return fn(rbd.NewImages(cluster))
}

// quickOnImages is onImages for what --timeout bounds.
func (e *env) quickOnImages(ctx context.Context, fn func(context.Context, *rbd.Images) error) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	return e.onImages(ctx, func(images *rbd.Images) error { return fn(ctx, images) })
}
