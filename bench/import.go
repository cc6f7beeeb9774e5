package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"

	"rbdctl/backends/glance"
	"rbdctl/rbd"
)

const (
	fileSize = 2 << 30
	fileData = 512 << 20
	piece    = 64 << 20

	// rest is before each import: what the one before left the OSDs to do, deletions
	// and compaction, is not the next one's. rados bench needs half of it to start.
	rest = time.Second
)

// sparseFile writes a file of fileSize of which fileData is noise, in pieces
// spread over it.
func (b *bench) sparseFile() (string, error) {
	name := filepath.Join(b.dir, "sparse.raw")
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	noise := rand.NewChaCha8([32]byte{2})
	buf := make([]byte, piece)
	for n := range fileData / piece {
		if _, err := noise.Read(buf); err != nil {
			return "", err
		}
		buf[0] = 0
		if _, err := f.WriteAt(buf, int64(n)*(fileSize/(fileData/piece))); err != nil {
			return "", err
		}
	}
	if err := f.Truncate(fileSize); err != nil {
		return "", err
	}
	return name, f.Sync()
}

func (b *bench) importFile(ctx context.Context) (table, error) {
	file, err := b.sparseFile()
	if err != nil {
		return table{}, err
	}
	var writing []time.Duration // of the rounds: until the last byte was written
	contenders := []contender{
		{"rbdctl", func(ctx context.Context, round int) (time.Duration, error) {
			took, written, err := b.importOnce(ctx, file)
			if round > 0 {
				writing = append(writing, written)
			}
			return took, err
		}},
		{"rados bench, the same data", func(ctx context.Context, _ int) (time.Duration, error) { return b.radosBench(ctx) }},
		{"qemu-img convert", func(ctx context.Context, _ int) (time.Duration, error) {
			name := uuid.NewString()
			begin := time.Now()
			if err := b.tool(ctx, "qemu-img", "convert", "-f", "raw", "-O", "raw", file, "rbd:images/"+name+":conf="+b.conf); err != nil {
				return 0, err
			}
			took := time.Since(begin)
			return took, b.images.Remove(ctx, rbd.ImageSpec{Pool: "images", Image: name})
		}},
	}
	for i, c := range contenders {
		contenders[i].run = func(ctx context.Context, round int) (time.Duration, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(rest):
			}
			return c.run(ctx, round)
		}
	}
	rounds := max(5, b.rounds/3)
	times, err := takeTurns(ctx, b.log, rounds, contenders)
	if err != nil {
		return table{}, err
	}
	contenders = append(contenders, contender{name: "rbdctl until the last byte was written"})
	times = append(times, writing)
	t := durations("Import of a 2 GiB file of which 512 MiB is data",
		fmt.Sprintf("%d rounds, in turn, a second apart. rados bench writes 512 MiB as 4 MiB objects, 16 at a\ntime, and is the bandwidth that the cluster has for new objects. After the last byte rbdctl\nsaves the object map, and takes and protects the snapshot.", rounds), contenders, times)
	t.header = append(t.header, "bandwidth on the data", "rbdctl's bandwidth / this one's")
	for i := range t.rows {
		mb := float64(fileData>>20) / median(times[i]).Seconds()
		t.rows[i] = append(t.rows[i], fmt.Sprintf("%.0f MiB/s", mb), fmt.Sprintf("%.2f", ratio(times[i], times[0])))
	}
	return t, nil
}

// importOnce imports a file and removes the image again. It says how long the
// import took, and how long it was until the last byte was written.
func (b *bench) importOnce(ctx context.Context, file string) (took, written time.Duration, err error) {
	content, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer content.Close()
	id := uuid.NewString()
	store := glance.Store{Images: b.images, Pool: "images"}
	begin := time.Now()
	progress := func(uint64, uint64) { written = time.Since(begin) }
	if _, err := store.Import(ctx, id, content, glance.ImportOptions{Progress: progress}); err != nil {
		return 0, 0, err
	}
	took = time.Since(begin)
	return took, written, b.drop(ctx, rbd.ImageSpec{Pool: "images", Image: id}.At("snap"))
}

