package glance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rbdctl/internal/fault"
)

const mib = 1 << 20

// qemuImg runs the command in a directory of the test's own.
func qemuImg(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "qemu-img", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, out)
	}
}

// content is size bytes with noise, text and holes in them.
func content(size int) []byte {
	data := make([]byte, size)
	noise := rand.NewChaCha8([32]byte{5})
	for at := 0; at < size; at += mib {
		part := data[at:min(at+mib, size)]
		switch at / mib % 4 {
		case 0:
			_, _ = noise.Read(part)
		case 1:
			copy(part, bytes.Repeat([]byte("all work and no play "), len(part)/21))
		case 2:
			_, _ = noise.Read(part[len(part)/3 : len(part)/2])
		}
	}
	if size > 0 {
		data[0] = 'x' // no format's signature
	}
	return data
}

// converted is data as an image that qemu-img makes.
func converted(t testing.TB, data []byte, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "raw"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, dir, append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), "raw", "qcow2")...)
	made, err := os.ReadFile(filepath.Join(dir, "qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func open(file []byte) (*qcow2Disk, error) {
	disk, err := OpenDisk(bytes.NewReader(file), uint64(len(file)), QCOW2)
	if err != nil {
		return nil, err
	}
	return disk.(*qcow2Disk), nil
}

// read reads a disk as an import does: in chunks, several at a time.
func read(disk *qcow2Disk) ([]byte, error) {
	const chunk = 2 * mib
	data := make([]byte, disk.Size())
	errs := make([]error, len(data)/chunk+1)
	var all sync.WaitGroup
	for n := range errs {
		part := data[n*chunk : min((n+1)*chunk, len(data))]
		if disk.Zero(uint64(n*chunk), uint64(len(part))) {
			continue
		}
		all.Go(func() {
			if got, err := disk.ReadAt(part, int64(n*chunk)); got != len(part) {
				errs[n] = err
			}
		})
	}
	all.Wait()
	return data, errors.Join(errs...)
}

// TestOpenDisk: what qemu-img makes reads as what it was made of.
func TestOpenDisk(t *testing.T) {
	data := content(9*mib + 1536)
	for name, args := range map[string][]string{
		"default":           nil,
		"compressed":        {"-c"},
		"version 2":         {"-o", "compat=0.10"},
		"preallocated":      {"-o", "preallocation=metadata"},
		"clusters of 512":   {"-o", "cluster_size=512"},
		"of 4K, compressed": {"-c", "-o", "cluster_size=4k"},
		"of 16K, of v2":     {"-c", "-o", "cluster_size=16k,compat=0.10"},
		"of 2M":             {"-o", "cluster_size=2M"},
		"of 2M, compressed": {"-c", "-o", "cluster_size=2M"},
		"lazy refcounts":    {"-o", "lazy_refcounts=on"},
		"refcounts of 1":    {"-o", "refcount_bits=1"},
	} {
		t.Run(name, func(t *testing.T) {
			disk, err := open(converted(t, data, args...))
			if err != nil {
				t.Fatal(err)
			}
			got, err := read(disk)
			if err != nil || disk.Size() != uint64(len(data)) || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, other than the %d: %v", disk.Size(), len(data), err)
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		disk, err := open(converted(t, make([]byte, 300*mib)))
		if err != nil || disk.Size() != 300*mib || !disk.Zero(0, 2*mib) || !disk.Zero(298*mib, 2*mib) || disk.Zero(299*mib, 2*mib) {
			t.Errorf("it is not known to be zeroes: %v", err)
		}
	})
	t.Run("raw", func(t *testing.T) {
		disk, err := OpenDisk(bytes.NewReader(data), uint64(len(data)), Raw)
		if err != nil || disk.Size() != uint64(len(data)) || disk.Zero(0, mib) {
			t.Errorf("raw: %v", err)
		}
	})
}

// header is a change to the header of an image.
func header(at int, value uint64, bytes int) func([]byte) []byte {
	return func(file []byte) []byte {
		for i := range bytes {
			file[at+i] = byte(value >> (8 * (bytes - 1 - i)))
		}
		return file
	}
}

// TestOpenDiskRefuses: what an image needs beside itself is not looked for, and what is
// damaged is said to be.
func TestOpenDiskRefuses(t *testing.T) {
	whole := converted(t, content(3*mib))
	for _, tt := range []struct {
		name  string
		spoil func([]byte) []byte
		says  string
	}{
		{"raw", func([]byte) []byte { return content(mib) }, "its content is raw"},
		{"vmdk", func([]byte) []byte { return []byte("KDMV" + strings.Repeat("x", 5000)) }, "its content is vmdk"},
		{"nothing", func([]byte) []byte { return nil }, "its content is raw"},
		{"only a beginning", func(b []byte) []byte { return b[:60] }, "ends in its header"},
		{"less than version 3", func(b []byte) []byte { return b[:90] }, "ends in its header"},
		{"version 1", header(4, 1, 4), "version 1"},
		{"version 4", header(4, 4, 4), "version 4"},
		{"a backing file", header(8, 512, 8), "overlay"},
		{"a backing file's length", header(16, 11, 4), "overlay"},
		{"AES", header(32, 1, 4), "encrypted"},
		{"LUKS", header(32, 2, 4), "encrypted"},
		{"tiny clusters", header(20, 8, 4), "2^8"},
		{"huge clusters", header(20, 63, 4), "2^63"},
		{"dirty", header(72, 1, 8), "not closed properly"},
		{"corrupt", header(72, 2, 8), "corrupt"},
		{"a data file", header(72, 4, 8), "another file"},
		{"zstd", header(72, 8, 8), "zlib"},
		{"parts of clusters", header(72, 16, 8), "extended_l2"},
		{"an unknown feature", header(72, 1<<40, 8), "feature 40"},
		{"a short header", header(100, 72, 4), "header of 72"},
		{"an endless header", header(100, 1<<31, 4), "damaged"},
		{"no disk", header(24, 0, 8), "disk of 0"},
		{"an endless disk", header(24, 1<<63, 8), "disk of"},
		{"a disk without a table", header(24, 1<<40, 8), "table of"},
		{"a table that is nowhere", header(40, 1<<50, 8), "first table"},
		{"a table in the header", header(40, 0, 8), "first table"},
		{"a table askew", header(40, 1<<16+8, 8), "first table"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(tt.spoil(bytes.Clone(whole)))
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want that it says %q", err, tt.says)
			}
		})
	}
	t.Run("claims", func(t *testing.T) {
		if _, err := OpenDisk(bytes.NewReader(whole), uint64(len(whole)), Raw); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("qcow2 as raw: %v", err)
		}
		if _, err := OpenDisk(strings.NewReader("KDMV"), 4, "vmdk"); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("vmdk: %v", err)
		}
	})
	t.Run("a table as large as can be said", func(t *testing.T) {
		file := header(36, 1<<32-1, 4)(bytes.Clone(whole))
		disk, err := open(file)
		if err != nil {
			t.Fatalf("what is behind the table's end is of no interest: %v", err)
		}
		if got, err := read(disk); err != nil || !bytes.Equal(got, content(3*mib)) {
			t.Errorf("it reads otherwise: %v", err)
		}
	})
}

