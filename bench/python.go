package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// python is a running interpreter with the Ceph bindings, which answers each
// line with the seconds that the work took.
type python struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startPython needs Debian's python3-rbd, so it asks for Debian's python3.
func startPython(ctx context.Context, script string, args ...string) (*python, error) {
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", append([]string{"-c", script}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &python{cmd: cmd, in: in, out: bufio.NewReader(out)}, cmd.Start()
}

func (p *python) ask(line string) (time.Duration, error) {
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		return 0, err
	}
	answer, err := p.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("python3: %w", err)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(answer), 64)
	return time.Duration(seconds * float64(time.Second)), err
}

func (p *python) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}
