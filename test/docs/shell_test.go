package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab"
)

// shell is a bash that runs commands one after the other.
type shell struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

// startShell starts one in an empty directory, with rbdctl on its PATH and the
// lab in its environment.
func startShell(t *testing.T, l *lab.Lab, bin string) *shell {
	t.Helper()
	cmd := exec.Command("bash", "--norc", "--noprofile")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + cmd.Dir, "LC_ALL=C.UTF-8", "PATH=" + bin + ":" + os.Getenv("PATH")}
	for _, v := range l.Env() {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		endLabs(t, cmd.Dir)
	})
	return &shell{t: t, in: in, out: bufio.NewReader(out)}
}

// endLabs takes down the labs that a session brought up in dir and, having
// failed, left.
func endLabs(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*", "lab.json"))
	if err != nil {
		t.Error(err)
	}
	for _, state := range left {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := lab.Down(ctx, lab.DownOptions{Dir: filepath.Dir(state)}); err != nil {
			t.Error(err)
		}
	}
}

// end marks the end of a command's output.
const end = "\x01end of output "

// run runs one command and returns what it printed, to either stream, and its
// exit status.
func (s *shell) run(command string) (string, int) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null; printf '\\001end of output %%d\\n' $?\n", command); err != nil {
		s.t.Fatal(err)
	}
	var output strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the shell ended in %q: %v; it printed %s", command, err, output.String()+line)
		}
		if before, status, ok := strings.Cut(line, end); ok {
			output.WriteString(before)
			n, err := strconv.Atoi(strings.TrimSpace(status))
			if err != nil {
				s.t.Fatal(err)
			}
			return output.String(), n
		}
		output.WriteString(line)
	}
}
