package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/backends"
	"rbdctl/backends/nova"
	"rbdctl/rbd"
)

func diskCreateCommand(e *env) *cli.Command {
	var opts diskCreateOptions
	return &cli.Command{
		Name:  "create",
		Usage: "make an instance's root disk, as a copy-on-write clone of a Glance image",
		Description: "Makes vms/UUID_disk. The same command again succeeds and changes nothing;\n" +
			"another size or image for the same instance is a conflict (exit status\n" +
			"4). It may be killed at any moment and run again.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "instance", Usage: "the instance's `UUID`", Destination: &opts.create.Instance},
			&cli.StringFlag{Name: "image", Usage: "clone the Glance image `UUID`; without it the disk is blank", Destination: &opts.create.Image},
			sizeFlag("size", "grow it to `SIZE`, such as 5G (1G is 2^30 bytes)", &opts.create.Size),
			&cli.StringFlag{Name: "pool", Value: backends.PoolVMs, Usage: "make it in `POOL`", Destination: &opts.pool},
			&cli.StringFlag{Name: "image-pool", Value: backends.PoolImages, Usage: "find the image in `POOL`", Destination: &opts.imagePool},
		},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			if err := needFlags(c, "instance", "size"); err != nil {
				return err
			}
			return runDiskCreate(c.Context, e, opts)
		},
	}
}

type diskCreateOptions struct {
	create          nova.Create
	pool, imagePool string
}

func runDiskCreate(ctx context.Context, e *env, opts diskCreateOptions) error {
	return e.ensure(ctx, func(ctx context.Context, images *rbd.Images) (rbd.Ensured, error) {
		return nova.Disks{Images: images, Pool: opts.pool, ImagePool: opts.imagePool}.Create(ctx, opts.create)
	})
}
