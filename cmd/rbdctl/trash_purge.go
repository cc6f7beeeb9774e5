package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

func trashPurgeCommand(e *env) *cli.Command {
	var opts trashPurgeOptions
	return &cli.Command{
		Name:      "purge",
		Usage:     "remove what was deleted and is needed no more",
		ArgsUsage: "[ID...]",
		Description: "Removes all that is due, or only what the IDs of trash ls name: clones before\n" +
			"what they are clones of. An image with clones stays. What somebody else moved\n" +
			"to the trash stays, too. The sidecar does the same by itself; to do it twice at\n" +
			"once does no harm.",
		Flags: []cli.Flag{
			poolFlag(&opts.pool),
			&cli.BoolFlag{Name: "now", Usage: "also what can still be restored for a while", Destination: &opts.purge.Now},
			&cli.IntFlag{Name: "limit", Usage: "`N` images at most", DefaultText: "all", Destination: &opts.purge.Limit},
		},
		Action: func(c *cli.Context) error {
			if opts.purge.Limit < 0 {
				return fault.Newf(errUsage, "--limit %d: want 1 or more", opts.purge.Limit)
			}
			opts.purge.IDs = c.Args().Slice()
			if err := operands(c, opts.purge.IDs...); err != nil {
				return err
			}
			return runTrashPurge(c.Context, e, opts)
		},
	}
}

type trashPurgeOptions struct {
	pool  string
	purge rbd.PurgeOptions
}

// purgedJSON is what `trash purge --output json` prints.
type purgedJSON struct {
	Removed []string `json:"removed"` // ids
	Waiting int      `json:"waiting"` // have clones, or a grace time
}

func runTrashPurge(ctx context.Context, e *env, opts trashPurgeOptions) error {
	return e.onImages(ctx, func(images *rbd.Images) error {
		done, err := images.Purge(ctx, opts.pool, opts.purge)
		if err != nil && len(done.Removed) == 0 {
			return err
		}
		return errors.Join(err, e.printPurged(done)) // what one image fails with, others need not
	})
}

func (e *env) printPurged(p rbd.Purged) error {
	if e.output == "json" {
		return e.printJSON(purgedJSON{Removed: append([]string{}, p.Removed...), Waiting: p.Waiting})
	}
	_, err := fmt.Fprintf(e.out, "%d removed, %d waiting\n", len(p.Removed), p.Waiting)
	return err
}
