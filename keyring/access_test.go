//go:build cgo

package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"rbdctl/keyring"
	"rbdctl/rbd"
)

const imageSize = 4 << 20

// act is something that an entity tries to do.
type act struct {
	name string
	do   func(context.Context, *rbd.Cluster) error
}

func spec(text string) rbd.ImageSpec {
	pool, image, _ := strings.Cut(text, "/")
	return rbd.ImageSpec{Pool: pool, Image: image}
}

func snap(text string) rbd.SnapSpec {
	image, name, _ := strings.Cut(text, "@")
	return spec(image).At(name)
}

func on(verb, object string, do func(context.Context, *rbd.Images) error) act {
	return act{verb + " " + object, func(ctx context.Context, c *rbd.Cluster) error { return do(ctx, rbd.NewImages(c)) }}
}

func create(image string) act {
	return on("create", image, func(ctx context.Context, m *rbd.Images) error {
		return m.Create(ctx, spec(image), imageSize, rbd.CreateOptions{})
	})
}

func remove(image string) act {
	return on("rm", image, func(ctx context.Context, m *rbd.Images) error { return m.Remove(ctx, spec(image)) })
}

func list(pool string) act {
	return on("ls", pool, func(ctx context.Context, m *rbd.Images) error { _, err := m.List(ctx, pool, ""); return err })
}

func read(image string) act {
	return on("read", image, func(ctx context.Context, m *rbd.Images) error { _, err := m.Digest(ctx, snap(image)); return err })
}

func resize(image string) act {
	return on("resize", image, func(ctx context.Context, m *rbd.Images) error {
		return m.Resize(ctx, spec(image), 2*imageSize, rbd.ResizeOptions{})
	})
}

func takeSnap(s string) act {
	return on("snap create", s, func(ctx context.Context, m *rbd.Images) error { return m.CreateSnapshot(ctx, snap(s)) })
}

func unprotect(s string) act {
	return on("snap unprotect", s, func(ctx context.Context, m *rbd.Images) error { return m.Unprotect(ctx, snap(s)) })
}

func clone(parent, child string) act {
	return on("clone "+parent, child, func(ctx context.Context, m *rbd.Images) error {
		return m.Clone(ctx, snap(parent), spec(child), rbd.CloneOptions{Format: rbd.CloneV1})
	})
}

// ensure is a clone with its journal in the namespace rbdctl, as sidecars make it.
func ensure(parent, child string) act {
	return on("ensure "+parent, child, func(ctx context.Context, m *rbd.Images) error {
		from := snap(parent)
		_, err := m.Ensure(ctx, rbd.Want{Image: spec(child), Size: imageSize, Parent: &from})
		return err
	})
}

func flatten(image string) act {
	return on("flatten", image, func(ctx context.Context, m *rbd.Images) error { return m.Flatten(ctx, spec(image), nil) })
}

func importImage(image string) act {
	return on("import", image, func(ctx context.Context, m *rbd.Images) error {
		src := rbd.Source{Reader: bytes.NewReader(bytes.Repeat([]byte("rbdctl! "), imageSize/8)), Size: imageSize}
		_, err := m.Import(ctx, spec(image), src, rbd.ImportOptions{Snapshot: "snap"})
		return err
	})
}

// children lists them and demands that some are found: an empty list would hide
// that they can't be seen.
func children(image string) act {
	return on("children", image, func(ctx context.Context, m *rbd.Images) error {
		found, err := m.Children(ctx, spec(image))
		if err == nil && len(found) == 0 {
			return errors.New("none found")
		}
		return err
	})
}

func monCommand(cmd map[string]any) act {
	return act{fmt.Sprint(cmd["prefix"]), func(ctx context.Context, c *rbd.Cluster) error {
		text, err := json.Marshal(cmd)
		if err != nil {
			return err
		}
		_, err = c.MonCommand(ctx, text)
		return err
	}}
}

func mgrCommand(prefix string) act {
	return act{prefix, func(ctx context.Context, c *rbd.Cluster) error {
		text, err := json.Marshal(map[string]string{"prefix": prefix, "format": "json"})
		if err != nil {
			return err
		}
		_, err = c.MgrCommand(ctx, text)
		return err
	}}
}

