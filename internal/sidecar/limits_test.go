package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestBadInput: what is wrong with a request is said in a problem, and nothing is
// made.
func TestBadInput(t *testing.T) {
	r := start(t)
	id := uuid.NewString()
	path := "/v1/volumes/" + id
	deep := strings.Repeat(`{"source":`, 40) + "1" + strings.Repeat("}", 40)
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"unknown field", "PUT", path, `{"size_bytes":1048576,"colour":"red"}`, 400, "body.colour"},
		{"unknown field of the source", "PUT", path, `{"size_bytes":1048576,"source":{"kind":"empty","x":1}}`, 400, "body.source.x"},
		{"field in other letters", "PUT", path, `{"Size_Bytes":1048576}`, 400, "Size_Bytes"},
		{"field twice", "PUT", path, `{"size_bytes":1048576,"size_bytes":2097152}`, 400, "twice"},
		{"no size", "PUT", path, `{}`, 400, "size_bytes"},
		{"wrong type", "PUT", path, `{"size_bytes":"1048576"}`, 400, "body.size_bytes"},
		{"null", "PUT", path, `{"size_bytes":null}`, 400, "body.size_bytes"},
		{"fraction", "PUT", path, `{"size_bytes":1.5}`, 400, "body.size_bytes"},
		{"negative", "PUT", path, `{"size_bytes":-1}`, 400, "body.size_bytes"},
		{"zero", "PUT", path, `{"size_bytes":0}`, 400, "body.size_bytes"},
		{"2^63", "PUT", path, `{"size_bytes":9223372036854775808}`, 400, "9223372036854775807"},
		{"2^64", "PUT", path, `{"size_bytes":18446744073709551616}`, 400, "size_bytes"},
		{"1e308", "PUT", path, `{"size_bytes":1e308}`, 400, "size_bytes"},
		{"odd object size", "PUT", path, `{"size_bytes":1048576,"object_size_bytes":12345}`, 400, "object size"},
		{"unknown source", "PUT", path, `{"size_bytes":1048576,"source":{"kind":"tape"}}`, 400, "body.source.kind"},
		{"empty with a source", "PUT", path, `{"size_bytes":1048576,"source":{"kind":"empty","id":"` + id + `"}}`, 400, "no source"},
		{"source without id", "PUT", path, `{"size_bytes":1048576,"source":{"kind":"volume"}}`, 400, "UUID"},
		{"of itself", "PUT", path, `{"size_bytes":1048576,"source":{"kind":"volume","id":"` + id + `"}}`, 400, "itself"},
		{"no JSON", "PUT", path, `size=1`, 400, "body"},
		{"cut off JSON", "PUT", path, `{"size_bytes":1`, 400, "cut off"},
		{"two documents", "PUT", path, `{"size_bytes":1048576}{}`, 400, "more behind"},
		{"a list", "PUT", path, `[1]`, 400, "body"},
		{"nested deeply", "PUT", path, deep, 400, "nested"},
		{"no body", "PUT", path, ``, 400, "body"},
		{"oversize", "PUT", path, `{"size_bytes":1,"x":"` + strings.Repeat("x", bodyBytes) + `"}`, 413, "larger"},
		{"oversize, of an id like the path of content", "PUT", "/v1/volumes/data", strings.Repeat("x", bodyBytes+1), 413, "larger"},
		{"oversize, of a group snapshot so called", "PUT", "/v1/groups/" + id + "/snapshots/data", strings.Repeat("x", bodyBytes+1), 413, "larger"},
		{"id with a slash", "PUT", "/v1/volumes/a%2Fb", `{"size_bytes":1048576}`, 400, `"a/b"`},
		{"id with dots", "PUT", "/v1/volumes/..%2F" + id, `{"size_bytes":1048576}`, 400, ".."},
		{"path with dots", "GET", "/v1/../v1/stats", ``, 400, ".."},
		{"id with a NUL", "PUT", "/v1/volumes/a%00b", `{"size_bytes":1048576}`, 400, "UUID"},
		{"id of an option", "PUT", "/v1/volumes/--force", `{"size_bytes":1048576}`, 400, "UUID"},
		{"id with a snapshot", "PUT", "/v1/volumes/" + id + "@s", `{"size_bytes":1048576}`, 400, "UUID"},
		{"id in capitals", "PUT", "/v1/volumes/" + strings.ToUpper(id), `{"size_bytes":1048576}`, 400, "lower case"},
		{"long id", "PUT", "/v1/volumes/" + strings.Repeat("a", 4096), `{"size_bytes":1048576}`, 400, "UUID"},
		{"snapshot id with a slash", "PUT", path + "/snapshots/a%2Fb", ``, 400, `"a/b"`},
		{"unknown query", "GET", path + "?force=1", ``, 400, "force"},
		{"unknown path", "GET", "/v2/volumes", ``, 404, "openapi"},
		{"trailing slash", "GET", "/v1/volumes/", ``, 400, "empty"},
		{"unknown method", "PATCH", path, `{}`, 405, "PUT"},
		{"content that is none", "PUT", path + "/data", ``, 400, "no content"},
		{"unknown job", "GET", "/v1/jobs/none", ``, 404, "none"},
		{"events of an unknown job", "GET", "/v1/jobs/none/events", ``, 404, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &running{T: t, Server: r.Server, client: r.client}
			var body any = tt.body
			if tt.body == "" {
				body = nil
			}
			p := r.wants(tt.status, tt.method, tt.path, body)
			want := "invalid"
			if tt.status == http.StatusNotFound {
				want = "not_found"
			}
			if p.kind() != want || !strings.Contains(p.detail(), tt.says) {
				t.Errorf("kind %q, detail %q: want %q and something of %q", p.kind(), p.detail(), want, tt.says)
			}
			checkProblem(t, p)
		})
	}
	r.wants(http.StatusNotFound, http.MethodGet, path, nil)
}

