package demo_test

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"rbdctl/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func TestDemo(t *testing.T) {
	bin := filepath.Dir(labtest.Build(t))
	t.Run("whole", func(t *testing.T) { testWhole(t, bin) })
	t.Run("interrupted", func(t *testing.T) { testInterrupted(t, bin) })
	t.Run("lied to", func(t *testing.T) { testLiedTo(t, bin) })
}

// testWhole runs the demo to its end, and then does what it says one can do.
func testWhole(t *testing.T, bin string) {
	d := start(t, bin, "KEEP=1")
	if status := d.wait(); status != 0 {
		t.Fatalf("exit status %d:\n%s", status, d.out.String())
	}
	out := d.out.String()
	for _, line := range strings.Split(out, "\n") {
		if len(line) > 80 {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
	if n := strings.Count(out, "\n  ok: "); n < 20 {
		t.Errorf("only %d claims were checked", n)
	}
	if !strings.Contains(out, "\n  guest: done\n") {
		t.Error("the guest did not come to its end")
	}

	kept := commands(t, out, "PATH=", "eval ")
	database := shell(t, kept+"ceph auth ls 2>&1")
	keys := regexp.MustCompile(`key: (\S{40,})`).FindAllStringSubmatch(database, -1)
	if len(keys) < 9 { // three OSDs, the administrator and five entities of services
		t.Errorf("the kept cluster has %d keys:\n%s", len(keys), database)
	}
	for _, key := range keys {
		if strings.Contains(out, key[1]) {
			t.Error("the demo prints a key")
		}
	}
	shell(t, kept+"virsh start demo && virsh destroy demo")
	shell(t, kept+commands(t, out, "rbdctl lab down ", "rm -rf "))
	d.checkGone()
}

// testInterrupted sends what a terminal sends on Ctrl-C, to the whole group, and
// again, as people do.
func testInterrupted(t *testing.T, bin string) {
	d := start(t, bin)
	d.readUntil("2. Pools")
	for range 2 {
		if err := syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	if status := d.wait(); status != 130 {
		t.Errorf("exit status %d, want 130:\n%s", status, d.out.String())
	}
	d.checkGone()
}

// testLiedTo gives the demo an rbdctl that leaves its work undone and says
// nothing of it.
func testLiedTo(t *testing.T, bin string) {
	liars := t.TempDir()
	liar := "#!/bin/sh\n" +
		`if [ "$1 $2" = "pools init" ]; then exit 0; fi` + "\n" +
		`exec "` + filepath.Join(bin, "rbdctl") + `" "$@"` + "\n"
	if err := os.WriteFile(filepath.Join(liars, "rbdctl"), []byte(liar), 0o700); err != nil {
		t.Fatal(err)
	}
	d := start(t, liars)
	if status := d.wait(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if out := d.out.String(); !strings.Contains(out, "NOT TRUE: ") {
		t.Errorf("the demo believed it:\n%s", out)
	}
	d.checkGone()
}

// demo is a run of contrib/demo/demo.sh.
type demo struct {
	t    *testing.T
	cmd  *exec.Cmd
	pipe *bufio.Reader
	out  bytes.Buffer // what was read of both outputs
	work string
}

// start starts the demo in a process group of its own. Whatever the end of the
// test, its lab is taken down.
func start(t *testing.T, bin string, vars ...string) *demo {
	t.Helper()
	parent, err := os.MkdirTemp("/var/tmp", "rbdctl-test.")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil { // libvirt's user passes
		t.Fatal(err)
	}
	d := &demo{t: t, work: filepath.Join(parent, "w")}
	labtest.LabDir(t, filepath.Join(d.work, "lab"))

	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	d.cmd = exec.CommandContext(t.Context(), "../../contrib/demo/demo.sh")
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	d.cmd.Env = append(os.Environ(), append(vars, "BIN="+bin, "WORK="+d.work)...)
	d.cmd.Stdout, d.cmd.Stderr = writer, writer
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	d.pipe = bufio.NewReader(reader)
	return d
}

// readUntil reads the output up to a line.
func (d *demo) readUntil(want string) {
	d.t.Helper()
	for {
		line, err := d.pipe.ReadString('\n')
		d.out.WriteString(line)
		if strings.TrimSuffix(line, "\n") == want {
			return
		}
		if err != nil {
			d.t.Fatalf("the output has no line %q:\n%s", want, d.out.String())
		}
	}
}

// wait reads the rest of the output and returns the exit status.
func (d *demo) wait() int {
	d.t.Helper()
	if _, err := d.pipe.WriteTo(&d.out); err != nil {
		d.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := d.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return d.cmd.ProcessState.ExitCode()
}

// checkGone looks for what the demo made or started.
func (d *demo) checkGone() {
	d.t.Helper()
	if _, err := os.Stat(d.work); !errors.Is(err, fs.ErrNotExist) {
		d.t.Errorf("%s is still there: %v", d.work, err)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(d.work+"/")) {
			d.t.Errorf("still running: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
}

// commands returns the lines of the demo's last words that begin with one of
// prefixes, for a shell.
func commands(t *testing.T, out string, prefixes ...string) string {
	t.Helper()
	_, words, _ := strings.Cut(out, "Everything is kept in ")
	script := ""
	for _, prefix := range prefixes {
		lines := strings.Split(words, "\n")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "  "+prefix) })
		if i < 0 {
			t.Fatalf("the demo does not say how to go on with %q:\n%s", prefix, words)
		}
		script += lines[i] + "\n"
	}
	return script
}

// shell runs a script, which has to succeed, and returns its output.
func shell(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}