// TestOverlayOfSecrets: real overlays and data files of a file on this host are refused
// by what they say, and nothing of that is opened.
func TestOverlayOfSecrets(t *testing.T) {
	dir := t.TempDir()
	qemuImg(t, dir, "create", "-f", "raw", "secret", "1M")
	qemuImg(t, dir, "create", "-f", "qcow2", "-b", filepath.Join(dir, "secret"), "-F", "raw", "overlay")
	qemuImg(t, dir, "create", "-f", "qcow2", "-o", "data_file=secret,data_file_raw=on", "outside", "1M")
	for _, name := range []string{"overlay", "outside"} {
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(file); !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	head, err := parseQCOW2(converted(t, content(mib))[:headSize], mib)
	if written := head.written(); err != nil || bytes.Contains(written, []byte("/")) || binary.BigEndian.Uint64(written[8:]) != 0 {
		t.Errorf("the library would see %q, %v", written, err)
	}
}

// TestDamagedClusters: content that can't be read is never zeroes.
func TestDamagedClusters(t *testing.T) {
	for name, args := range map[string][]string{"plain": nil, "compressed": {"-c"}} {
		t.Run(name, func(t *testing.T) {
			whole := converted(t, content(3*mib), args...)
			disk, err := open(whole[:len(whole)*2/3])
			if err == nil {
				_, err = read(disk)
			}
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "damaged, or was cut off") {
				t.Errorf("cut off: %v", err)
			}
		})
	}
	whole := converted(t, content(3*mib))
	disk, err := OpenDisk(unreadable{bytes.NewReader(whole), int64(len(whole) / 2)}, uint64(len(whole)), QCOW2)
	if err == nil {
		_, err = read(disk.(*qcow2Disk))
	}
	if !errors.Is(err, errUnreadable) || errors.Is(err, fault.ErrInvalid) {
		t.Errorf("a file that can't be read: %v", err)
	}
}

var errUnreadable = errors.New("the disk is on fire")

// unreadable is a file that can't be read from some place on.
type unreadable struct {
	io.ReaderAt
	from int64
}

func (u unreadable) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > u.from {
		return 0, errUnreadable
	}
	return u.ReaderAt.ReadAt(p, offset)
}

// FuzzOpenDisk: whatever a file says, it is read or refused in bounded memory, without a
// panic.
func FuzzOpenDisk(f *testing.F) {
	for _, args := range [][]string{{"-o", "cluster_size=512"}, {"-c", "-o", "cluster_size=1k"}, {"-o", "cluster_size=512,compat=0.10"}} {
		f.Add(converted(f, content(4<<10), args...))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		disk, err := open(file)
		if err != nil {
			if !errors.Is(err, fault.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		buf := make([]byte, 2*mib)
		for _, at := range []uint64{0, 2 * mib, disk.Size() / 2 / (2 * mib) * (2 * mib)} {
			if at >= disk.Size() {
				continue
			}
			part := buf[:min(2*mib, disk.Size()-at)]
			disk.Zero(at, uint64(len(part)))
			if n, err := disk.ReadAt(part, int64(at)); n != len(part) && !errors.Is(err, fault.ErrInvalid) {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}
	})
}
