package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

func osdPart(i int) string { return fmt.Sprintf("osd.%d", i) }

func isOSD(part string) bool { return strings.HasPrefix(part, "osd.") }

// makeOSDs makes the stores that are missing, all at once, since most of the time
// goes into waiting for the disk, and says which.
func (l *Lab) makeOSDs(ctx context.Context) ([]int, error) {
	var missing []int
	for i := range l.state.OSDs {
		_, err := os.Stat(l.osdDir(i))
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, i)
		} else if err != nil {
			return nil, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, i := range missing {
		group.Go(func() error { return l.makeOSD(ctx, i) })
	}
	return missing, group.Wait()
}

// makeOSD makes the store of OSD i, complete or not at all. It needs no monitor,
// so it runs while that one starts.
func (l *Lab) makeOSD(ctx context.Context, i int) error {
	fresh := l.osdDir(i) + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if _, err := l.tool(ctx, "", "ceph-osd", "--conf", l.ConfFile(), "--no-mon-config", "--mkfs",
		"-i", fmt.Sprint(i), "--osd-data", fresh, "--osd-uuid", uuid.NewString()); err != nil {
		return fmt.Errorf("make osd.%d: %w", i, err)
	}
	return os.Rename(fresh, l.osdDir(i))
}

// writeOSDKeys sees that osd.keyring has a key for every OSD; what is there stays.
func (l *Lab) writeOSDKeys() error {
	path := l.file("osd.keyring")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content := string(text)
	for i := range l.state.OSDs {
		if strings.Contains(content, "["+osdPart(i)+"]") {
			continue
		}
		section, err := osdGrant(i).section()
		if err != nil {
			return err
		}
		content += section
	}
	if content == string(text) {
		return nil
	}
	return writeFile(path, []byte(content), 0o600)
}

// registerOSDs makes the monitor know the OSDs and their keys. Doing it again
// changes nothing.
func (l *Lab) registerOSDs(ctx context.Context, osds []int) error {
	if _, err := l.ceph(ctx, "auth", "import", "-i", l.file("osd.keyring")); err != nil {
		return err
	}
	// One ceph command reads all the lines: its start costs more than its work.
	var lines strings.Builder
	for _, i := range osds {
		id, err := os.ReadFile(l.osdDir(i) + "/fsid")
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "osd new %s %d\n", strings.TrimSpace(string(id)), i)
	}
	_, err := l.tool(ctx, lines.String(), "ceph", "--conf", l.ConfFile())
	return err
}

// startOSDs starts the OSDs that do not run and waits for every OSD of the lab to
// be active. Those that are new come last: to put one into the CRUSH map where all
// others are down has crashed the monitor of 16.2.15, which counts the down OSDs
// of a host and finds more than there are.
func (l *Lab) startOSDs(ctx context.Context, fresh []int) error {
	if err := l.writeOSDKeys(); err != nil {
		return err
	}
	var old []int
	for i := range l.state.OSDs {
		if !slices.Contains(fresh, i) {
			old = append(old, i)
		}
	}
	for _, osds := range [][]int{old, fresh} {
		if err := l.startTogether(ctx, osds); err != nil {
			return err
		}
	}
	return nil
}

// startTogether starts those of the given OSDs that do not run, all at once.
func (l *Lab) startTogether(ctx context.Context, osds []int) error {
	var stopped []int
	for _, i := range osds {
		alive, err := l.state.running(osdPart(i))
		if err != nil {
			return err
		}
		if len(alive) == 0 {
			stopped = append(stopped, i)
		}
	}
	if len(stopped) > 0 {
		if err := l.registerOSDs(ctx, stopped); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, i := range osds {
		group.Go(func() error {
			return l.ensure(ctx, osdPart(i), func() (*daemon, error) {
				return l.spawn(osdPart(i), nil, nil, "ceph-osd", "-f", "-i", fmt.Sprint(i), "--conf", l.ConfFile())
			})
		})
	}
	return group.Wait()
}
