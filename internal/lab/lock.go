package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// poll is the pause between two looks at something that is about to happen.
const poll = 20 * time.Millisecond

// lock takes the lab of dir for this process and waits for whoever has it. The
// caller closes the file to give it back.
//
// The file is close-on-exec. A child that is between fork and exec has a copy
// all the same: so whoever gets the lock after its owner was killed finds no
// process that does not carry the lab's mark yet.
func lock(ctx context.Context, dir string, log io.Writer) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	told := false
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && sameFile(f, path) {
			return f, nil
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if err != nil && !told {
			fmt.Fprintf(log, "waiting for another rbdctl that works on %s\n", dir)
			told = true
		}
		if err := pause(ctx); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// sameFile reports whether path still names f: the previous owner may have
// removed the directory.
func sameFile(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(mine, named)
}

// lockNew is lock for a directory that may not exist yet, or no longer.
func lockNew(ctx context.Context, dir string, log io.Writer) (*os.File, error) {
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		f, err := lock(ctx, dir, log)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// pause waits for one poll, or returns why ctx ended.
func pause(ctx context.Context) error {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