// TestAnotherPool: a request that is meant for another pool's sidecar does nothing,
// and says where both are.
func TestAnotherPool(t *testing.T) {
	r := start(t)
	path := r.volume(mib)
	ask := func(method, path, pool string) reply {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://sidecar"+path, strings.NewReader(`{"size_bytes":1048576}`))
		r.must(err)
		req.Header.Set("Content-Type", "application/json")
		req.Header[poolHeader] = []string{pool}
		answer, err := r.client.Do(req)
		r.must(err)
		p, err := readReply(answer)
		r.must(err)
		return p
	}
	other := "/v1/volumes/" + uuid.NewString()
	for _, tt := range []struct{ method, path string }{
		{"PUT", other},
		{"DELETE", other},
		{"DELETE", path},
		{"PUT", path + "/data"},
		{"GET", path},
		{"GET", "/v1/stats"},
		{"GET", "/v1/jobs"},
		{"GET", "/v1/nothing"},
	} {
		for _, pool := range []string{"fast", ""} {
			p := ask(tt.method, tt.path, pool)
			if p.status != http.StatusBadRequest || p.kind() != "invalid" || !strings.Contains(p.detail(), fmt.Sprintf("%q", pool)) ||
				!strings.Contains(p.detail(), fmt.Sprintf("%q", r.cfg.Pool)) || !strings.Contains(p.detail(), "rbdctl_socket") {
				t.Errorf("%s %s for %q: %d %s", tt.method, tt.path, pool, p.status, p.text)
			}
			checkProblem(t, p)
		}
	}
	r.wants(http.StatusOK, http.MethodGet, path, nil)
	r.wants(http.StatusNotFound, http.MethodGet, other, nil)
	if p := ask("DELETE", path, r.cfg.Pool); p.status != http.StatusNoContent {
		t.Errorf("for this pool: %d %s", p.status, p.text)
	}
	if p := ask("GET", "/openapi.json", "fast"); p.status != http.StatusOK {
		t.Errorf("what is no volume's: %d %s", p.status, p.text)
	}
}

