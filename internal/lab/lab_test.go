package lab_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

func pid(n int) string { return strconv.Itoa(n) }

// TestLife takes one lab, as a person gets it, through everything that can
// happen to it.
func TestLife(t *testing.T) {
	dir := filepath.Join(labtest.LabDir(t, ""), "lab")
	protect(t, dir)
	before := systemFiles(t)
	l := up(t, lab.Options{Dir: dir})
	id := identityOf(t, dir)
	first := pids(t, l)
	want := []string{"mon.a", "mgr.x", "osd.0", "osd.1", "osd.2", "libvirtd"}
	if diff := cmp.Diff(len(want), len(first)); diff != "" {
		t.Errorf("parts %v, want %v", first, want)
	}

	tool(t, l, "ceph", "osd", "pool", "create", "p", "8", "8")
	tool(t, l, "rbd", "pool", "init", "p")
	tool(t, l, "rbd", "create", "--size", "1M", "p/image")

	checkOpenFiles(t, dir, id)

	t.Run("a second up changes nothing", func(t *testing.T) {
		if diff := cmp.Diff(first, pids(t, up(t, lab.Options{Dir: dir}))); diff != "" {
			t.Errorf("other processes (-before +after):\n%s", diff)
		}
	})
	t.Run("what died is started on its data", func(t *testing.T) {
		for _, part := range []string{"mon.a", "mgr.x", "osd.1", "libvirtd"} {
			kill(t, first[part], syscall.SIGKILL)
		}
		again := pids(t, up(t, lab.Options{Dir: dir}))
		for part, old := range first {
			died := part != "osd.0" && part != "osd.2"
			if (again[part] != old) != died {
				t.Errorf("%s was %d and is %d", part, old, again[part])
			}
		}
		if got := tool(t, l, "rbd", "ls", "p"); got != "image\n" {
			t.Errorf("images are %q", got)
		}
	})
	t.Run("a stopped daemon shows as such", func(t *testing.T) {
		now := pids(t, l)
		kill(t, now["osd.2"], syscall.SIGSTOP)
		defer kill(t, now["osd.2"], syscall.SIGCONT)
		report, err := lab.Status(t.Context(), dir)
		if err != nil || report.Up {
			t.Errorf("Status = %+v, %v, want one that is not up", report, err)
		}
	})
	t.Run("its data outlives a down that keeps it", func(t *testing.T) {
		down(t, lab.DownOptions{Dir: dir, KeepData: true})
		if left := traces(t, "RBDCTL_LAB="+id.ID); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
		up(t, lab.Options{Dir: dir, OSDs: 4}) // and it can grow
		if got := tool(t, l, "rbd", "ls", "p"); got != "image\n" {
			t.Errorf("images are %q", got)
		}
		if got := tool(t, l, "ceph", "osd", "stat"); !strings.Contains(got, "4 osds: 4 up") {
			t.Errorf("OSDs are %q", got)
		}
	})
	down(t, lab.DownOptions{Dir: dir})
	checkGone(t, dir, id)
	if diff := cmp.Diff(before, systemFiles(t)); diff != "" {
		t.Errorf("the system's files changed (-before +after):\n%s", diff)
	}
	down(t, lab.DownOptions{Dir: dir}) // what is gone is success
}

// protect takes a lab down with the test, which may fail before it does.
func protect(t *testing.T, dir string) { labtest.LabDir(t, dir) }

