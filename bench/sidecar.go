package main

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"rbdctl/backends/cinder"
)

//go:embed upstream.py
var upstreamDriver string

// requests is how many are made of a sidecar at a time.
const requests = 32

// stand is what the cases of volumes from an image need.
type stand struct {
	image  string // in the pool of images
	served *sidecar
	direct *bare
}

// stand sets one up; the caller clears it.
func (b *bench) stand(ctx context.Context) (st stand, err error) {
	if st.image, err = b.golden(ctx); err != nil {
		return st, err
	}
	if st.direct, err = openBare(b.conf); err != nil {
		return st, err
	}
	if st.served, err = b.serve(ctx); err != nil {
		st.direct.close()
	}
	return st, err
}

func (st stand) clear() {
	st.served.stop()
	st.direct.close()
}

// request makes a volume through the socket.
func (st stand) request(ctx context.Context) error {
	return st.served.create(ctx, uuid.NewString(), grownSize, cinder.FromImage, st.image)
}

// bare makes one with librbd.
func (st stand) bare(context.Context) error {
	return st.direct.cloneAndGrow(st.image, "volume-"+uuid.NewString())
}

func (b *bench) sidecarCreate(ctx context.Context) (table, error) {
	st, err := b.stand(ctx)
	if err != nil {
		return table{}, err
	}
	defer st.clear()
	upstream, err := startPython(ctx, upstreamDriver, b.conf, st.image)
	if err != nil {
		return table{}, err
	}
	defer upstream.stop()

	volumes := cinder.Volumes{Images: b.images, Pool: "volumes", ImagePool: "images"}
	contenders := []contender{
		timed("sidecar", func(ctx context.Context, _ int) error { return st.request(ctx) }),
		timed("bare librbd calls", func(ctx context.Context, _ int) error { return st.bare(ctx) }),
		timed("the same package, without the socket", func(ctx context.Context, _ int) error {
			_, err := volumes.Create(ctx, cinder.Create{ID: uuid.NewString(), Size: grownSize, Source: cinder.Source{Kind: cinder.FromImage, ID: st.image}})
			return err
		}),
		{"the upstream driver's clone_image", func(context.Context, int) (time.Duration, error) {
			return upstream.ask(uuid.NewString())
		}},
	}
	times, err := takeTurns(ctx, b.log, b.rounds, contenders)
	if err != nil {
		return table{}, err
	}
	return durations("Request to volume usable, through the socket",
		fmt.Sprintf("PUT /v1/volumes of `rbdctl serve`: a RAW image to a volume, until the answer. One at a\ntime, %d rounds, the %d in turn. Of the upstream driver it is the bare method,\nwithout cinder-volume around it.", b.rounds, len(contenders)),
		contenders, times), nil
}

func (b *bench) sidecarParallel(ctx context.Context) (table, error) {
	st, err := b.stand(ctx)
	if err != nil {
		return table{}, err
	}
	defer st.clear()
	contenders := []contender{
		timed("sidecar", func(ctx context.Context, _ int) error { return together(ctx, st.request) }),
		timed("bare librbd calls", func(ctx context.Context, _ int) error { return together(ctx, st.bare) }),
	}
	rounds := max(5, b.rounds/2)
	times, err := takeTurns(ctx, b.log, rounds, contenders)
	if err != nil {
		return table{}, err
	}
	t := durations(fmt.Sprintf("%d requests at once, through the socket", requests),
		fmt.Sprintf("Time until all volumes are made, %d rounds. Throughput is the inverse.", rounds), contenders, times)
	t.header = append(t.header, "volumes per second", "sidecar's throughput / this one's")
	for i := range t.rows {
		t.rows[i] = append(t.rows[i], fmt.Sprintf("%.0f", requests/median(times[i]).Seconds()), fmt.Sprintf("%.2f", ratio(times[i], times[0])))
	}
	return t, nil
}

// together does work as often as there are requests, all at once.
func together(ctx context.Context, work func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for range requests {
		group.Go(func() error { return work(ctx) })
	}
	return group.Wait()
}
