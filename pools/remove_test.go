//go:build cgo

package pools_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/pools"
	"rbdctl/rbd"
)

const deleteOption = "mon_allow_pool_delete"

func TestRemove(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true})
	forbidDeletion(t, l)
	c := dial(t, l)

	// The monitors forbid it now, which is what Remove has to deal with.
	c.create("plain", 1)
	if _, err := c.try("osd pool rm", map[string]any{"pool": "plain", "pool2": "plain", "yes_i_really_really_mean_it": true}); !errors.Is(err, rbd.ErrDenied) {
		t.Fatalf("without lifting the guard: %v", err)
	}
	t.Run("both guards", func(t *testing.T) {
		c := cluster{c.Cluster, t}
		c.apply([]pools.Params{{Name: "guarded", PGNum: 1}}, pools.Options{})
		if err := pools.Remove(t.Context(), c, "guarded"); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.topology().Pool("guarded"); ok {
			t.Error("the pool is still there")
		}
		c.expectShut("")
	})
	t.Run("what the option was comes back", func(t *testing.T) {
		c := cluster{c.Cluster, t}
		c.create("second", 1)
		c.send("config set", map[string]any{"who": "mon", "name": deleteOption, "value": "false"})
		if err := pools.Remove(t.Context(), c, "second"); err != nil {
			t.Fatal(err)
		}
		c.expectShut("false")
		c.send("config rm", map[string]any{"who": "mon", "name": deleteOption})
	})
	t.Run("killed with the guard lifted", func(t *testing.T) {
		c := cluster{c.Cluster, t}
		c.create("third", 1)
		// What such a process leaves: its note, and the option.
		c.send("config-key set", map[string]any{"key": "rbdctl/" + deleteOption, "val": "unset"})
		c.send("config set", map[string]any{"who": "mon", "name": deleteOption, "value": "true"})
		if err := pools.Remove(t.Context(), c, "third"); err != nil {
			t.Fatal(err)
		}
		c.expectShut("")
	})
	t.Run("no such pool", func(t *testing.T) {
		if err := pools.Remove(t.Context(), c, "nope"); !errors.Is(err, pools.ErrNotFound) {
			t.Errorf("Remove = %v", err)
		}
	})
	t.Run("another application's", func(t *testing.T) {
		c := cluster{c.Cluster, t}
		c.create("files", 1, "cephfs")
		if err := pools.Remove(t.Context(), c, "files"); !errors.Is(err, pools.ErrInUse) {
			t.Errorf("Remove = %v", err)
		}
		c.pool("files")
	})
	t.Run("guards come back after a failure", func(t *testing.T) { testRemoveFails(t, cluster{c.Cluster, t}, l) })
}

// testRemoveFails overrules the option in the running monitor, as a ceph.conf can.
func testRemoveFails(t *testing.T, c cluster, l *lab.Lab) {
	c.apply([]pools.Params{{Name: "stays", PGNum: 1}}, pools.Options{})
	overrule := lab.Command(t.Context(), l.ConfFile(), "ceph", "tell", "mon.a", "config", "set", deleteOption, "false")
	if out, err := overrule.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	err := pools.Remove(t.Context(), c, "stays")
	if !errors.Is(err, rbd.ErrDenied) || !strings.Contains(err.Error(), "overrules") {
		t.Errorf("Remove = %v", err)
	}
	if !c.pool("stays").NoDelete {
		t.Error("the nodelete flag was not put back")
	}
	c.expectShut("")
}

// expectShut checks that nothing is left of a removal but what was there: the
// option's value in the configuration database, or none.
func (c cluster) expectShut(value string) {
	c.t.Helper()
	dump := string(c.send("config dump", nil))
	if has := strings.Contains(dump, deleteOption); has != (value != "") || value != "" && !strings.Contains(dump, `"value":"`+value+`"`) {
		c.t.Errorf("the configuration database has %s, want %q", dump, value)
	}
	if _, err := c.try("config-key get", map[string]any{"key": "rbdctl/" + deleteOption}); !errors.Is(err, rbd.ErrNotFound) {
		c.t.Errorf("the note is still there: %v", err)
	}
}

// forbidDeletion restarts a lab's monitor without the line of its ceph.conf that
// allows pools to be deleted: a configuration file beats the database.
func forbidDeletion(t *testing.T, l *lab.Lab) {
	t.Helper()
	conf, err := os.ReadFile(l.ConfFile())
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(conf), "mon allow pool delete = true\n", "", 1)
	if without == string(conf) {
		t.Fatal("the lab's ceph.conf has no such line")
	}
	if err := os.WriteFile(l.ConfFile(), []byte(without), 0o644); err != nil {
		t.Fatal(err)
	}
	pid, err := l.PID("mon.a")
	if err != nil || pid == 0 {
		t.Fatalf("monitor: pid %d, %v", pid, err)
	}
	again := sameProcess(t, pid)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the monitor to end", func() bool { return ended(pid) })
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = again.Wait() }() // the lab ends it
	waitFor(t, "the monitor to answer", func() bool {
		return lab.Command(t.Context(), l.ConfFile(), "ceph", "--connect-timeout", "2", "mon", "stat").Run() == nil
	})
}

// ended tells whether a process has ended, be it reaped or not.
func ended(pid int) bool {
	environ, err := os.ReadFile(procFile(pid, "environ"))
	return err != nil || len(environ) == 0
}

// sameProcess is a command like the one that a process runs.
func sameProcess(t *testing.T, pid int) *exec.Cmd {
	t.Helper()
	read := func(name string) []string {
		text, err := os.ReadFile(procFile(pid, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	}
	argv := read("cmdline")
	program, err := os.Readlink(procFile(pid, "exe"))
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{
		Path: program, Args: argv, Env: read("environ"), Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, WaitDelay: time.Second,
	}
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