func blocklist(op, addr string) act {
	a := monCommand(map[string]any{"prefix": "osd blocklist", "blocklistop": op, "addr": addr})
	a.name += " " + op + " " + addr
	return a
}

// administration is what nobody but an administrator may do.
func administration() []act {
	return []act{
		monCommand(map[string]any{"prefix": "auth ls"}),
		monCommand(map[string]any{"prefix": "auth get", "entity": "client.admin"}),
		monCommand(map[string]any{"prefix": "auth caps", "entity": "client.nova", "caps": []string{"mon", "allow *"}}),
		monCommand(map[string]any{"prefix": "config-key ls"}),
		monCommand(map[string]any{"prefix": "osd pool create", "pool": "intruder", "pg_num": 8}),
		monCommand(map[string]any{"prefix": "osd pool set", "pool": "volumes", "var": "size", "val": "1"}),
		monCommand(map[string]any{"prefix": "osd pool delete", "pool": "volumes", "pool2": "volumes", "yes_i_really_really_mean_it": true}),
		blocklist("rm", "192.0.2.1:0/1"),
		blocklist("add", "192.0.2.1"), // a whole host
		mgrCommand("osd perf"),
	}
}

// duty is what an entity must be able to do, in this order, and what it must not.
type duty struct {
	entity string
	can    []act
	busy   []act // refused because of others' work, not for lack of caps
	cannot []act // refused by the OSDs
	denied []act // refused by monitors and managers, beyond administration
}

func duties() []duty {
	lock := []act{blocklist("add", "192.0.2.1:0/1")} // a dead client, by exact address
	return []duty{
		{
			entity: "client.glance",
			can:    append(lock, importImage("images/new"), takeSnap("images/new@2"), read("images/new@snap"), children("images/golden"), list("images")),
			busy:   []act{unprotect("images/golden@snap")},
			cannot: []act{
				create("volumes/x"), create("vms/x"), create("backups/x"), clone("images/golden@snap", "volumes/x"),
				remove("volumes/vol"), resize("vms/disk"), takeSnap("volumes/vol@x"), list("backups"), read("backups/bak"),
			},
		},
		{
			entity: "client.cinder",
			can: append(lock, ensure("images/golden@snap", "volumes/v1"), clone("images/golden@snap", "volumes/v2"), flatten("volumes/v2"),
				create("volumes/v3"), takeSnap("volumes/v3@s"), resize("volumes/v3"), remove("volumes/v2"), read("images/golden@snap"), list("volumes")),
			cannot: []act{
				create("images/x"), remove("images/golden"), takeSnap("images/golden@x"), unprotect("images/golden@snap"), importImage("images/x"),
				create("vms/x"), read("vms/disk"), list("vms"), remove("vms/disk"), list("backups"), read("backups/bak"), create("backups/x"),
			},
		},
		{
			entity: "client.nova",
			can: append(lock, ensure("images/golden@snap", "vms/d1"), clone("images/golden@snap", "vms/d2"), takeSnap("vms/disk@s"),
				act{"protect vms/disk@s", func(ctx context.Context, c *rbd.Cluster) error {
					return rbd.NewImages(c).Protect(ctx, snap("vms/disk@s"))
				}},
				clone("vms/disk@s", "images/instance-snapshot"), flatten("images/instance-snapshot"), takeSnap("images/instance-snapshot@snap"), remove("vms/d2")),
			cannot: []act{
				list("volumes"), read("volumes/vol"), create("volumes/x"), remove("volumes/vol"), resize("volumes/vol"),
				list("backups"), read("backups/bak"), create("backups/x"), clone("images/golden@snap", "volumes/x"),
			},
		},
		{
			entity: "client.cinder-backup",
			can: append(lock, read("volumes/vol"), takeSnap("volumes/vol@backup.1.snap.2"), read("volumes/vol@backup.1.snap.2"),
				create("backups/volume-vol.backup.1"), takeSnap("backups/volume-vol.backup.1@backup.1.snap.2")),
			cannot: []act{
				create("images/x"), list("images"), read("images/golden@snap"), remove("images/golden"),
				create("vms/x"), list("vms"), read("vms/disk"), resize("vms/disk"),
			},
		},
		{
			entity: "client.rbdctl",
			can: []act{
				list("volumes"), list("vms"), list("images"), list("backups"), read("vms/disk"), read("images/golden@snap"), children("images/golden"),
				monCommand(map[string]any{"prefix": "df", "format": "json"}), monCommand(map[string]any{"prefix": "osd dump", "format": "json"}),
				monCommand(map[string]any{"prefix": "osd tree", "format": "json"}), monCommand(map[string]any{"prefix": "status", "format": "json"}),
				monCommand(map[string]any{"prefix": "osd pool get-quota", "pool": "volumes", "format": "json"}),
				mgrCommand("osd df"), mgrCommand("osd pool autoscale-status"),
			},
			cannot: []act{
				create("volumes/x"), create("vms/x"), create("images/x"), create("backups/x"), remove("volumes/vol"), resize("vms/disk"),
				takeSnap("images/golden@x"), ensure("images/golden@snap", "volumes/x"), importImage("images/x"), unprotect("images/golden@snap"),
			},
			denied: lock,
		},
	}
}

