package gate

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what /metrics shows. Their names begin with bailey_gate_.
type metrics struct {
	registry      *prometheus.Registry
	requests      *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
	hits, misses  prometheus.Counter
	verifications *prometheus.CounterVec
	verifySeconds prometheus.Histogram
	deviations    prometheus.Gauge
	attached      prometheus.Gauge // registered where a gate attaches itself
	checked       prometheus.Gauge
	recorded      prometheus.Counter
	lost          prometheus.Counter
	granted       prometheus.Counter
	expiry        prometheus.Gauge
	policy        *prometheus.GaugeVec
	policyErrors  prometheus.Counter
	snapshot      prometheus.Gauge
	snapshotFails prometheus.Counter
	unjudged      prometheus.Counter
	mode          *prometheus.GaugeVec
}

func newMetrics(warn bool) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "bailey_gate_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "bailey_gate_" + name, Help: help})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bailey_gate_requests_total",
			Help: "Admission requests, by webhook and decision: admitted, refused, undecided (refused, since it could not be decided), unchanged, exempt, granted, warned (by a gate that only warns)."}, []string{"webhook", "decision"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bailey_gate_request_seconds",
			Help: "Time to answer a request.", Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"webhook"}),
		hits:   counter("cache_hits_total", "Images judged by a verdict that was remembered."),
		misses: counter("cache_misses_total", "Images that had to be verified."),
		verifications: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bailey_gate_verifications_total",
			Help: "Verifications, by result: admitted, refused, failed."}, []string{"result"}),
		verifySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bailey_gate_verification_seconds",
			Help: "Time of a verification.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}),
		deviations:    gauge("scope_deviations", "Ways in which the webhook configurations in the cluster let more through than the gate's own scope."),
		attached:      gauge("attached", "1 if the API server asks the gate, which writes its own webhook configuration."),
		checked:       gauge("scope_checked_timestamp_seconds", "When the webhook configurations were last read."),
		recorded:      counter("decisions_recorded_total", "Decisions that are in the ledger."),
		lost:          counter("decisions_lost_total", "Decisions that could not be written into the ledger."),
		granted:       counter("breakglass_uses_total", "Images admitted by a break-glass grant."),
		expiry:        gauge("certificate_expiry_timestamp_seconds", "When the serving certificate ends."),
		policy:        prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bailey_gate_policy_info", Help: "The trust policy's revision."}, []string{"revision"}),
		policyErrors:  counter("policy_errors_total", "Trust policies that could not be read; the one before stays in force."),
		snapshot:      gauge("snapshot_timestamp_seconds", "When the cluster that rules judge by was read."),
		snapshotFails: counter("snapshot_errors_total", "Readings of the cluster that failed; rules go on by the one before until it is too old."),
		unjudged:      counter("unjudged_total", "Requests that a chosen rule could not judge: admitted with a warning, or refused with --refuse-stale."),
		mode:          prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bailey_gate_mode_info", Help: "1, with the mode: enforce (it refuses), or warn (it lets everything through)."}, []string{"mode"}),
	}
	m.mode.WithLabelValues(mode(warn)).Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.hits, m.misses, m.verifications, m.verifySeconds, m.deviations, m.checked,
		m.recorded, m.lost, m.granted, m.expiry, m.policy, m.policyErrors, m.snapshot, m.snapshotFails, m.unjudged, m.mode)
	return m
}

// process are the metrics of the process that the gate runs in.
func process() prometheus.Gatherer {
	r := prometheus.NewRegistry()
	prometheus.WrapRegistererWithPrefix("bailey_gate_", r).MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// watch adds what is read from the gate when it is asked for.
func (m *metrics) watch(g *Gate) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bailey_gate_cache_entries", Help: "Verdicts remembered that admit."},
			func() float64 { return float64(g.cache.admitted.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bailey_gate_decisions_waiting", Help: "Decisions on their way into the ledger."},
			func() float64 { return float64(g.o.Record.waiting()) }))
}

func (m *metrics) verified(err error, took time.Duration) {
	result := "admitted"
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		result = "refused"
	case err != nil:
		result = "failed"
	}
	m.verifications.WithLabelValues(result).Inc()
	m.verifySeconds.Observe(took.Seconds())
}