// checkProblem demands what every problem document has.
func checkProblem(t *testing.T, p reply) {
	t.Helper()
	if got := p.header.Get("Content-Type"); got != problemType {
		t.Errorf("Content-Type %q", got)
	}
	if p.doc["status"] != float64(p.status) || text(p.doc["title"]) == "" || p.detail() == "" {
		t.Errorf("a problem of status %d: %s", p.status, p.text)
	}
	if id := text(p.doc["request_id"]); id == "" || id != p.header.Get(requestIDHeader) {
		t.Errorf("request_id %q, header %q", id, p.header.Get(requestIDHeader))
	}
	if strings.Contains(p.detail(), "\n") {
		t.Errorf("the detail has more than one line: %q", p.detail())
	}
}

// TestWrongContentType: what is not announced as JSON is not taken for it.
func TestWrongContentType(t *testing.T) {
	r := start(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/yaml"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://sidecar/v1/volumes/"+uuid.NewString(), strings.NewReader(`{"size_bytes":1048576}`))
		r.must(err)
		req.Header.Set("Content-Type", kind)
		answer, err := r.client.Do(req)
		r.must(err)
		p, err := readReply(answer)
		r.must(err)
		if p.status != http.StatusUnsupportedMediaType || p.kind() != "invalid" || !strings.Contains(p.detail(), "application/json") {
			t.Errorf("%s: %d %s", kind, p.status, p.text)
		}
		checkProblem(t, p)
	}
}

// TestTooManyRequests: a request beyond the limit is refused at once, and taken
// when one of the others is over.
func TestTooManyRequests(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxRequests = 1 })
	path := r.volume(mib)
	slow := r.beginUpload(path+"/data", mib)
	defer slow.Close()
	r.underWay()
	r.eventually("the upload holds the one place", func() bool {
		p := r.do(http.MethodGet, path, nil)
		if p.status == http.StatusServiceUnavailable && (p.kind() != "unavailable" || p.header.Get("Retry-After") == "") {
			t.Errorf("refused: %s, Retry-After %q", p.text, p.header.Get("Retry-After"))
		}
		return p.status == http.StatusServiceUnavailable
	})
	if p := r.statusPage("/readyz"); p.status != http.StatusOK {
		t.Errorf("/readyz = %d %s", p.status, p.text)
	}
	slow.send(mib)
	if p := slow.reply(); p.status != http.StatusOK {
		t.Errorf("the upload: %d %s", p.status, p.text)
	}
	r.eventually("the place is free", func() bool { return r.do(http.MethodGet, path, nil).status == http.StatusOK })
}

// upload is a request whose body is sent piece by piece.
type upload struct {
	net.Conn
	r *running
}

// beginUpload sends the head of a request to write length bytes.
func (r *running) beginUpload(path string, length int) *upload {
	r.Helper()
	conn, err := net.Dial("unix", r.socket)
	r.must(err)
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: sidecar\r\nContent-Length: %d\r\n\r\n", path, length)
	r.must(err)
	return &upload{conn, r}
}

// beginChunks is beginUpload of a body whose length is not announced.
func (r *running) beginChunks(path string) *upload {
	r.Helper()
	conn, err := net.Dial("unix", r.socket)
	r.must(err)
	_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: sidecar\r\nTransfer-Encoding: chunked\r\n\r\n", path)
	r.must(err)
	return &upload{conn, r}
}

// sendChunk sends one whole chunk.
func (u *upload) sendChunk(n int) {
	u.r.Helper()
	_, err := fmt.Fprintf(u.Conn, "%x\r\n%s\r\n", n, strings.Repeat("x", n))
	u.r.must(err)
}

func (u *upload) send(n int) {
	u.r.Helper()
	_, err := io.WriteString(u.Conn, strings.Repeat("x", n))
	u.r.must(err)
}

func (u *upload) reply() reply {
	u.r.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(u.Conn), nil)
	u.r.must(err)
	p, err := readReply(answer)
	u.r.must(err)
	return p
}
