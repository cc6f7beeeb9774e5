package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rbdctl/internal/fault"
)

// daemon is a part that this process has started.
type daemon struct {
	part string
	logs []string      // where it says why it ended
	done chan struct{} // closed when it has ended
}

// environ is the whole environment of a process of the lab: nothing of the
// caller's gets in, so no CEPH_ARGS or LIBVIRT_… of theirs has an effect.
func (l *Lab) environ(part string, more ...string) []string {
	return append([]string{
		"PATH=" + systemPath,
		"HOME=" + l.dir,
		"LANG=C.UTF-8",
		"TMPDIR=/tmp",
		"CEPH_CONF=" + l.ConfFile(),
		markLab + "=" + l.state.ID,
		markPart + "=" + part,
	}, more...)
}

// spawn starts a daemon in a session of its own; it outlives its starter.
func (l *Lab) spawn(part string, cred *syscall.Credential, env []string, argv ...string) (*daemon, error) {
	program, err := lookPath(argv[0])
	if err != nil {
		return nil, err
	}
	said := filepath.Join(l.logDir(), part+".out")
	out, err := os.OpenFile(said, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(program, argv[1:]...)
	cmd.Env = l.environ(part, env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: cred}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", part, err)
	}
	d := &daemon{part: part, logs: []string{said, filepath.Join(l.logDir(), part+".log")}, done: make(chan struct{})}
	go func() { // reaps it, should it end before its starter
		_ = cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

// errEnded is the failure of a daemon that ended while it was starting.
var errEnded = errors.New("ended while starting")

// ensure sees that a part does its work, and starts it unless it runs. One that
// runs may be about to die, as after a kill a moment ago: then it is started too.
func (l *Lab) ensure(ctx context.Context, part string, start func() (*daemon, error)) error {
	for {
		alive, err := l.state.running(part)
		if err != nil {
			return err
		}
		if len(alive) == 0 {
			d, err := start()
			if err != nil {
				return err
			}
			err = l.ready(ctx, part, func() bool { return d.ended() })
			if errors.Is(err, errEnded) {
				err = fmt.Errorf("%w: %s", err, d.lastWords(l.opts.Log))
			}
			return err
		}
		err = l.ready(ctx, part, func() bool {
			now, ok := l.state.partOf(alive[0].pid)
			return !ok || now != part
		})
		if !errors.Is(err, errEnded) {
			return err
		}
	}
}

// ready waits until the part does its work, or has ended.
func (l *Lab) ready(ctx context.Context, part string, ended func() bool) error {
	for {
		if ended() {
			return fmt.Errorf("%s %w", part, errEnded)
		}
		missing := l.up(ctx, part)
		if missing == nil {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fault.Newf(fault.ErrUnavailable, "%s: %v: %v: its log is in %s", part, err, missing, l.logDir())
		}
	}
}

func (d *daemon) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// lastWords copies the ends of the daemon's logs to w and returns the last line
// that tells most.
func (d *daemon) lastWords(w io.Writer) string {
	const lines = 10
	last := ""
	for _, path := range d.logs {
		tail := tailOf(path, lines)
		if len(tail) == 0 {
			continue
		}
		fmt.Fprintf(w, "the end of %s:\n", path)
		for _, line := range tail {
			fmt.Fprintf(w, "  %s\n", line)
		}
		if last == "" {
			last = tail[len(tail)-1]
		}
	}
	if last == "" {
		last = "no reason in " + strings.Join(d.logs, ", ")
	}
	return last
}

// tailOf returns the last n lines of a file that are not empty.
func tailOf(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	const window = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size() > window {
		_, _ = f.Seek(-window, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, window))
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}

// tool runs a helper to its end and returns what it wrote to stdout. Its
// failure ends with the last line that it wrote to stderr.
func (l *Lab) tool(ctx context.Context, input string, argv ...string) ([]byte, error) {
	program, err := lookPath(argv[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Env = l.environ(toolPart)
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(input)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = 2 * time.Second
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, fault.New(fault.ErrUnavailable, argv[0]+": "+context.Cause(ctx).Error())
	}
	said := strings.TrimSpace(complaint.String())
	if i := strings.LastIndexByte(said, '\n'); i >= 0 {
		said = said[i+1:]
	}
	return nil, fmt.Errorf("%s: %w: %s", argv[0], err, said)
}

// ceph runs the ceph command against the lab's cluster.
func (l *Lab) ceph(ctx context.Context, args ...string) ([]byte, error) {
	return l.tool(ctx, "", append([]string{"ceph", "--conf", l.ConfFile(), "--connect-timeout", "60"}, args...)...)
}
