package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"rbdctl/internal/fault"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// An import that waits for its stream ends with the signal, and leaves nothing.
func TestSignalInAnImport(t *testing.T) {
	conf := labtest.Conf(t)
	pool := labtest.FreshPool(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		signal  syscall.Signal
		status  int
		message string
	}{
		{syscall.SIGINT, 130, "interrupted"},
		{syscall.SIGTERM, 143, "ended by signal terminated"},
	} {
		t.Run(tt.signal.String(), func(t *testing.T) {
			content, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			var stderr strings.Builder
			cmd := exec.CommandContext(t.Context(), self, "--ceph-conf", conf, "image", "import", "--pool", pool,
				"--id", "11111111-2222-4333-8444-555555555555", "-")
			cmd.Env = append(os.Environ(), asProgram+"=1")
			cmd.Stdin, cmd.Stderr = content, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = content.Close()
			if _, err := writer.Write([]byte(strings.Repeat("rbdctl ", 3<<20))); err != nil {
				t.Fatal(err)
			}
			cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: conf, Entity: "client.admin"})
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			waitForImages(t, cluster, pool, 1)

			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if text := stderr.String(); !strings.HasPrefix(text, "rbdctl: ") || !strings.Contains(text, tt.message) || strings.Count(text, "\n") != 1 {
				t.Errorf("stderr %q, want one line with %q", text, tt.message)
			}
			waitForImages(t, cluster, pool, 0)
		})
	}
}

// waitForImages waits until the pool has n images, as long as the test may last.
func waitForImages(t *testing.T, cluster *rbd.Cluster, pool string, n int) {
	t.Helper()
	for ctx := t.Context(); ; {
		names, err := rbd.NewImages(cluster).List(ctx, pool, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == n {
			return
		}
		if n == 0 {
			t.Fatalf("left behind: %q", names)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestEndedBySignal(t *testing.T) {
	interrupt := &signalError{syscall.SIGINT}
	ctx, cancel := context.WithCancelCause(t.Context())
	if signalOf(ctx) != nil {
		t.Error("a signal before there was one")
	}
	cancel(interrupt)
	if got := signalOf(ctx); got != interrupt {
		t.Errorf("signalOf = %v", got)
	}
	for _, tt := range []struct {
		err        error
		want, word string
	}{
		{io.ErrUnexpectedEOF, "interrupted: unexpected EOF", "interrupted"},
		{fmt.Errorf("read: %w", interrupt), "read: interrupted", "interrupted"},
		{fmt.Errorf("%w: %w", fault.ErrOutcomeUnknown, context.Cause(ctx)), "outcome unknown: interrupted", "outcome_unknown"},
	} {
		err := endedBy(interrupt, tt.err)
		if err.Error() != tt.want || exitStatus(err) != 130 || kindWord(err) != tt.word {
			t.Errorf("%q, %d, %q; want %q, 130, %q", err, exitStatus(err), kindWord(err), tt.want, tt.word)
		}
	}
}
