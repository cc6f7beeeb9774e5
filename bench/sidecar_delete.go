package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	librbd "github.com/ceph/go-ceph/rbd"
	"github.com/google/uuid"

	"rbdctl/backends/cinder"
	"rbdctl/rbd"
)

// lineage is a volume and a clone of it, both thin.
type lineage struct{ source, clone string }

func (l lineage) image() string { return "volume-" + l.source }

// lineages makes and clears them, by means of a sidecar.
type lineages struct {
	*bench
	served *sidecar
}

func (l lineages) make(ctx context.Context, size uint64) (lineage, error) {
	v := lineage{uuid.NewString(), uuid.NewString()}
	err := l.served.create(ctx, v.source, size, cinder.Empty, "")
	if err == nil {
		err = l.served.create(ctx, v.clone, size, cinder.FromVolume, v.source)
	}
	return v, err
}

// clear deletes both volumes, whichever is still there, and waits until they are
// purged: nothing of one round goes on in the next.
func (l lineages) clear(ctx context.Context, v lineage) error {
	if err := errors.Join(l.served.delete(ctx, v.source), l.served.delete(ctx, v.clone)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		list, err := l.images.Deleted(ctx, "volumes")
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list, func(d rbd.Deleted) bool { return d.Name == v.image() || d.Name == "volume-"+v.clone }) {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s and its clone are not purged: %w", v.image(), ctx.Err())
		}
	}
}

// way takes a volume away, and brings it back for clear if that doesn't know the way.
type way struct {
	away func(context.Context, lineage) error
	back func(lineage) error // nil: needs none
}

// contender goes a way with a volume of size that has a clone. What is done before
// and after does not count.
func (l lineages) contender(name string, size uint64, w way) contender {
	return contender{name, func(ctx context.Context, _ int) (time.Duration, error) {
		v, err := l.make(ctx, size)
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		err = w.away(ctx, v)
		took := time.Since(begin)
		if err == nil && w.back != nil {
			err = w.back(v)
		}
		if err != nil {
			return 0, err
		}
		return took, l.clear(ctx, v)
	}}
}

// request is DELETE.
func (s *sidecar) request() way {
	return way{away: func(ctx context.Context, v lineage) error { return s.delete(ctx, v.source) }}
}

// rename is rbd_rename and nothing else.
func (b *bare) rename() way {
	return way{
		away: func(_ context.Context, v lineage) error {
			return librbd.GetImage(b.to, v.image()).Rename("renamed-" + v.source)
		},
		back: func(v lineage) error { return librbd.GetImage(b.to, "renamed-"+v.source).Rename(v.image()) },
	}
}

// trash is rbd_trash_move and nothing else.
func (b *bare) trash() way {
	return way{
		away: func(_ context.Context, v lineage) error { return librbd.GetImage(b.to, v.image()).Trash(0) },
		back: func(v lineage) error {
			list, err := librbd.GetTrashList(b.to)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(list, func(entry librbd.TrashInfo) bool { return entry.Name == v.image() })
			if i < 0 {
				return fmt.Errorf("%s is not in the trash", v.image())
			}
			return librbd.TrashRestore(b.to, list[i].Id, v.image())
		},
	}
}

func (b *bench) sidecarDelete(ctx context.Context) (table, error) {
	served, err := b.serve(ctx)
	if err != nil {
		return table{}, err
	}
	defer served.stop()
	direct, err := openBare(b.conf)
	if err != nil {
		return table{}, err
	}
	defer direct.close()

	l := lineages{b, served}
	const small, big = 1 << 30, 1 << 40
	contenders := []contender{
		l.contender("DELETE, 1 GiB", small, served.request()),
		l.contender("DELETE, 1 TiB", big, served.request()),
		l.contender("bare rbd_rename, 1 GiB", small, direct.rename()),
		l.contender("bare rbd_rename, 1 TiB", big, direct.rename()),
		l.contender("bare rbd_trash_move, 1 TiB", big, direct.trash()),
	}
	rounds := max(5, b.rounds/3)
	times, err := takeTurns(ctx, b.log, rounds, contenders)
	if err != nil {
		return table{}, err
	}
	t := durations("DELETE of a volume that has a clone",
		fmt.Sprintf("Through the socket, until the answer; the volumes are thin. %d rounds, in turn, each\non volumes of its own. The bare calls are on an open connection.", rounds), contenders, times)
	t.header = append(t.header, contenders[1].name+" / this")
	for i := range t.rows {
		t.rows[i] = append(t.rows[i], fmt.Sprintf("%.2f", ratio(times[1], times[i])))
	}
	return t, nil
}
