package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// identity is what the tests read of lab.json by themselves: whether a lab is
// gone is not asked of the code that has to make it go.
type identity struct {
	ID         string `json:"id"`
	RuntimeDir string `json:"runtime_dir"`
	MonPorts   [2]int `json:"mon_ports"`
}

func identityOf(t *testing.T, dir string) identity {
	t.Helper()
	var id identity
	text, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &id); err != nil {
		t.Fatal(err)
	}
	return id
}

// traces are the processes that mention one of words in their environment or
// arguments, this one excepted.
func traces(t *testing.T, words ...string) []string {
	t.Helper()
	var found []string
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, proc := range procs {
		if filepath.Base(proc) == "self" || proc == "/proc/"+pid(os.Getpid()) {
			continue
		}
		cmdline, _ := os.ReadFile(proc + "/cmdline")
		environ, _ := os.ReadFile(proc + "/environ")
		for _, word := range words {
			if bytes.Contains(cmdline, []byte(word)) || bytes.Contains(environ, []byte(word)) {
				found = append(found, proc+" "+strings.ReplaceAll(string(cmdline), "\x00", " "))
				break
			}
		}
	}
	return found
}

// checkGone demands that nothing is left of a lab: processes or directories.
func checkGone(t *testing.T, dir string, id identity) {
	t.Helper()
	if left := traces(t, "RBDCTL_LAB="+id.ID, id.RuntimeDir+"/v"); len(left) > 0 {
		t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
	}
	for _, path := range []string{dir, id.RuntimeDir} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
}

func up(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func open(t *testing.T, dir string) *lab.Lab {
	t.Helper()
	l, err := lab.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func down(t *testing.T, o lab.DownOptions) {
	t.Helper()
	if err := lab.Down(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// pids are the processes of a lab by part; every part must be up.
func pids(t *testing.T, l *lab.Lab) map[string]int {
	t.Helper()
	var report *lab.Report
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // one that is busy may not answer at once
		var err error
		if report, err = lab.Status(t.Context(), l.Dir()); err != nil {
			t.Fatal(err)
		}
		if report.Up {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not up: %+v", report.Parts)
		}
	}
	found := map[string]int{}
	for _, p := range report.Parts {
		found[p.Name] = p.PID
	}
	return found
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// tool runs a program of the distribution on l.
func tool(t *testing.T, l *lab.Lab, name string, args ...string) string {
	t.Helper()
	var complaint bytes.Buffer
	cmd := lab.Command(t.Context(), l.ConfFile(), name, args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, &complaint)
	}
	return string(out)
}

// The test binary runs itself as another process that brings a lab up.

const roleEnv = "LAB_TEST_UP"

// TestRole is no test of its own: it is what those processes run.
func TestRole(t *testing.T) {
	text := os.Getenv(roleEnv)
	if text == "" {
		return
	}
	var o lab.Options
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	o.Log = os.Stdout
	up(t, o)
}

// upProcess is a process, not started yet, that brings up the lab of o.
func upProcess(ctx context.Context, t *testing.T, binary string, o lab.Options) *exec.Cmd {
	t.Helper()
	o.Log = nil
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run=^TestRole$", "-test.count=1")
	cmd.Env = append(os.Environ(), roleEnv+"="+string(text))
	return cmd
}
