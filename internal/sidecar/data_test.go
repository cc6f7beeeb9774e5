package sidecar

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"rbdctl/internal/fault"
	"rbdctl/internal/lab/labtest"
)

// TestData: content comes back as it went in, by length and in chunks, and that of
// a snapshot stays.
func TestData(t *testing.T) {
	r := start(t)
	const size = 10 * mib
	path := r.volume(size)
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)

	if p := r.wants(http.StatusOK, http.MethodPut, path+"/data", bytes.NewReader(content)); p.doc["bytes"] != float64(size) {
		t.Errorf("PUT = %s", p.text)
	}
	r.hasContent(path+"/data", content)
	snapshot := uuid.NewString()
	r.wants(http.StatusCreated, http.MethodPut, path+"/snapshots/"+snapshot, nil)

	half := bytes.Repeat([]byte("half"), size/8)
	if p := r.wants(http.StatusOK, http.MethodPut, path+"/data", struct{ io.Reader }{bytes.NewReader(half)}); p.doc["bytes"] != float64(len(half)) {
		t.Errorf("PUT in chunks = %s", p.text)
	}
	r.hasContent(path+"/data", append(bytes.Clone(half), content[len(half):]...))
	r.hasContent(path+"/data?snapshot_id="+snapshot, content)

	name := r.cfg.Pool + "/volume-" + strings.TrimPrefix(path, "/v1/volumes/")
	if sha256.Sum256(labtest.RBD(t, "export", "--no-progress", name+"@snapshot-"+snapshot, "-")) != sha256.Sum256(content) {
		t.Error("rbd export has other content")
	}
	r.wants(http.StatusNotFound, http.MethodGet, path+"/data?snapshot_id="+uuid.NewString(), nil)
	r.wants(http.StatusNotFound, http.MethodGet, "/v1/volumes/"+uuid.NewString()+"/data", nil)
	r.wants(http.StatusNotFound, http.MethodPut, "/v1/volumes/"+uuid.NewString()+"/data", bytes.NewReader(half))
	large := r.wants(http.StatusBadRequest, http.MethodPut, path+"/data", bytes.NewReader(append(content, content...)))
	if large.kind() != "invalid" {
		t.Errorf("more than it holds: %s", large.text)
	}
}

func (r *running) hasContent(path string, want []byte) {
	r.Helper()
	p := r.wants(http.StatusOK, http.MethodGet, path, nil)
	if p.header.Get("Content-Type") != contentType || sha256.Sum256([]byte(p.text)) != sha256.Sum256(want) {
		r.Errorf("GET %s: %s of %d bytes, not the %d that were written", path, p.header.Get("Content-Type"), len(p.text), len(want))
	}
}

// TestUploadCutOff: a client that goes away in the middle is told nothing, and the
// log says that its upload failed. The volume can be used on.
func TestUploadCutOff(t *testing.T) {
	r := start(t, ownPool(t))
	path := r.volume(8 * mib)
	for _, begin := range []func(){
		func() { // before the announced length
			up := r.beginUpload(path+"/data", 8*mib)
			up.send(5 * mib)
			r.must(up.Close())
		},
		func() { // between two chunks, at the end of a sector
			up := r.beginChunks(path + "/data")
			up.sendChunk(4 * mib)
			r.must(up.Close())
		},
		func() { // within a chunk
			up := r.beginChunks(path + "/data")
			up.sendChunk(mib)
			_, err := io.WriteString(up.Conn, "400000\r\n") // 4 MiB, of which one comes
			r.must(err)
			up.send(mib)
			r.must(up.Close())
		},
	} {
		before := strings.Count(r.log.String(), "cut off")
		begin()
		r.eventually("the log says that it was cut off", func() bool {
			return strings.Count(r.log.String(), "cut off") > before
		})
	}
	if m := r.statusPage("/metrics").text; strings.Contains(m, `rbdctl_http_requests_total{route="PUT /v1/volumes/{id}/data",status="200"}`) {
		t.Error("it counts as a success")
	}
	r.wants(http.StatusOK, http.MethodPut, path+"/data", strings.NewReader(strings.Repeat("y", 8*mib)))
	r.hasContent(path+"/data", bytes.Repeat([]byte("y"), 8*mib))
	r.leaves(path)
	r.wants(http.StatusNoContent, http.MethodDelete, path, nil)
	r.leaves()
}

// TestDownloadCutOff: a client that stops reading and goes away holds nothing up.
func TestDownloadCutOff(t *testing.T) {
	r := start(t)
	path := r.volume(64 * mib)
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://sidecar"+path+"/data", nil)
		r.must(err)
		answer, err := r.client.Do(req)
		r.must(err)
		if answer.ContentLength != 64*mib {
			t.Errorf("Content-Length %d", answer.ContentLength)
		}
		_, err = io.CopyN(io.Discard, answer.Body, mib)
		r.must(errors.Join(err, answer.Body.Close()))
	}
	r.eventually("the image is let go", func() bool {
		return r.do(http.MethodDelete, path, nil).status == http.StatusNoContent
	})
	if log := r.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("that is called an error of the sidecar: %s", log)
	}
}

// TestStall: content that does not move is the fault of who does not move it, whether that
// is its sender or its receiver, and not of the content. It takes a minute.
func TestStall(t *testing.T) {
	r := start(t)
	up, down := r.volume(8*mib), r.volume(64*mib)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://sidecar"+down+"/data", nil)
	r.must(err)
	unread, err := r.client.Do(req)
	r.must(err)
	defer unread.Body.Close()
	slow := r.beginUpload(up+"/data", 8*mib)
	defer slow.Close()
	slow.send(mib)
	if p := slow.reply(); p.status != http.StatusServiceUnavailable || p.kind() != "unavailable" || !strings.Contains(p.detail(), "sender") {
		t.Errorf("the upload: %d %s", p.status, p.text)
	}
	r.eventually("the log names the receiver", func() bool {
		return strings.Contains(r.log.String(), `"kind":"unavailable","detail":"`) && strings.Contains(r.log.String(), "the receiver of the content took nothing")
	})
}

// TestContentReader: only the end of a body is an end.
func TestContentReader(t *testing.T) {
	for _, end := range []error{io.ErrUnexpectedEOF, io.ErrClosedPipe} {
		body := &contentReader{ctx: t.Context(), body: io.MultiReader(strings.NewReader("some"), failing{end}), control: http.NewResponseController(deadlines{})}
		if data, err := io.ReadAll(body); string(data) != "some" || !errors.Is(err, fault.ErrInvalid) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a body that ends with %v: %q, %v", end, data, err)
		}
	}
	body := &contentReader{ctx: t.Context(), body: strings.NewReader("all"), control: http.NewResponseController(deadlines{})}
	if data, err := io.ReadAll(body); string(data) != "all" || err != nil {
		t.Errorf("a whole body: %q, %v", data, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
