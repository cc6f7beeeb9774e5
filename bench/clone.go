package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"rbdctl/backends"
	"rbdctl/backends/cinder"
	"rbdctl/backends/glance"
)

const (
	goldenSize = 64 << 20
	grownSize  = 10 << 30
)

// golden imports the image that the cases clone.
func (b *bench) golden(ctx context.Context) (string, error) {
	id := uuid.NewString()
	content := make([]byte, goldenSize)
	noise := rand.NewChaCha8([32]byte{1})
	if _, err := noise.Read(content[:8<<20]); err != nil {
		return "", err
	}
	content[0] = 0 // no format's signature
	_, err := glance.Store{Images: b.images, Pool: "images"}.Import(ctx, id, bytes.NewReader(content), glance.ImportOptions{})
	return id, err
}

// bare is an open connection, and what a program that uses librbd by hand does.
type bare struct {
	conn     *rados.Conn
	from, to *rados.IOContext
}

func openBare(conf string) (*bare, error) {
	conn, err := rados.NewConnWithUser("admin")
	if err != nil {
		return nil, err
	}
	if err := conn.ReadConfigFile(conf); err != nil {
		return nil, err
	}
	if err := conn.Connect(); err != nil {
		return nil, err
	}
	b := &bare{conn: conn}
	if b.from, err = conn.OpenIOContext("images"); err != nil {
		return nil, err
	}
	b.to, err = conn.OpenIOContext("volumes")
	return b, err
}

func (b *bare) close() {
	b.from.Destroy()
	b.to.Destroy()
	b.conn.Shutdown()
}

// cloneAndGrow is rbd_clone3, rbd_open, rbd_resize2, rbd_close and nothing else.
func (b *bare) cloneAndGrow(parent, child string) error {
	opts := librbd.NewRbdImageOptions()
	defer opts.Destroy()
	if err := librbd.CloneImage(b.from, parent, backends.GlanceSnapshot, b.to, child, opts); err != nil {
		return err
	}
	img, err := librbd.OpenImage(b.to, child, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	if err := img.Resize2(grownSize, false, func(uint64, uint64, any) int { return 0 }, nil); err != nil {
		return err
	}
	return img.Close()
}

// perOperation is the driver's way: connect, clone, grow, disconnect, in Python,
// in a process that is already up; it reads child names and answers with seconds.
const perOperation = `
import sys, time, rados, rbd
conf, parent = sys.argv[1], sys.argv[2]
for line in sys.stdin:
    child = line.strip(); begin = time.monotonic()
    with rados.Rados(conffile=conf, rados_id='admin') as c:
        with c.open_ioctx('images') as p, c.open_ioctx('volumes') as v:
            rbd.RBD().clone(p, parent, 'snap', v, child, features=61)
    with rados.Rados(conffile=conf, rados_id='admin') as c:
        with c.open_ioctx('volumes') as v, rbd.Image(v, child) as i:
            i.resize(10 << 30)
    print(time.monotonic() - begin, flush=True)
`

func (b *bench) cloneAndGrow(ctx context.Context) (table, error) {
	image, err := b.golden(ctx)
	if err != nil {
		return table{}, err
	}
	direct, err := openBare(b.conf)
	if err != nil {
		return table{}, err
	}
	defer direct.close()
	python, err := startPython(ctx, perOperation, b.conf, image)
	if err != nil {
		return table{}, err
	}
	defer python.stop()

	volumes := cinder.Volumes{Images: b.images, Pool: "volumes", ImagePool: "images"}
	contenders := []contender{
		timed("rbdctl", func(ctx context.Context, _ int) error {
			_, err := volumes.Create(ctx, cinder.Create{ID: uuid.NewString(), Size: grownSize, Source: cinder.Source{Kind: cinder.FromImage, ID: image}})
			return err
		}),
		timed("bare librbd calls", func(context.Context, int) error {
			return direct.cloneAndGrow(image, "volume-"+uuid.NewString())
		}),
		{"connection per operation (Python)", func(context.Context, int) (time.Duration, error) {
			return python.ask("volume-" + uuid.NewString())
		}},
		timed("rbd clone; rbd resize", func(ctx context.Context, _ int) error {
			child := "volumes/volume-" + uuid.NewString()
			if err := b.tool(ctx, "rbd", "--conf", b.conf, "clone", "images/"+image+"@snap", child); err != nil {
				return err
			}
			return b.tool(ctx, "rbd", "--conf", b.conf, "resize", "--no-progress", "--size", "10G", child)
		}),
		timed("rbdctl volume create (a process)", func(ctx context.Context, _ int) error {
			return b.tool(ctx, b.rbdctl, "--ceph-conf", b.conf, "volume", "create", "--id", uuid.NewString(), "--image", image, "--size", "10G")
		}),
	}
	times, err := takeTurns(ctx, b.log, b.rounds, contenders)
	if err != nil {
		return table{}, err
	}
	return durations("A RAW image to a volume: clone and grow",
		fmt.Sprintf("One at a time, %d rounds, the five in turn. rbdctl includes its journal, the look\nat the parent's content, and the verification of the result.", b.rounds),
		contenders, times), nil
}

const parallel = 16

func (b *bench) cloneParallel(ctx context.Context) (table, error) {
	image, err := b.golden(ctx)
	if err != nil {
		return table{}, err
	}
	direct, err := openBare(b.conf)
	if err != nil {
		return table{}, err
	}
	defer direct.close()
	volumes := cinder.Volumes{Images: b.images, Pool: "volumes", ImagePool: "images"}
	together := func(work func() error) func(context.Context, int) error {
		return func(context.Context, int) error {
			var group errgroup.Group
			for range parallel {
				group.Go(work)
			}
			return group.Wait()
		}
	}
	contenders := []contender{
		timed("rbdctl", together(func() error {
			_, err := volumes.Create(ctx, cinder.Create{ID: uuid.NewString(), Size: grownSize, Source: cinder.Source{Kind: cinder.FromImage, ID: image}})
			return err
		})),
		timed("bare librbd calls", together(func() error {
			return direct.cloneAndGrow(image, "volume-"+uuid.NewString())
		})),
	}
	rounds := max(5, b.rounds/2)
	times, err := takeTurns(ctx, b.log, rounds, contenders)
	if err != nil {
		return table{}, err
	}
	t := durations(fmt.Sprintf("%d clones at once", parallel),
		fmt.Sprintf("Time until all are made, %d rounds. Throughput of rbdctl against the bare calls is\nthe inverse of the ratio.", rounds), contenders, times)
	t.header = append(t.header, "rbdctl's throughput / this one's")
	for i := range t.rows {
		t.rows[i] = append(t.rows[i], fmt.Sprintf("%.2f", ratio(times[i], times[0])))
	}
	return t, nil
}

// tool runs another program to its end.
func (b *bench) tool(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
