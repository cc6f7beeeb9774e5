package sidecar

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// TestMetrics: what happened is counted, under names that Prometheus's own checker
// accepts, and without an id in any label.
func TestMetrics(t *testing.T) {
	r := start(t)
	path := r.volume(mib)
	r.wants(http.StatusOK, http.MethodGet, path, nil)
	r.wants(http.StatusNotFound, http.MethodGet, "/v1/volumes/"+uuid.NewString(), nil)
	r.wants(http.StatusNotFound, http.MethodGet, "/wp-login.php", nil)
	// A call that was answered may not have ended yet.
	r.eventually("no call is in flight", func() bool {
		text := r.statusPage("/metrics").text
		return strings.Contains(text, "\nrbdctl_native_calls_in_flight 0\n") && strings.Contains(text, "\nrbdctl_http_requests_in_flight 0\n")
	})
	page := r.statusPage("/metrics")
	if page.status != http.StatusOK {
		t.Fatalf("/metrics = %d", page.status)
	}
	for _, want := range []string{
		`rbdctl_http_requests_total{route="PUT /v1/volumes/{id}",status="201"} 1`,
		`rbdctl_http_requests_total{route="GET /v1/volumes/{id}",status="200"} 1`,
		`rbdctl_http_requests_total{route="GET /v1/volumes/{id}",status="404"} 1`,
		`rbdctl_http_requests_total{route="other",status="404"} 1`,
		`rbdctl_http_requests_in_flight 0`,
		`rbdctl_native_call_duration_seconds_count{kind="ok",operation="create"} 1`,
		`rbdctl_native_call_duration_seconds_count{kind="not_found",operation="info"} 1`,
		`rbdctl_native_calls_in_flight 0`,
		`rbdctl_native_calls_abandoned 0`,
		`rbdctl_cluster_connected 1`,
		`rbdctl_build_info{version=""} 1`,
	} {
		if !slices.Contains(strings.Split(page.text, "\n"), want) {
			t.Errorf("no line %q", want)
		}
	}
	if id := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-`).FindString(page.text); id != "" {
		t.Errorf("there is an id in it: %s…", id)
	}
	problems, err := promlint.New(strings.NewReader(page.text)).Lint()
	r.must(err)
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "rbdctl_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestStatusPages: they only tell, whatever the method.
func TestStatusPages(t *testing.T) {
	r := start(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/v1/stats": 404, "/openapi.json": 404, "/": 404} {
		if p := r.statusPage(path); p.status != want {
			t.Errorf("%s = %d, want %d", path, p.status, want)
		}
	}
	answer, err := http.Post(fmt.Sprintf("http://%s/readyz", r.status), "text/plain", nil)
	r.must(err)
	r.must(answer.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	if answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz = %d", answer.StatusCode)
	}
}

// TestPoolGone: a sidecar whose pool is not there is alive and not ready.
func TestPoolGone(t *testing.T) {
	r := start(t, func(c *Config) { c.Pool = "nopool" })
	if p := r.statusPage("/readyz"); p.status != http.StatusServiceUnavailable || !strings.Contains(p.detail(), "nopool") {
		t.Errorf("/readyz = %d %s", p.status, p.text)
	}
	if p := r.statusPage("/healthz"); p.status != http.StatusOK {
		t.Errorf("/healthz = %d", p.status)
	}
	r.wants(http.StatusNotFound, http.MethodPut, "/v1/volumes/"+uuid.NewString(), map[string]any{"size_bytes": mib})
}

// TestOneLogLineForEachRequest has OpenStack's id in it, and says what was asked.
func TestOneLogLineForEachRequest(t *testing.T) {
	r := start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://sidecar/v1/volumes/none", nil)
	r.must(err)
	req.Header.Set("X-OpenStack-Request-ID", "req-from-nova")
	answer, err := r.client.Do(req)
	r.must(err)
	p, err := readReply(answer)
	r.must(err)
	if p.header.Get(requestIDHeader) != "req-from-nova" || p.doc["request_id"] != "req-from-nova" {
		t.Errorf("the answer: %s, header %q", p.text, p.header.Get(requestIDHeader))
	}
	r.eventually("the line is there", func() bool { return strings.Contains(r.log.String(), `"request_id":"req-from-nova"`) })
	var lines []string
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "req-from-nova") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 || !strings.Contains(lines[0], `"path":"/v1/volumes/none","status":400`) || !strings.Contains(lines[0], `"kind":"invalid"`) {
		t.Errorf("the lines: %q", lines)
	}
}
