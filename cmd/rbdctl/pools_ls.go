package main

import (
	"context"
	"errors"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/pools"
	"rbdctl/rbd"
)

func poolsLsCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "ls",
		Usage: "list all pools of the cluster and who uses them",
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			return runPoolsLs(c.Context, e)
		},
	}
}

// poolRow is one pool as pools ls shows it.
type poolRow struct {
	Name         string   `json:"name"`
	Role         string   `json:"role"` // what it is for
	Applications []string `json:"applications"`
	PGNum        int      `json:"pg_num"`
	PGTarget     int      `json:"pg_num_target"`
	Size         int      `json:"size"`
	MinSize      int      `json:"min_size"`
	Mode         string   `json:"autoscale_mode"`
	Rule         string   `json:"crush_rule"`
	NoDelete     bool     `json:"nodelete"`
	Stored       uint64   `json:"stored_bytes"`
	MaxAvail     uint64   `json:"max_avail_bytes"`
	Quota        uint64   `json:"quota_bytes"`
	Images       *int     `json:"images"` // null: not a pool of images, or not ours to read
}

func runPoolsLs(ctx context.Context, e *env) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return err
	}
	defer cluster.Close()
	top, err := pools.Read(ctx, cluster)
	if err != nil {
		return err
	}
	rows := []poolRow{}
	for _, p := range top.Pools {
		row := rowOf(p)
		if row.Images, err = countImages(ctx, cluster, p); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return e.printPoolRows(rows)
}

func (e *env) printPoolRows(rows []poolRow) error {
	if e.output == "json" {
		return e.printJSON(map[string]any{"pools": rows})
	}
	t := e.table("POOL", "ROLE", "PGS", "SIZE", "MODE", "STORED", "FREE", "IMAGES")
	for _, r := range rows {
		images := any("-")
		if r.Images != nil {
			images = *r.Images
		}
		free := sizeText(r.MaxAvail)
		if r.MaxAvail == 0 && r.Stored == 0 {
			free = "-" // new: Ceph has not counted it yet
		}
		t.AppendRow([]any{r.Name, r.Role, r.PGTarget, r.Size, r.Mode, sizeText(r.Stored), free, images})
	}
	t.Render()
	return nil
}

func rowOf(p pools.Pool) poolRow {
	return poolRow{
		Name: p.Name, Role: roleOf(p), Applications: append([]string{}, p.Applications...),
		PGNum: p.PGNum, PGTarget: p.PGTarget, Size: p.Size, MinSize: p.MinSize,
		Mode: p.Mode, Rule: p.Rule, NoDelete: p.NoDelete,
		Stored: p.Stored, MaxAvail: p.MaxAvail, Quota: p.Quota,
	}
}

// roleOf says what a pool is for: one of ours by name, another by application.
func roleOf(p pools.Pool) string {
	ours := map[string]string{
		"volumes": "Cinder volumes", "vms": "Nova disks",
		"images": "Glance images", "backups": "Cinder backups",
	}
	if role, ok := ours[p.Name]; ok && isRBD(p) {
		return role
	}
	return strings.Join(p.Applications, ",")
}

func isRBD(p pools.Pool) bool { return strings.Join(p.Applications, ",") == "rbd" && !p.Erasure }

// countImages counts the images in all namespaces of a pool; nil where there
// can't be any or where the entity may not look.
func countImages(ctx context.Context, cluster *rbd.Cluster, p pools.Pool) (*int, error) {
	if !isRBD(p) {
		return nil, nil
	}
	n := 0
	err := eachNamespace(ctx, cluster, p.Name, func(namespace string) error {
		names, err := rbd.NewImages(cluster).List(ctx, p.Name, namespace)
		n += len(names)
		return err
	})
	if errors.Is(err, fault.ErrDenied) {
		return nil, nil
	}
	return &n, err
}

// eachNamespace calls fn for the default namespace of a pool and for the others.
func eachNamespace(ctx context.Context, cluster *rbd.Cluster, pool string, fn func(namespace string) error) error {
	namespaces, err := cluster.Namespaces(ctx, pool)
	if err != nil && !errors.Is(err, fault.ErrNotFound) { // not found: none was ever made
		return err
	}
	for _, ns := range append([]string{""}, namespaces...) {
		if err := fn(ns); err != nil {
			return err
		}
	}
	return nil
}

// sizeText is a number of bytes for a person.
func sizeText(n uint64) string { return humanize.IBytes(n) }
