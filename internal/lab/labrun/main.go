// Command labrun runs a command with a lab of its own:
//
//	go run ./internal/lab/labrun -- go test ./...
//
// It brings a lab up in a temporary directory, sets RBDCTL_TEST_CEPH_CONF and
// RBDCTL_TEST_LIBVIRT_URI (package labtest asks for these), runs the command, and
// takes the lab down whatever happens: the command's failure, a signal, an Up
// that does not succeed. A signal goes on to the command first, which so gets to
// end by itself. Only a SIGKILL leaves the lab, in a directory that was printed;
// "rbdctl lab down" removes it.
//
// Exit status is the command's, 128 plus the number of the signal that ended it,
// or 125 if there was no lab to run it in.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"rbdctl/internal/lab"
)

func main() { os.Exit(run()) }

// noLab is the exit status when the command was not run.
const noLab = 125

func run() int {
	var o lab.Options
	keep := false
	flag.StringVar(&o.Dir, "dir", "", "the lab's directory (default: a temporary one)")
	flag.IntVar(&o.OSDs, "osds", 0, "number of OSDs (default 3)")
	flag.StringVar((*string)(&o.Store), "store", "", "bluestore or memstore (default bluestore)")
	flag.BoolVar(&o.NoLibvirt, "no-libvirt", false, "leave libvirtd out")
	flag.BoolVar(&o.FastMon, "fast-mon", true, "let the monitor decide quickly")
	flag.BoolVar(&keep, "keep", false, "leave the lab up")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "labrun: no command: labrun [flags] -- command [arguments]")
		return noLab
	}
	o.Log = os.Stderr

	// From here on a signal is a reason to clean up, not to die.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	remove, err := makeDir(&o)
	if err != nil {
		return complain(err)
	}
	if !keep {
		defer remove()
	}
	l, err := up(o, signals)
	if err != nil {
		return complain(err)
	}
	return command(l, flag.Args(), signals)
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "labrun:", err)
	return noLab
}

// makeDir settles the lab's directory and returns what removes the lab from it.
func makeDir(o *lab.Options) (remove func(), err error) {
	parent := ""
	if o.Dir == "" {
		if parent, err = os.MkdirTemp("", "labrun-"); err != nil {
			return nil, err
		}
		if err := os.Chmod(parent, 0o755); err != nil { // libvirtd's user passes through
			return nil, err
		}
		o.Dir = filepath.Join(parent, "lab")
	}
	fmt.Fprintln(os.Stderr, "labrun: lab in", o.Dir)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := lab.Down(ctx, lab.DownOptions{Dir: o.Dir}); err != nil {
			fmt.Fprintln(os.Stderr, "labrun:", err)
		}
		if parent != "" {
			_ = os.Remove(parent)
		}
	}, nil
}

// up is lab.Up that a signal ends.
func up(o lab.Options, signals <-chan os.Signal) (*lab.Lab, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case sig := <-signals:
			cancel(fmt.Errorf("stopped by signal: %v", sig))
		case <-done:
		}
	}()
	return lab.Up(ctx, o)
}

// command runs argv with the lab in its environment and passes signals on.
func command(l *lab.Lab, argv []string, signals <-chan os.Signal) int {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(),
		"RBDCTL_TEST_CEPH_CONF="+l.ConfFile(),
		"RBDCTL_TEST_LIBVIRT_URI="+l.LibvirtURI())
	if err := cmd.Start(); err != nil {
		return complain(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			_ = cmd.Process.Signal(sig)
		case err := <-ended:
			return status(err)
		}
	}
}

func status(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return complain(err)
		}
		return 0
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return exit.ExitCode()
}
