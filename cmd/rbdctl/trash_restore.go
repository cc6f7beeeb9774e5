package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"rbdctl/rbd"
)

func trashRestoreCommand(e *env) *cli.Command {
	var opts trashRestoreOptions
	return &cli.Command{
		Name:      "restore",
		Usage:     "bring back a deleted image",
		ArgsUsage: "ID",
		Description: "ID is what trash ls shows. The image comes back as it was, with its snapshots,\n" +
			"called as before. To Cinder the volume stays deleted: let it manage the image.\n" +
			"Exit status is 3 if there is none, 4 if the name is taken: see --name.",
		Flags: []cli.Flag{
			poolFlag(&opts.pool),
			&cli.StringFlag{Name: "name", Usage: "call it `NAME`", Destination: &opts.name},
		},
		Action: func(c *cli.Context) error {
			if err := operands(c, "ID"); err != nil {
				return err
			}
			opts.id = c.Args().First()
			return runTrashRestore(c.Context, e, opts)
		},
	}
}

type trashRestoreOptions struct{ pool, id, name string }

func runTrashRestore(ctx context.Context, e *env, opts trashRestoreOptions) error {
	return e.quickOnImages(ctx, func(ctx context.Context, images *rbd.Images) error {
		name := opts.name
		if name == "" {
			deleted, err := images.Deleted(ctx, opts.pool)
			if err != nil {
				return err
			}
			for _, d := range deleted {
				if d.ID == opts.id {
					name = d.Name
				}
			}
		}
		if err := images.Undelete(ctx, opts.pool, opts.id, name); err != nil {
			return err
		}
		if e.output == "json" {
			return e.printJSON(map[string]string{"restored": opts.id, "image": opts.pool + "/" + name})
		}
		_, err := fmt.Fprintf(e.out, "%s/%s restored\n", opts.pool, name)
		return err
	})
}