// drop removes an imported image.
func (b *bench) drop(ctx context.Context, spec rbd.SnapSpec) error {
	if err := b.images.Unprotect(ctx, spec); err != nil {
		return err
	}
	if err := b.images.RemoveSnapshot(ctx, spec); err != nil {
		return err
	}
	return b.images.Remove(ctx, spec.ImageSpec)
}

// radosBench is how long rados bench needs for fileData: the time that its own
// figure of bandwidth comes to.
func (b *bench) radosBench(ctx context.Context) (time.Duration, error) {
	const objects = fileData / (4 << 20)
	out, err := exec.CommandContext(ctx, "rados", "--conf", b.conf, "-p", "images", "bench", "60", "write",
		"-b", "4194304", "-t", "16", "--max-objects", fmt.Sprint(objects), "--format", "json").Output()
	if err != nil {
		return 0, err
	}
	// The output is nearly JSON: progress and clean-up are printed in between.
	seconds, written := figure(out, "total_time_run"), figure(out, "total_writes_made")
	if seconds == 0 || written == 0 {
		return 0, fmt.Errorf("rados bench answered %q", out)
	}
	perByte := seconds / (written * (4 << 20))
	return time.Duration(perByte * fileData * float64(time.Second)), nil
}

// figure finds "name":"number" in text; 0 when it is not there.
func figure(text []byte, name string) float64 {
	found := regexp.MustCompile(`"` + name + `":"([0-9.]+)"`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	value, _ := strconv.ParseFloat(string(found[1]), 64)
	return value
}

// importMemory is the peak of resident memory of `rbdctl image import`.
func (b *bench) importMemory(ctx context.Context) (table, error) {
	t := table{
		title: "Peak memory of an import", note: "`rbdctl image import` as a process, by the kernel's account.",
		header: []string{"file", "peak resident memory"},
	}
	big, err := b.sparseFile()
	if err != nil {
		return t, err
	}
	dense := filepath.Join(b.dir, "dense.raw")
	if err := writeNoise(dense, 1<<30); err != nil {
		return t, err
	}
	for _, f := range []struct{ name, what string }{
		{big, "2 GiB, 512 MiB of it data"}, {dense, "1 GiB, all data"},
	} {
		id := uuid.NewString()
		peak, err := peakMemory(exec.CommandContext(ctx, b.rbdctl, "--ceph-conf", b.conf, "image", "import", "--id", id, f.name))
		if err != nil {
			return t, err
		}
		t.rows = append(t.rows, []string{f.what, fmt.Sprintf("%d MiB", peak>>10)})
		if err := b.drop(ctx, rbd.ImageSpec{Pool: "images", Image: id}.At("snap")); err != nil {
			return t, err
		}
	}
	return t, nil
}

// peakMemory runs cmd and returns its peak resident memory in KiB, looked up in
// /proc while it runs: what wait4 reports of a child counts its parent too, until
// the exec.
func peakMemory(cmd *exec.Cmd) (int, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	status := fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)
	high := regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
	peak := 0
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case err := <-ended:
			tick.Stop()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out.Bytes())
			}
			return peak, err
		case <-tick.C:
			text, _ := os.ReadFile(status)
			if found := high.FindSubmatch(text); found != nil && !bytes.Contains(text, []byte("Name:\tbench")) {
				n, _ := strconv.Atoi(string(found[1]))
				peak = max(peak, n)
			}
		}
	}
}

func writeNoise(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	noise := rand.NewChaCha8([32]byte{3})
	buf := make([]byte, 16<<20)
	for at := int64(0); at < size; at += int64(len(buf)) {
		_, _ = noise.Read(buf)
		buf[0] = 0
		if _, err := f.WriteAt(buf, at); err != nil {
			return err
		}
	}
	return nil
}
