package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

// selfEnv makes the test binary labrun itself.
const selfEnv = "LABRUN_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(selfEnv) != "" {
		os.Exit(run())
	}
	labtest.Main(m)
}

// labrun is a process of this program with a small lab in dir.
func labrun(ctx context.Context, dir string, command ...string) *exec.Cmd {
	args := []string{"-dir", dir, "-osds", "1", "-store", "memstore", "-no-libvirt", "--"}
	cmd := exec.CommandContext(ctx, os.Args[0], append(args, command...)...)
	cmd.Env = append(os.Environ(), selfEnv+"=1")
	return cmd
}

func checkGone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left (%v)", dir, err)
	}
}

func TestExitStatusAndEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         int
	}{
		{"success", `ceph --conf "$RBDCTL_TEST_CEPH_CONF" osd stat | grep -q '1 osds: 1 up'`, 0},
		{"failure", "exit 7", 7},
		{"a signal", "kill -KILL $$", 128 + int(syscall.SIGKILL)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(labtest.LabDir(t, ""), "lab")
			out, err := labrun(t.Context(), dir, "sh", "-c", tt.script).CombinedOutput()
			if got := codeOf(t, err); got != tt.want {
				t.Errorf("exit status %d, want %d:\n%s", got, tt.want, out)
			}
			checkGone(t, dir)
		})
	}
}

func codeOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func TestWithoutLabNothingRuns(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := labrun(t.Context(), dir, "echo", "ran").Output()
	if got := codeOf(t, err); got != noLab || len(out) > 0 {
		t.Errorf("exit status %d with output %q, want %d and none", got, out, noLab)
	}
}

func TestSignalEndsCommandThenLab(t *testing.T) {
	dir := filepath.Join(labtest.LabDir(t, ""), "lab")
	cmd := labrun(t.Context(), dir, "sh", "-c", "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the command says %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil || strings.TrimSpace(string(rest)) != "told" {
		t.Errorf("the command says %q, %v", rest, err)
	}
	if got := codeOf(t, cmd.Wait()); got != 3 {
		t.Errorf("exit status %d, want 3", got)
	}
	checkGone(t, dir)
}

func TestSignalDuringUp(t *testing.T) {
	dir := filepath.Join(labtest.LabDir(t, ""), "lab")
	cmd := labrun(t.Context(), dir, "echo", "ran")
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "monitor") {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := codeOf(t, cmd.Wait()); got != noLab {
		t.Errorf("exit status %d, want %d", got, noLab)
	}
	if _, err := lab.Open(dir); err == nil {
		t.Error("the lab is left")
	}
	checkGone(t, dir)
}