// testAccess lets every entity, with its own exported keyring, do its work, and
// its neighbours'.
func (c testCluster) testAccess(t *testing.T) {
	c.issue(t, c.desired)
	for _, a := range []act{
		importImage("images/golden"), clone("images/golden@snap", "volumes/child"), clone("images/golden@snap", "vms/child"),
		create("volumes/vol"), create("vms/disk"), create("backups/bak"), blocklist("add", "192.0.2.1:0/1"),
	} {
		if err := a.do(t.Context(), c.Cluster); err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
	}
	all := duties()
	if len(all) != len(c.desired) {
		t.Errorf("%d entities are tested, %d issued", len(all), len(c.desired))
	}
	for _, d := range all {
		t.Run(d.entity, func(t *testing.T) {
			as := c.dialAs(t, entity(t, d.entity))
			for _, a := range d.can {
				if err := a.do(t.Context(), as); err != nil {
					t.Errorf("%s: %v", a.name, err)
				}
			}
			before := c.state(t)
			refuses(t, as, d.busy, rbd.ErrInUse, syscall.EBUSY)
			refuses(t, as, d.cannot, rbd.ErrDenied, syscall.EPERM)
			refuses(t, as, append(d.denied, administration()...), rbd.ErrDenied, syscall.EACCES)
			if after := c.state(t); after != before {
				t.Errorf("what was refused changed something:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// refuses demands that each act fails with the kind and the number.
func refuses(t *testing.T, c *rbd.Cluster, acts []act, kind error, number syscall.Errno) {
	t.Helper()
	for _, a := range acts {
		err := a.do(t.Context(), c)
		var coded interface{ ErrorCode() int }
		if !errors.Is(err, kind) || !errors.As(err, &coded) || syscall.Errno(max(coded.ErrorCode(), -coded.ErrorCode())) != number {
			t.Errorf("%s = %v, want %v (%v)", a.name, err, kind, number)
		}
	}
}

// state is all that a refused act could have changed.
func (c testCluster) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	images := rbd.NewImages(c.Cluster)
	for _, pool := range []string{"volumes", "vms", "images", "backups"} {
		names, err := images.List(t.Context(), pool, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			info, err := images.Stat(t.Context(), spec(pool+"/"+name))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s/%s %d %v %v\n", pool, name, info.Size, info.Snapshots, info.Parent)
		}
	}
	for _, cmd := range []string{"osd pool ls", "osd blocklist ls", "auth ls"} {
		fmt.Fprintf(&b, "%s\n", c.command(t, map[string]any{"prefix": cmd, "format": "json"}))
	}
	// The manager's own pool, which it makes when it comes to it.
	own := strings.NewReplacer(`,".mgr"`, "", `".mgr",`, "", `,"device_health_metrics"`, "", `"device_health_metrics",`, "")
	return own.Replace(keyless(b.String()))
}

// keyless keeps keys out of the test's own output.
func keyless(s string) string {
	for _, part := range strings.Split(s, `"key":"`)[1:] {
		key, _, _ := strings.Cut(part, `"`)
		if k, err := keyring.ParseKey([]byte(key)); err == nil {
			s = strings.ReplaceAll(s, key, k.Fingerprint())
		}
	}
	return s
}
