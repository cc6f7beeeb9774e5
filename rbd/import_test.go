package rbd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// noise is n bytes that no compressor shortens, the same at every call.
func noise(n int) io.Reader { return bytes.NewReader(noiseBytes(n)) }

func noiseBytes(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(data)
	return data
}

// sparse is 20 MiB with data at the beginning, across an object boundary, and in
// the last sector, in a file with holes between.
func sparse(t *testing.T) (file string, content []byte) {
	t.Helper()
	content = make([]byte, 20<<20)
	copy(content, noiseBytes(100<<10))
	copy(content[8<<20-1000:], noiseBytes(5000))
	copy(content[20<<20-512:], noiseBytes(512))
	file = filepath.Join(t.TempDir(), "sparse.raw")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := 0; at < len(content); at += 4096 {
		if page := content[at : at+4096]; !bytes.Equal(page, make([]byte, 4096)) {
			if _, err := f.WriteAt(page, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Truncate(int64(len(content))); err != nil {
		t.Fatal(err)
	}
	return file, content
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestImport(t *testing.T) {
	s := newSpace(t)
	file, content := sparse(t)
	for _, tt := range []struct {
		name   string
		source func(t *testing.T) io.Reader
		size   uint64
	}{
		{"file", func(t *testing.T) io.Reader { return open(t, file) }, 0},
		{"stream", func(*testing.T) io.Reader { return bytes.NewReader(content) }, 0},
		{"stream-announced", func(*testing.T) io.Reader { return bytes.NewReader(content) }, uint64(len(content))},
		{"stream-in-drops", func(*testing.T) io.Reader { return &drops{content} }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec := s.image(tt.name)
			var last uint64
			opts := rbd.ImportOptions{Snapshot: "snap", Verify: true, Progress: func(done, _ uint64) { last = max(last, done) }}
			done, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: tt.source(t), Size: tt.size}, opts)
			s.must(err)
			if !done.Created || done.SHA256 != sha(content) || done.Info.Size != uint64(len(content)) {
				t.Errorf("Import = %+v, want SHA-256 %s", done, sha(content))
			}
			if got := s.digest(spec.At("snap")); got != sha(content) {
				t.Errorf("the snapshot reads as %s", got)
			}
			if snap, ok := done.Info.Snapshot("snap"); !ok || !snap.Protected || snap.Size != uint64(len(content)) {
				t.Errorf("snapshot = %+v", snap)
			}
			if last != uint64(len(content)) {
				t.Errorf("progress ended at %d of %d", last, len(content))
			}
			// Two of five objects of 4 MiB hold nothing, and are not there.
			if n := objects(t, s, done.Info.ID); n != 4 {
				t.Errorf("%d data objects, want 4: zeroes leave holes", n)
			}
			if rbd.HasIntent(t, s.images, spec) {
				t.Error("the intent is still there")
			}

			again, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: tt.source(t), Size: tt.size}, opts)
			if err != nil || again.Created {
				t.Errorf("the same again = %+v, %v", again, err)
			}
		})
	}
}

func open(t *testing.T, file string) io.Reader {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// drops gives its content in pieces of odd length.
type drops struct{ rest []byte }

func (d *drops) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.rest[:min(len(d.rest), 12345)])
	d.rest = d.rest[n:]
	return n, nil
}

// objects counts the data objects of an image.
func objects(t *testing.T, s space, id string) int {
	t.Helper()
	out := labtest.Tool(t, "rados", "-p", s.pool, "-N", s.ns, "ls")
	return bytes.Count(out, []byte("rbd_data."+id+"."))
}

func TestImportOfOtherContentIsAConflict(t *testing.T) {
	s := newSpace(t)
	spec := s.image("v")
	content := noiseBytes(9 << 20)
	opts := rbd.ImportOptions{Snapshot: "snap"}
	_, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: bytes.NewReader(content)}, opts)
	s.must(err)
	changed := bytes.Clone(content)
	changed[5<<20] ^= 1
	for name, other := range map[string][]byte{
		"a bit": changed, "shorter": content[:4<<20], "longer": append(bytes.Clone(content), make([]byte, 512)...),
	} {
		_, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: bytes.NewReader(other)}, opts)
		if !errors.Is(err, rbd.ErrExists) {
			t.Errorf("%s: Import = %v, want a conflict", name, err)
		}
	}
	if got := s.digest(spec.At("snap")); got != sha(content) {
		t.Error("a refused import changed the image")
	}
}

