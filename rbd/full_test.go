package rbd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestFullPoolSaysSo: at a pool's quota librados waits for space, for ever by
// default; rbdctl answers at once, says why, and leaves nothing. When there is
// space again all works.
func TestFullPoolSaysSo(t *testing.T) {
	cluster, pool := labtest.Cluster(t), labtest.FreshPool(t)
	images := rbd.NewImages(cluster)
	in := func(name string) rbd.ImageSpec { return rbd.ImageSpec{Pool: pool, Image: name} }
	content := noiseBytes(8 << 20)
	_, err := images.Import(t.Context(), in("golden"), rbd.Source{Reader: bytes.NewReader(content)}, rbd.ImportOptions{Snapshot: "snap"})
	if err != nil {
		t.Fatal(err)
	}
	golden := in("golden").At("snap")

	labtest.Ceph(t, "osd", "pool", "set-quota", pool, "max_bytes", "4194304")
	waitForFull(t, pool, true)
	for name, try := range map[string]func() error{
		"clone": func() error {
			_, err := images.Ensure(t.Context(), rbd.Want{Image: in("v"), Size: 16 << 20, Parent: &golden})
			return err
		},
		"create": func() error {
			_, err := images.Ensure(t.Context(), rbd.Want{Image: in("v"), Size: 16 << 20})
			return err
		},
		"import": func() error {
			_, err := images.Import(t.Context(), in("v"), rbd.Source{Reader: bytes.NewReader(content)}, rbd.ImportOptions{Snapshot: "snap"})
			return err
		},
	} {
		if err := try(); !errors.Is(err, rbd.ErrUnavailable) || !strings.Contains(err.Error(), "quota") {
			t.Errorf("%s in a full pool = %v, want unavailable because of the quota", name, err)
		}
	}

	labtest.Ceph(t, "osd", "pool", "set-quota", pool, "max_bytes", "0")
	waitForFull(t, pool, false)
	if names, err := images.List(t.Context(), pool, ""); err != nil || len(names) != 1 {
		t.Errorf("the refusals left %v (%v)", names, err)
	}
	if _, err := images.Ensure(t.Context(), rbd.Want{Image: in("v"), Size: 16 << 20, Parent: &golden}); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

// TestPurgeOfAFullPool: what can't be brought back for want of space does not keep the
// purge from making some.
func TestPurgeOfAFullPool(t *testing.T) {
	s := inPool(t)
	v, w := s.golden("v"), s.golden("w")
	sum, id := s.digest(v), s.stat(v.ImageSpec).ID
	s.must(s.images.Delete(t.Context(), v.ImageSpec, rbd.DeleteOptions{}))
	time.Sleep(1100 * time.Millisecond) // the oldest is purged first, to the second
	s.must(s.images.Delete(t.Context(), w.ImageSpec, rbd.DeleteOptions{}))
	rbd.LeaveDeed(t, s.images, rbd.Entry(s.pool, "", id), rbd.Deed{Op: "undelete", Other: "back"}, "127.0.0.1:0/9")

	labtest.Ceph(t, "osd", "pool", "set-quota", s.pool, "max_bytes", "4194304")
	waitForFull(t, s.pool, true)
	p, err := s.images.Purge(t.Context(), s.pool, rbd.PurgeOptions{})
	if !errors.Is(err, rbd.ErrUnavailable) || !strings.Contains(err.Error(), "quota") || len(p.Removed) != 1 || p.Waiting != 1 {
		t.Errorf("Purge of a full pool = %+v, %v, want one removed, and the quota told of", p, err)
	}

	labtest.Ceph(t, "osd", "pool", "set-quota", s.pool, "max_bytes", "0")
	waitForFull(t, s.pool, false)
	s.purge(rbd.PurgeOptions{})
	if s.digest(s.image("back").At("snap")) != sum {
		t.Error("what was brought back is not as it was")
	}
	s.delete("back")
	s.purge(rbd.PurgeOptions{})
	s.isEmpty()
}

// waitForFull waits until the monitors have noticed what a quota means.
func waitForFull(t *testing.T, pool string, full bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		var dump struct {
			Pools []struct {
				Name  string `json:"pool_name"`
				Flags string `json:"flags_names"`
			}
		}
		if err := json.Unmarshal(labtest.Ceph(t, "osd", "dump", "--format", "json"), &dump); err != nil {
			t.Fatal(err)
		}
		for _, p := range dump.Pools {
			if p.Name == pool && strings.Contains(p.Flags, "full_quota") == full {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("pool %s did not get to full_quota = %v", pool, full)
		}
	}
}
