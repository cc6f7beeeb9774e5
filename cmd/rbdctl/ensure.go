package main

import (
	"context"
	"fmt"

	"github.com/docker/go-units"
	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// ensure runs create on the images of the cluster and prints what it came to.
func (e *env) ensure(ctx context.Context, create func(context.Context, *rbd.Images) (rbd.Ensured, error)) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()

	done, err := create(ctx, rbd.NewImages(cluster))
	if err != nil {
		return err
	}
	return e.printEnsured(done)
}

// ensuredJSON is what `volume create` and `disk create` print with --output json.
type ensuredJSON struct {
	Image   string  `json:"image"` // pool/image
	Size    uint64  `json:"size_bytes"`
	Parent  *string `json:"parent"` // pool/image@snap, or null
	Created bool    `json:"created"`
}

func (e *env) printEnsured(done rbd.Ensured) error {
	if e.output == "json" {
		j := ensuredJSON{Image: done.Info.Spec.String(), Size: done.Info.Size, Created: done.Created}
		if p := done.Info.Parent; p != nil {
			text := p.String()
			j.Parent = &text
		}
		return e.printJSON(j)
	}
	verb := "there already"
	if done.Created {
		verb = "created"
	}
	origin := "blank"
	if p := done.Info.Parent; p != nil {
		origin = "clone of " + p.String()
	}
	_, err := fmt.Fprintf(e.out, "%s %s: %s, %s\n", done.Info.Spec, verb, humanize.IBytes(done.Info.Size), origin)
	return err
}

// sizeFlag reads a size in bytes: a number, with K, M, G, T or P for powers of
// 1024.
func sizeFlag(name, usage string, size *uint64) cli.Flag {
	return &cli.StringFlag{
		Name: name, Usage: usage,
		Action: func(_ *cli.Context, text string) error {
			n, err := units.RAMInBytes(text)
			if err != nil || n <= 0 {
				return fault.Newf(errUsage, "--%s %s: want a size from 1 byte to 2^63-1, such as 10G", name, text)
			}
			*size = uint64(n)
			return nil
		},
	}
}

// needFlags demands flags that have no default.
func needFlags(c *cli.Context, names ...string) error {
	for _, name := range names {
		if !c.IsSet(name) {
			return fault.Newf(errUsage, "--%s is missing: see `%s --help`", name, c.Command.HelpName)
		}
	}
	return nil
}