func TestFailedImportLeavesNothing(t *testing.T) {
	s := newSpace(t)
	file, content := sparse(t)
	short := filepath.Join(t.TempDir(), "short.raw")
	if err := os.WriteFile(short, content[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	failing := errors.New("the disk is broken")
	ctx, cancel := context.WithCancel(t.Context())
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		source rbd.Source
		want   error
	}{
		{"truncated", t.Context(), rbd.Source{Reader: bytes.NewReader(content[:10<<20]), Size: 20 << 20}, rbd.ErrInvalid},
		{"too long", t.Context(), rbd.Source{Reader: bytes.NewReader(content), Size: 10 << 20}, rbd.ErrInvalid},
		{"part of a sector", t.Context(), rbd.Source{Reader: bytes.NewReader(content[:10<<20+100])}, rbd.ErrInvalid},
		{"file with part of a sector", t.Context(), rbd.Source{Reader: open(t, short)}, rbd.ErrInvalid},
		{"file of another size", t.Context(), rbd.Source{Reader: open(t, file), Size: 10 << 20}, rbd.ErrInvalid},
		{"empty", t.Context(), rbd.Source{Reader: bytes.NewReader(nil)}, rbd.ErrInvalid},
		{"read error", t.Context(), rbd.Source{Reader: io.MultiReader(bytes.NewReader(content[:9<<20]), broken{failing})}, failing},
		{"cancelled", ctx, rbd.Source{Reader: io.MultiReader(bytes.NewReader(content[:9<<20]), onRead(cancel), bytes.NewReader(content))}, rbd.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.images.Import(tt.ctx, s.image("v"), tt.source, rbd.ImportOptions{Snapshot: "snap"})
			if !errors.Is(err, tt.want) {
				t.Errorf("Import = %v, want %v", err, tt.want)
			}
			if names := s.names(); len(names) > 0 {
				t.Errorf("left: %v", names)
			}
			if rbd.HasIntent(t, s.images, s.image("v")) {
				t.Error("left an intent")
			}
		})
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// onRead runs when it is reached, and reads as nothing.
type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

// TestImportLeavesAForeignUploadAlone: an image without the snapshot may be an
// upload under way by somebody else.
func TestImportLeavesAForeignUploadAlone(t *testing.T) {
	s := newSpace(t)
	spec := s.image("v")
	s.must(s.images.Create(t.Context(), spec, 4<<20, rbd.CreateOptions{}))
	_, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: noise(4 << 20)}, rbd.ImportOptions{Snapshot: "snap"})
	if !errors.Is(err, rbd.ErrExists) {
		t.Errorf("Import = %v, want a conflict", err)
	}
	if info, err := s.images.Stat(t.Context(), spec); err != nil || len(info.Snapshots) != 0 {
		t.Errorf("the upload was touched: %+v, %v", info, err)
	}
	if rbd.HasIntent(t, s.images, spec) {
		t.Error("left an intent")
	}
}

// TestImportTakesOver: what a killed import left is known by the id that it
// wrote down, data and all.
func TestImportTakesOver(t *testing.T) {
	s := newSpace(t)
	spec := s.image("v")
	content := noiseBytes(8 << 20)
	_, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: noise(4 << 20)}, rbd.ImportOptions{Snapshot: "half"})
	s.must(err)
	s.must(s.images.Unprotect(t.Context(), spec.At("half")))
	info, err := s.images.Stat(t.Context(), spec)
	s.must(err)
	rbd.LeaveIntent(t, s.images, spec, info.ID, "127.0.0.1:0/1", true)
	done, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: bytes.NewReader(content)}, rbd.ImportOptions{Snapshot: "snap"})
	s.must(err)
	if !done.Created || len(done.Info.Snapshots) != 1 || s.digest(spec.At("snap")) != sha(content) {
		t.Errorf("Import = %+v, or other content", done)
	}
	if rbd.HasIntent(t, s.images, spec) {
		t.Error("left an intent")
	}
}

// TestCutOffStream: a stream that ends by being cut off, if at a whole sector, is
// not complete.
func TestCutOffStream(t *testing.T) {
	s := newSpace(t)
	spec := s.image("cut")
	whole := noise(4 << 20)
	cut := io.MultiReader(io.LimitReader(whole, 3<<20), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := s.images.Import(t.Context(), spec, rbd.Source{Reader: cut}, rbd.ImportOptions{Snapshot: "snap"}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Import of a stream that was cut off = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if names := s.names(); len(names) > 0 {
		t.Errorf("images = %v, want none", names)
	}
}
