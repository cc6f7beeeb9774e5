package rbd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestWatchOfTheKilled: a client is killed while a replica has not yet committed
// its request for a watch. The OSD then counts it as watching for long, also when
// it is blocklisted (for good, if the object stays in its cache), and librbd
// refuses to remove the image. What that client has left half made is removed all
// the same, and without waiting for the watch to end: that took a minute.
func TestWatchOfTheKilled(t *testing.T) {
	l := labtest.Lab(t, lab.Options{OSDs: 3, NoLibvirt: true})
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: l.ConfFile(), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	w := watched{T: t, Lab: l, images: rbd.NewImages(c), v: rbd.ImageSpec{Pool: "z", Image: "v"}}
	w.tool("ceph", "osd", "pool", "create", "z", "1") // one primary for all objects
	w.tool("rbd", "pool", "init", "z")
	for _, removed := range []bool{false, true} {
		if err := w.images.Create(t.Context(), w.v, 8<<20, rbd.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		address := w.killedInWatch()
		rbd.LeaveIntent(t, w.images, w.v, "", address, false)
		if removed { // by one who is then killed in it
			rbd.HalfRemove(t, w.images, w.v)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
		done, err := w.images.Ensure(ctx, rbd.Want{Image: w.v, Size: 16 << 20})
		cancel()
		if err != nil || !done.Created {
			t.Errorf("removed %t: Ensure = %+v, %v, want the image made anew", removed, done, err)
		}
		if watchers, err := w.images.Watchers(t.Context(), w.v); err != nil || len(watchers) > 0 {
			t.Errorf("removed %t: watchers of the new image = %v, %v, want none", removed, watchers, err)
		}
		if trash := w.tool("rados", "-p", "z", "listomapkeys", "rbd_trash"); removed && len(trash) > 0 {
			t.Errorf("in the trash is %s", trash)
		}
		if err := w.images.Remove(t.Context(), w.v); err != nil {
			t.Error(err)
		}
	}
}

type watched struct {
	*testing.T
	*lab.Lab
	images *rbd.Images
	v      rbd.ImageSpec
}

func (w watched) tool(name string, args ...string) []byte {
	w.Helper()
	out, err := lab.Command(w.Context(), w.ConfFile(), name, args...).Output()
	if err != nil {
		w.Fatalf("%s %v: %v", name, args, err)
	}
	return out
}

// killedInWatch leaves the watch of a client that was killed, and returns the
// client's address. The last replica stands still meanwhile.
func (w watched) killedInWatch() string {
	w.Helper()
	info, err := w.images.Stat(w.Context(), w.v)
	if err != nil {
		w.Fatal(err)
	}
	header := "rbd_header." + info.ID
	primary, replica := w.placed(header)
	w.signal(replica, syscall.SIGSTOP)
	w.Cleanup(func() { w.signal(replica, syscall.SIGCONT) })
	victim := lab.Command(w.Context(), w.ConfFile(), "rbd", "snap", "create", w.v.String()+"@s")
	if err := victim.Start(); err != nil {
		w.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ops := string(w.tool("ceph", "daemon", primary, "dump_ops_in_flight"))
		if strings.Contains(ops, header+":head [watch watch ") {
			break
		}
		if time.Now().After(deadline) {
			w.Fatalf("no request for a watch among %s", ops)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		w.Fatal(err)
	}
	if err := victim.Wait(); err == nil {
		w.Fatal("the victim ended by itself")
	}
	time.Sleep(500 * time.Millisecond)
	w.signal(replica, syscall.SIGCONT)
	for range 100 {
		watchers, err := w.images.Watchers(w.Context(), w.v)
		if err != nil {
			w.Fatal(err)
		}
		if len(watchers) == 1 {
			return watchers[0].Address
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.Fatal("no watch came about")
	return ""
}

// placed names the primary of an object of the pool, and the process of the last
// OSD that stores it.
func (w watched) placed(oid string) (primary string, replica int) {
	w.Helper()
	var at struct {
		Acting  []int `json:"acting"`
		Primary int   `json:"acting_primary"`
	}
	if err := json.Unmarshal(w.tool("ceph", "osd", "map", "z", oid, "--format", "json"), &at); err != nil {
		w.Fatal(err)
	}
	report, err := lab.Status(w.Context(), w.Dir())
	if err != nil {
		w.Fatal(err)
	}
	name := fmt.Sprintf("osd.%d", at.Acting[len(at.Acting)-1])
	i := slices.IndexFunc(report.Parts, func(p lab.Part) bool { return p.Name == name })
	if i < 0 {
		w.Fatalf("no %s in %+v", name, report.Parts)
	}
	return fmt.Sprintf("osd.%d", at.Primary), report.Parts[i].PID
}

func (w watched) signal(pid int, s syscall.Signal) {
	w.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		w.Error(err)
	}
}

// TestDropWatchesOfTheLiving: a client that opened the image after its watchers were
// listed loses its watch with the others, and is noticed.
func TestDropWatchesOfTheLiving(t *testing.T) {
	s := newSpace(t)
	v := s.blank("v")
	s.must(rbd.DropWatches(t.Context(), s.images, v))
	release := rbd.HoldOpen(t, stranger(t), v)
	s.is(rbd.DropWatches(t.Context(), s.images, v), rbd.ErrInUse)
	s.is(s.images.Delete(t.Context(), v, rbd.DeleteOptions{}), rbd.ErrInUse)
	release()
	s.delete("v")
}
