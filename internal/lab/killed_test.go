package lab_test

import (
	"bufio"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

// TestKilledUp kills an Up at many moments: after each phase that it reports,
// and at random ones between. Down then removes all of it, and another Up
// completes it.
func TestKilledUp(t *testing.T) {
	type moment struct {
		name  string
		after string        // the phase, "" for the start
		wait  time.Duration // more
	}
	moments := []moment{{name: "monitor", after: "monitor"}, {name: "OSD stores", after: "OSD stores"}, {name: "libvirtd", after: "libvirtd"}}
	for _, most := range []time.Duration{30, 100, 200, 400, 800, 1600} {
		wait := time.Duration(rand.Int64N(int64(most * time.Millisecond)))
		moments = append(moments, moment{name: wait.String(), wait: wait})
	}
	for i, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			dir := filepath.Join(labtest.LabDir(t, ""), "lab")
			protect(t, dir)
			store := []lab.Store{lab.BlueStore, lab.MemStore}[i%2]
			o := lab.Options{Dir: dir, OSDs: 2, Store: store, FastMon: true}
			killUp(t, o, m.after, m.wait)
			if i%3 == 2 {
				pids(t, up(t, o))
			}
			if _, err := os.Stat(filepath.Join(dir, "lab.json")); errors.Is(err, fs.ErrNotExist) {
				down(t, lab.DownOptions{Dir: dir})
				if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left (%v)", dir, err)
				}
				return
			}
			id := identityOf(t, dir)
			down(t, lab.DownOptions{Dir: dir})
			checkGone(t, dir, id)
		})
	}
}

// killUp runs an Up in a process of its own and kills that.
func killUp(t *testing.T, o lab.Options, after string, wait time.Duration) {
	t.Helper()
	cmd := upProcess(t.Context(), t, os.Args[0], o)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after != "" {
		seen := false
		for lines := bufio.NewScanner(out); !seen && lines.Scan(); {
			seen = strings.HasPrefix(lines.Text(), after)
		}
		if !seen {
			t.Errorf("no phase %q", after)
		}
	}
	time.Sleep(wait)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}
