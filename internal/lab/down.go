package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rbdctl/internal/fault"
)

// stopGrace is how long a part that keeps its data may take to end by itself.
const stopGrace = 20 * time.Second

// DownOptions says which lab ends, and how.
type DownOptions struct {
	Dir      string    // the lab's directory; required
	KeepData bool      // stop in order and leave the directory, for the next Up
	Log      io.Writer // progress; nil for none
}

// Down stops every process of the lab in o.Dir, guests included, and nothing
// else. Without KeepData it removes the lab's directories too, with all that is
// in them. It does so whatever state a killed Up or Down left, and returns when
// the last process is gone. A lab that is not there is success.
//
// Errors are fault.ErrInvalid for a directory that is not a lab, which is left
// alone, and fault.ErrDenied for the lab of another user.
func Down(ctx context.Context, o DownOptions) error {
	if o.Log == nil {
		o.Log = io.Discard
	}
	dir, err := cleanDir(o.Dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := mayTouch(dir); err != nil {
		return err
	}
	if err := mayBecomeLab(dir); err != nil {
		return err
	}
	held, err := lock(ctx, dir, o.Log)
	if errors.Is(err, fs.ErrNotExist) { // somebody else's Down was faster
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Close()
	s, err := load(dir)
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		return err
	}
	if err == nil {
		err = s.end(ctx, o)
	} else {
		err = nil // nothing was started before lab.json
	}
	if err == nil && !o.KeepData {
		err = remove(dir, s)
	}
	if err != nil {
		return &fault.Error{Op: "lab down", Subject: dir, Err: err}
	}
	return nil
}

// end stops the lab's processes. Those whose data is kept are asked, clients
// before servers, so that guests can flush and stores close.
func (s *state) end(ctx context.Context, o DownOptions) error {
	begun := time.Now()
	if o.KeepData {
		for _, want := range []func(string) bool{
			isPart(toolPart, libvirtPart), isPart(guestPart), isPart(mgrPart), isOSD, isPart(monPart),
		} {
			if err := s.stop(ctx, want, stopGrace); err != nil {
				return err
			}
		}
	}
	if err := s.stop(ctx, everyPart, 0); err != nil {
		return err
	}
	fmt.Fprintf(o.Log, "%-12s %5.1f s\n", "stopped", time.Since(begun).Seconds())
	return nil
}

// remove deletes the lab's directories. lab.json goes last but for the lock: as
// long as anything is left, the next Down knows what it is.
func remove(dir string, s *state) error {
	if s != nil {
		if err := os.RemoveAll(s.RuntimeDir); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == stateFile || e.Name() == lockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for _, name := range []string{stateFile, lockFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// Somebody who waited for the lock may have begun a new lab by now.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !notEmpty(err) {
		return err
	}
	return nil
}
