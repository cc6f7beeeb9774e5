package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"rbdctl/backends"
	"rbdctl/backends/cinder"
	"rbdctl/rbd"
)

func volumeCreateCommand(e *env) *cli.Command {
	var opts volumeCreateOptions
	return &cli.Command{
		Name:  "create",
		Usage: "make a Cinder volume, as a copy-on-write clone of a Glance image",
		Description: "Makes volumes/volume-UUID. The same command again succeeds and changes\n" +
			"nothing; another size or image for the same UUID is a conflict (exit\n" +
			"status 4). It may be killed at any moment and run again.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "id", Usage: "the volume's `UUID`", Destination: &opts.create.ID},
			&cli.StringFlag{Name: "image", Usage: "clone the Glance image `UUID`; without it the volume is blank", Destination: &opts.create.Source.ID},
			sizeFlag("size", "grow it to `SIZE`, such as 10G (1G is 2^30 bytes)", &opts.create.Size),
			sizeFlag("object-size", "cut it in objects of `SIZE`, at least the image's", &opts.create.ObjectSize),
			&cli.StringFlag{Name: "pool", Value: backends.PoolVolumes, Usage: "make it in `POOL`", Destination: &opts.pool},
			&cli.StringFlag{Name: "image-pool", Value: backends.PoolImages, Usage: "find the image in `POOL`", Destination: &opts.imagePool},
		},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			if err := needFlags(c, "id", "size"); err != nil {
				return err
			}
			return runVolumeCreate(c.Context, e, opts)
		},
	}
}

type volumeCreateOptions struct {
	create          cinder.Create
	pool, imagePool string
}

func runVolumeCreate(ctx context.Context, e *env, opts volumeCreateOptions) error {
	if opts.create.Source.ID != "" {
		opts.create.Source.Kind = cinder.FromImage
	}
	return e.ensure(ctx, func(ctx context.Context, images *rbd.Images) (rbd.Ensured, error) {
		return cinder.Volumes{Images: images, Pool: opts.pool, ImagePool: opts.imagePool}.Create(ctx, opts.create)
	})
}
