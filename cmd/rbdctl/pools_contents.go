package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"rbdctl/internal/fault"
	"rbdctl/pools"
	"rbdctl/rbd"
)

// poolContents is what would be lost with a pool.
type poolContents struct {
	Pool     string   `json:"pool"`
	Images   []string `json:"images"`
	Trash    []string `json:"trash"`
	Clones   []string `json:"clones_elsewhere"` // "images/a -> vms/b"
	Watchers []string `json:"watchers"`         // "volumes/c by 10.0.0.1:0/42"
	Stored   uint64   `json:"stored_bytes"`
}

// Images looked at side by side.
const contentsReaders = 8

// readContents looks into every image of a pool. ErrNotFound: there is no such
// pool; ErrInUse: it is not a pool of images.
func readContents(ctx context.Context, cluster *rbd.Cluster, name string) (poolContents, error) {
	c := poolContents{Pool: name, Images: []string{}, Trash: []string{}, Clones: []string{}, Watchers: []string{}}
	top, err := pools.Read(ctx, cluster)
	if err != nil {
		return c, err
	}
	pool, ok := top.Pool(name)
	if !ok {
		return c, fault.Newf(fault.ErrNotFound, "pool %s: there is no such pool", name)
	}
	if apps := strings.Join(pool.Applications, ", "); !isRBD(pool) && (apps != "" || pool.Erasure) {
		return c, fault.Newf(fault.ErrInUse, "pool %s is not a pool of images (application %s): not removed", name, apps)
	}
	c.Stored = pool.Stored
	var specs []rbd.ImageSpec
	images := rbd.NewImages(cluster)
	err = eachNamespace(ctx, cluster, name, func(ns string) error {
		names, err := images.List(ctx, name, ns)
		if err != nil {
			return err
		}
		for _, image := range names {
			specs = append(specs, rbd.ImageSpec{Pool: name, Namespace: ns, Image: image})
		}
		trash, err := images.TrashList(ctx, name, ns)
		for _, entry := range trash {
			c.Trash = append(c.Trash, rbd.ImageSpec{Pool: name, Namespace: ns, Image: entry.Name}.String()+" ("+entry.ID+")")
		}
		return err
	})
	if err != nil {
		return c, err
	}
	return c, c.lookAt(ctx, images, specs)
}

// lookAt asks every image for its clones and watchers.
func (c *poolContents) lookAt(ctx context.Context, images *rbd.Images, specs []rbd.ImageSpec) error {
	type found struct{ clones, watchers []string }
	all := make([]found, len(specs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(contentsReaders)
	for i, spec := range specs {
		group.Go(func() error {
			children, err := images.Children(ctx, spec)
			if gone(err) {
				return nil
			}
			if err != nil {
				return err
			}
			watchers, err := images.Watchers(ctx, spec)
			if gone(err) {
				return nil
			}
			for _, child := range children {
				if child.Pool != spec.Pool {
					all[i].clones = append(all[i].clones, spec.String()+" -> "+child.String())
				}
			}
			for _, w := range watchers {
				all[i].watchers = append(all[i].watchers, spec.String()+" by "+w.Address)
			}
			return err
		})
	}
	err := group.Wait()
	for i, spec := range specs {
		c.Images = append(c.Images, spec.String())
		c.Clones = append(c.Clones, all[i].clones...)
		c.Watchers = append(c.Watchers, all[i].watchers...)
	}
	return err
}

// gone tells that an image is half removed: listed, but not there to be opened.
func gone(err error) bool { return errors.Is(err, fault.ErrNotFound) }

// refusal says why the pool must stay.
func (c *poolContents) refusal(withImages bool) error {
	var why []string
	add := func(list []string, what, todo string) {
		if len(list) > 0 {
			why = append(why, fmt.Sprintf("%s (%s)", countIn(len(list), what), todo))
		}
	}
	add(c.Clones, "clone%s in other pools", "flatten or remove them")
	add(c.Watchers, "open image%s", "stop who uses them")
	add(c.Trash, "image%s in the trash", "purge it, it may hold parents of clones")
	if !withImages {
		add(c.Images, "image%s", "move or remove them, or lose them with --with-images")
	}
	if len(why) == 0 {
		return nil
	}
	return fault.Newf(fault.ErrInUse, "pool %s has %s: not removed", c.Pool, strings.Join(why, ", "))
}

// countIn is count for what has its plural within, at %s.
func countIn(n int, what string) string {
	plural := "s"
	if n == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d "+what, n, plural)
}

// Lines of one kind that a person is shown.
const contentsShown = 10

// print shows the contents on standard error: they are not the result.
func (c *poolContents) print(e *env) {
	e.notef("pool %s: %s, %s stored", c.Pool, count(len(c.Images), "image"), sizeText(c.Stored))
	for _, kind := range []struct {
		what string
		list []string
	}{{"image", c.Images}, {"trash", c.Trash}, {"clone", c.Clones}, {"open", c.Watchers}} {
		for i, line := range kind.list {
			if i == contentsShown {
				e.notef("%s  … and %d more", kind.what, len(kind.list)-i)
				break
			}
			e.notef("%s  %s", kind.what, line)
		}
	}
}