// systemFiles lists the places where a system Ceph and libvirt have theirs.
func systemFiles(t *testing.T) []string {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, root := range []string{
		"/etc/ceph", "/var/lib/ceph", "/run/ceph", "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt",
		"/run/libvirt", "/var/cache/libvirt", home + "/.config/libvirt", home + "/.cache/libvirt",
	} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err == nil { // else absent, or another user's
				found = append(found, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// checkOpenFiles demands that the lab's processes write inside the lab only.
func checkOpenFiles(t *testing.T, dir string, id identity) {
	t.Helper()
	for part, n := range pids(t, open(t, dir)) {
		fds, err := filepath.Glob("/proc/" + pid(n) + "/fd/*")
		if err != nil || len(fds) == 0 {
			t.Fatalf("%s has no files open: %v", part, err)
		}
		for _, fd := range fds {
			path, err := os.Readlink(fd)
			if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/dev/") ||
				strings.HasPrefix(path, dir+"/") || strings.HasPrefix(path, id.RuntimeDir+"/") {
				continue
			}
			// The permissions of the link are the mode in which the file is open.
			if info, err := os.Lstat(fd); err == nil && info.Mode().Perm()&0o200 != 0 {
				t.Errorf("%s writes to %s", part, path)
			}
		}
	}
}

func TestTwoLabsAtOnce(t *testing.T) {
	dirs := []string{labtest.LabDir(t, ""), labtest.LabDir(t, "")}
	labs := make([]*lab.Lab, len(dirs))
	var group errgroup.Group
	for i, dir := range dirs {
		group.Go(func() (err error) {
			labs[i], err = lab.Up(t.Context(), lab.Options{Dir: dir, OSDs: 1, Store: lab.MemStore})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	one, two := tool(t, labs[0], "ceph", "fsid"), tool(t, labs[1], "ceph", "fsid")
	if one == two {
		t.Errorf("one cluster %s in two directories", one)
	}
	id := identityOf(t, dirs[0])
	down(t, lab.DownOptions{Dir: dirs[0]})
	checkGone(t, dirs[0], id)
	pids(t, labs[1])
	tool(t, labs[1], "ceph", "pg", "stat")
}

// monKiller kills the monitor of a lab as soon as Up says that it is up.
type monKiller struct {
	t   *testing.T
	dir string
}

func (k monKiller) Write(line []byte) (int, error) {
	if strings.HasPrefix(string(line), "monitor") {
		l, err := lab.Open(k.dir)
		if err != nil {
			return 0, err
		}
		mon, err := l.PID("mon.a")
		if err != nil {
			return 0, err
		}
		k.t.Log("killing the monitor")
		return len(line), syscall.Kill(mon, syscall.SIGKILL)
	}
	return len(line), nil
}

// TestMonitorThatEndsDuringUp is started again, and the lab completed.
func TestMonitorThatEndsDuringUp(t *testing.T) {
	dir := labtest.LabDir(t, "")
	pids(t, up(t, lab.Options{
		Dir: dir, OSDs: 1, Store: lab.MemStore, NoLibvirt: true, FastMon: true, Log: monKiller{t, dir},
	}))
}

// TestTwoUpsOfOneLab lets them take turns: one makes the lab, one finds it.
func TestTwoUpsOfOneLab(t *testing.T) {
	dir := labtest.LabDir(t, "")
	o := lab.Options{Dir: dir, OSDs: 1, Store: lab.MemStore, NoLibvirt: true}
	var group errgroup.Group
	for range 2 {
		group.Go(func() error {
			_, err := lab.Up(t.Context(), o)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	var left []string
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) { // a monitor forks now and then
		if left = traces(t, "RBDCTL_LAB="+identityOf(t, dir).ID); len(left) == 3 || time.Now().After(deadline) {
			break
		}
	}
	if len(left) != 3 {
		t.Errorf("processes %v, want mon, mgr and one OSD", left)
	}
}

func TestTakenPortMovesTheMonitor(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true, Store: lab.BlueStore})
	tool(t, l, "ceph", "osd", "pool", "create", "p", "1", "1")
	ports := identityOf(t, l.Dir()).MonPorts
	down(t, lab.DownOptions{Dir: l.Dir(), KeepData: true})
	squatter := squat(t, ports[0])
	defer squatter.Close()
	l = up(t, lab.Options{Dir: l.Dir(), NoLibvirt: true})
	if now := identityOf(t, l.Dir()).MonPorts; now == ports {
		t.Errorf("the monitor is still on %v", now)
	}
	if got := tool(t, l, "ceph", "osd", "pool", "ls"); !strings.Contains(got, "p\n") {
		t.Errorf("pools are %q", got)
	}
}

// squat takes a port that a daemon may have had a moment ago.
func squat(t *testing.T, port int) net.Listener {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return l
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestOrdinaryUser brings a lab up as somebody without privileges.
func TestOrdinaryUser(t *testing.T) {
	dir := labtest.LabDir(t, "")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	// The test binary itself lies where only its builder gets.
	program := filepath.Join(dir, "lab.test")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(program)
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	labDir := filepath.Join(home, "lab")
	protect(t, labDir)
	cmd := upProcess(t.Context(), t, program, lab.Options{Dir: labDir, OSDs: 1})
	cmd.Dir = home
	if os.Geteuid() == 0 {
		const daemon = 1 // a user that every Debian has; libvirtd of a root's lab is nobody's
		if err := os.Chown(home, daemon, daemon); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: daemon, Gid: daemon}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pids(t, open(t, labDir))
	id := identityOf(t, labDir)
	down(t, lab.DownOptions{Dir: labDir})
	checkGone(t, labDir, id)
	if err := os.Remove(home); err != nil {
		t.Error(err)
	}
}

// TestStrangersLive: what only looks like a process of the lab is left alone.
func TestStrangersLive(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true})
	id := identityOf(t, l.Dir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, env := range map[string]string{
		"the mark of another lab":  "RBDCTL_LAB=" + id.ID + "0",
		"a word with the mark":     "NOTE=RBDCTL_LAB=" + id.ID,
		"the lab's home, not QEMU": "HOME=" + id.RuntimeDir + "/v/home",
	} {
		cmd := lab.Command(ctx, l.ConfFile(), "tail", "-f", "/dev/null")
		cmd.Dir, cmd.Env = l.Dir(), []string{env}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cancel()
			err := cmd.Wait()
			if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() {
				t.Errorf("%s: %v", name, err)
			}
		})
		defer func() {
			// A process that Down had killed would be a zombie, which has no arguments.
			if line, err := os.ReadFile("/proc/" + pid(cmd.Process.Pid) + "/cmdline"); err != nil || len(line) == 0 {
				t.Errorf("a process with %s was killed", name)
			}
		}()
	}
	down(t, lab.DownOptions{Dir: l.Dir()})
}
