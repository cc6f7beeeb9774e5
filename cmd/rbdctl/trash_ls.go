package main

import (
	"context"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"rbdctl/rbd"
)

func trashLsCommand(e *env) *cli.Command {
	var pool string
	return &cli.Command{
		Name:  "ls",
		Usage: "list what was deleted and is not yet removed",
		Description: "What anybody else moved to the trash is not listed, and never touched. An image\n" +
			"with clones waits for the last of them; one with a grace time until it is over.",
		Flags: []cli.Flag{poolFlag(&pool)},
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			return runTrashLs(c.Context, e, pool)
		},
	}
}

// trashRow is a deleted image as `trash ls --output json` shows it.
type trashRow struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Pool    string    `json:"pool"`
	Deleted time.Time `json:"deleted"`
	Until   time.Time `json:"until"`  // not removed before
	Parent  *string   `json:"parent"` // pool/image@snap, or null
	Clones  *int      `json:"clones"` // null: not to be listed by this entity
}

func runTrashLs(ctx context.Context, e *env, pool string) error {
	var deleted []rbd.Deleted
	err := e.quickOnImages(ctx, func(ctx context.Context, images *rbd.Images) (err error) {
		deleted, err = images.Deleted(ctx, pool)
		return err
	})
	if err != nil {
		return err
	}
	rows := []trashRow{}
	for _, d := range deleted {
		rows = append(rows, trashRowOf(d))
	}
	if e.output == "json" {
		return e.printJSON(map[string]any{"trash": rows})
	}
	if len(rows) == 0 {
		return nil
	}
	t := e.table("ID", "NAME", "DELETED", "WAITS FOR")
	for _, r := range rows {
		t.AppendRow([]any{r.ID, r.Name, humanize.Time(r.Deleted), r.waitsFor(time.Now())})
	}
	t.Render()
	return nil
}

func trashRowOf(d rbd.Deleted) trashRow {
	r := trashRow{ID: d.ID, Name: d.Name, Pool: d.Pool, Deleted: d.Deleted.UTC(), Until: d.Until.UTC()}
	if d.Parent != nil {
		text := d.Parent.String()
		r.Parent = &text
	}
	if d.Children >= 0 {
		r.Clones = &d.Children
	}
	return r
}

// waitsFor says what keeps an image from being removed now.
func (r trashRow) waitsFor(now time.Time) string {
	switch {
	case r.Clones == nil:
		return "clones, perhaps"
	case *r.Clones == 1:
		return "1 clone"
	case *r.Clones > 1:
		return strconv.Itoa(*r.Clones) + " clones"
	case r.Until.After(now):
		return r.Until.Format(time.DateTime)
	}
	return "the next purge"
}
