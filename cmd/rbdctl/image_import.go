package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"rbdctl/backends"
	"rbdctl/backends/glance"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

func imageImportCommand(e *env) *cli.Command {
	var opts imageImportOptions
	return &cli.Command{
		Name:      "import",
		Usage:     "store a RAW file as a Glance image that can be cloned",
		ArgsUsage: "FILE",
		Description: "Makes images/UUID with the protected snapshot \"snap\". FILE may be - for\n" +
			"standard input. Zeroes take no space. The same content again succeeds and\n" +
			"changes nothing; other content for the same UUID is a conflict (exit\n" +
			"status 4). What is not RAW is refused, with the command that converts it.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "id", Usage: "the image's `UUID` (default: a new one)", Destination: &opts.id},
			&cli.BoolFlag{Name: "verify", Usage: "read the image back and compare its SHA-256", Destination: &opts.verify},
			sizeFlag("size", "the content must have exactly `SIZE` bytes", &opts.size),
			sizeFlag("object-size", "cut the image in objects of `SIZE` (default: ceph.conf's, 4M)", &opts.objectSize),
			&cli.StringFlag{Name: "pool", Value: backends.PoolImages, Usage: "make it in `POOL`", Destination: &opts.pool},
		},
		Action: func(c *cli.Context) error {
			if err := operands(c, "FILE"); err != nil {
				return err
			}
			opts.file = c.Args().First()
			return runImageImport(c.Context, e, opts)
		},
	}
}

type imageImportOptions struct {
	file, id, pool   string
	size, objectSize uint64
	verify           bool
}

func runImageImport(ctx context.Context, e *env, opts imageImportOptions) error {
	if opts.id == "" {
		opts.id = uuid.NewString()
	}
	content, name, err := e.openContent(ctx, opts.file)
	if err != nil {
		return err
	}
	defer content.Close()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()

	bar := e.progress("import")
	store := glance.Store{Images: rbd.NewImages(cluster), Pool: opts.pool}
	done, err := store.Import(ctx, opts.id, content, glance.ImportOptions{
		Name: name, Size: opts.size, ObjectSize: opts.objectSize, Verify: opts.verify, Progress: bar.report,
	})
	bar.end(err == nil)
	if err != nil {
		return err
	}
	return e.printImported(ctx, cluster, store, opts.id, done)
}

// openContent opens a file, or standard input for "-".
func (e *env) openContent(ctx context.Context, file string) (io.ReadCloser, string, error) {
	if file == "-" {
		return openStream(ctx, e.in), "standard input", nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, "", fault.Newf(errUsage, "cannot read the content: %v", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close()
		return nil, "", fault.Newf(errUsage, "cannot read the content: %s is a directory", file)
	}
	return openStream(ctx, f), file, nil
}

// importedJSON is what `image import` prints with --output json.
type importedJSON struct {
	ID       string `json:"id"`
	Image    string `json:"image"`    // pool/image@snap
	Location string `json:"location"` // for Glance
	Size     uint64 `json:"size_bytes"`
	Written  uint64 `json:"written_bytes"` // 0 when it was there already
	SHA256   string `json:"sha256,omitempty"`
	Created  bool   `json:"created"`
}

func (e *env) printImported(ctx context.Context, cluster *rbd.Cluster, store glance.Store, id string, done rbd.Imported) error {
	fsid, err := cluster.FSID(ctx)
	if err != nil {
		return err
	}
	j := importedJSON{
		ID: id, Image: done.Info.Spec.At(backends.GlanceSnapshot).String(), Location: store.Location(fsid, id),
		Size: done.Info.Size, Written: done.Written, SHA256: done.SHA256, Created: done.Created,
	}
	if e.output == "json" {
		return e.printJSON(j)
	}
	what := "there already, with the same content"
	if done.Created {
		what = fmt.Sprintf("imported: %s, of which %s written", humanize.IBytes(j.Size), humanize.IBytes(j.Written))
	}
	if j.SHA256 != "" {
		what += ", verified\n  SHA-256 " + j.SHA256
	}
	_, err = fmt.Fprintf(e.out, "%s %s\n", j.Image, what)
	return err
}
