package sidecar

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rbdctl/rbd"
)

// metrics are what /metrics shows, on a registry of their own. Labels are routes,
// operations, kinds and states: never a name or an id.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	inFlight prometheus.Gauge
	native   *prometheus.HistogramVec
	purged   prometheus.Counter
	purges   *prometheus.CounterVec
	waiting  prometheus.Gauge
	jobs     *prometheus.GaugeVec

	settled    prometheus.Counter
	settles    *prometheus.CounterVec
	unfinished prometheus.Gauge
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rbdctl_http_requests_total", Help: "Requests, by route and status.",
		}, []string{"route", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rbdctl_http_request_duration_seconds", Help: "Time of requests, by route.", Buckets: buckets(),
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rbdctl_http_requests_in_flight", Help: "Requests under way.",
		}),
		native: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rbdctl_native_call_duration_seconds", Buckets: buckets(),
			Help: "Time of calls to librados and librbd with the wait for a slot, by operation and kind of failure, ok for none.",
		}, []string{"operation", "kind"}),
		purged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rbdctl_purged_images_total", Help: "Deleted images that this sidecar's background purge removed for good.",
		}),
		purges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rbdctl_purges_total", Help: "Background purges, by kind of failure, ok for none.",
		}, []string{"kind"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rbdctl_trash_waiting_images", Help: "Deleted images that have clones or can still be restored, at the last purge.",
		}),
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rbdctl_jobs", Help: "Jobs of the pool, by kind and state, at the last look.",
		}, []string{"job", "state"}),
		settled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rbdctl_settled_operations_total", Help: "Operations of processes that are gone, brought to an end in this sidecar's background.",
		}),
		settles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rbdctl_settles_total", Help: "Looks for operations whose processes are gone, by kind of failure, ok for none.",
		}, []string{"kind"}),
		unfinished: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rbdctl_unfinished_operations", Help: "Operations on images of the pool that had not ended, at the last look.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rbdctl_build_info", Help: "1, with the version of rbdctl.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.took, m.inFlight, m.native, m.purged, m.purges, m.waiting, m.jobs, m.settled, m.settles, m.unfinished, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// buckets go from half a millisecond to half a minute.
func buckets() []float64 { return prometheus.ExponentialBucketsRange(0.0005, 32, 17) }

// watch adds what is read off the link at each scrape.
func (m *metrics) watch(l *link) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("rbdctl_native_calls_in_flight", "Calls to librados and librbd under way, those that were let go included.", func() float64 {
		n, _ := l.calls()
		return float64(n)
	})
	gauge("rbdctl_native_calls_abandoned", "Calls under way whose requests were answered without them.", func() float64 {
		_, n := l.calls()
		return float64(n)
	})
	gauge("rbdctl_cluster_connected", "1 with a connection to the cluster, 0 while there has been none.", func() float64 {
		if l.connected() {
			return 1
		}
		return 0
	})
}

// observe takes a native call; package rbd calls it.
func (m *metrics) observe(a rbd.Attempt) {
	m.native.WithLabelValues(a.Op, outcome(a.Err)).Observe(a.Took.Seconds())
}

// outcome is the kind of err, and ok for nil.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return kindWord(err)
}

// requested takes a request.
func (m *metrics) requested(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(route).Observe(took.Seconds())
}

// counted takes the jobs of the pool.
func (m *metrics) counted(jobs []rbd.Job) {
	m.jobs.Reset()
	for _, j := range jobs {
		m.jobs.WithLabelValues(j.Kind, j.State).Inc()
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 4})
}
