package labtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"rbdctl/internal/lab"
)

// guardEnv makes a test binary a guard, of the lab in the directory it names.
const guardEnv = "RBDCTL_LABTEST_GUARD"

// guard is a process that takes a lab down when the tests end. A test binary
// that exceeds its time, panics or is killed runs no cleanup; but its end of the
// guard's standard input closes with it.
type guard struct {
	cmd  *exec.Cmd
	life io.Closer
}

// startGuard starts the guard of a lab that is going to be made in dir.
func startGuard(dir string) (*guard, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), guardEnv+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a ^C at the terminal is not for it
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &guard{cmd: cmd, life: life}, nil
}

// end lets the guard do its work and waits for it.
func (g *guard) end() error {
	if err := g.life.Close(); err != nil {
		return err
	}
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("guard of the lab: %w", err)
	}
	return nil
}

// guardMain is the guard: it returns the exit status.
func guardMain(dir string) int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := lab.Down(ctx, lab.DownOptions{Dir: dir}); err != nil {
		fmt.Fprintln(os.Stderr, "labtest:", err)
		return 1
	}
	return 0
}
