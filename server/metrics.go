package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Metrics are what /metrics shows. Their names begin with bailey_; they name controls and
// severities, and no object.
type Metrics struct {
	Registry *prometheus.Registry
	Judging  prometheus.Histogram
	Requests *prometheus.HistogramVec
	// Deliveries counts tries to deliver alerts, FailingSince says since when none succeeds, Waiting
	// how many alerts are to be delivered, and Refused counts those that a receiver does not take.
	Deliveries   *prometheus.CounterVec
	Refused      *prometheus.CounterVec
	FailingSince *prometheus.GaugeVec
	Waiting      prometheus.Gauge
	// Pruned counts what was removed of history, by what it was.
	Pruned *prometheus.CounterVec
}

// NewMetrics makes the metrics of a loop.
func NewMetrics(version string, l *Loop) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		Judging: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bailey_change_judged_seconds",
			Help: "Time from a change that was told to its being judged.", Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}}),
		Requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "bailey_http_request_seconds",
			Help: "Time to answer a request, by area (page, api, events, push, other) and status class.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"area", "status"}),
		Deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bailey_alerts_deliveries_total",
			Help: "Tries to deliver alerts, by receiver (webhook, alertmanager, dead-man) and result (done, failed)."}, []string{"receiver", "result"}),
		Refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bailey_alerts_refused_total",
			Help: "Alerts that a receiver refused while it took others, by receiver (webhook)."}, []string{"receiver"}),
		FailingSince: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bailey_alerts_failing_since_timestamp_seconds",
			Help: "Since when no delivery to a receiver succeeds; 0 while they do."}, []string{"receiver"}),
		Waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bailey_alerts_waiting", Help: "Alerts that are to be delivered, of the next batch."}),
		Pruned: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bailey_pruned_total",
			Help: "Rows of old history that were removed, by what they held (finding, rung, evidence, run, alert, change)."}, []string{"what"}),
	}
	m.Refused.WithLabelValues(webhookName) // what begins with 1 would be no increase
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "bailey_build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	prometheus.WrapRegistererWithPrefix("bailey_", m.Registry).MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Registry.MustRegister(info, m.Judging, m.Requests, m.Pruned, m.Deliveries, m.Refused, m.FailingSince, m.Waiting, standing{l})
	return m
}

// ShowLeads has it shown whether this process writes the history.
func (m *Metrics) ShowLeads(leads func() bool) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bailey_leads", Help: "1 if this process writes the history and runs experiments; of several replicas one does."},
		func() float64 {
			if leads() {
				return 1
			}
			return 0
		}))
}

// ShowKept has it shown when the history was last told of the cluster.
func (m *Metrics) ShowKept(at func() time.Time) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bailey_kept_timestamp_seconds",
		Help: "When what is found was last kept, or seen to be as it is kept; 0 while that is not known."},
		func() float64 {
			if t := at(); !t.IsZero() {
				return float64(t.Unix())
			}
			return 0
		}))
}

// delivered notes a try to deliver alerts.
func (m *Metrics) delivered(receiver string, failing bool, since time.Time) {
	if m == nil {
		return
	}
	result := "done"
	if failing {
		result = "failed"
	}
	m.Deliveries.WithLabelValues(receiver, result).Inc()
	at := 0.0
	if !since.IsZero() {
		at = float64(since.Unix())
	}
	m.FailingSince.WithLabelValues(receiver).Set(at)
}

// delivers notes that a receiver is not known to fail: what was told of it is another's by now.
func (m *Metrics) delivers(receiver string) {
	if m != nil {
		m.FailingSince.WithLabelValues(receiver).Set(0)
	}
}

// refused notes an alert that a receiver does not take.
func (m *Metrics) refused(receiver string) {
	if m != nil {
		m.Refused.WithLabelValues(receiver).Inc()
	}
}

func (m *Metrics) waiting(alerts int) {
	if m != nil {
		m.Waiting.Set(float64(alerts))
	}
}

// CountPruned counts what was removed of one cluster's history.
func (m *Metrics) CountPruned(p store.Pruned) {
	for what, n := range map[string]int64{"finding": p.Findings, "rung": p.Rungs, "evidence": p.Evidence, "run": p.Runs, "alert": p.Alerts, "waiver": p.Waivers, "change": p.Changes} {
		m.Pruned.WithLabelValues(what).Add(float64(n))
	}
}

// standing reads what the loop knows when it is asked.
type standing struct{ loop *Loop }

var (
	findingsMetric = prometheus.NewDesc("bailey_findings", "Open findings that no waiver takes in.", []string{"severity"}, nil)
	rungMetric     = prometheus.NewDesc("bailey_control_rung", "Where a control stands for the cluster: 0 gap, 1 unknown, 2 sound, 3 guarded, 4 proven.", []string{"control"}, nil)
	coverageMetric = prometheus.NewDesc("bailey_facts_seen_ratio", "Share of the facts that the controls need that were seen.", nil, nil)
	objectsMetric  = prometheus.NewDesc("bailey_objects", "Objects that are watched.", nil, nil)
	lostMetric     = prometheus.NewDesc("bailey_out_of_sight_seconds", "How long the cluster is out of sight; 0 while it is seen.", nil, nil)
	reportMetric   = prometheus.NewDesc("bailey_report_timestamp_seconds", "The moment that the newest report is of.", nil, nil)
)

// Describe is of prometheus.Collector.
func (s standing) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{findingsMetric, rungMetric, coverageMetric, objectsMetric, lostMetric, reportMetric} {
		to <- d
	}
}

// Collect is of prometheus.Collector.
func (s standing) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	sight := s.loop.Sight()
	lost := 0.0
	if sight.Lost != nil {
		lost = time.Since(*sight.Lost).Seconds()
	}
	gauge(lostMetric, lost)
	gauge(objectsMetric, float64(sight.Objects))
	if !sight.Ready {
		return
	}
	summary := s.loop.Summary()
	counts := summary.Findings
	for _, c := range []struct {
		severity bailey.Severity
		n        int
	}{{bailey.SeverityCritical, counts.Critical}, {bailey.SeverityHigh, counts.High}, {bailey.SeverityMedium, counts.Medium}, {bailey.SeverityLow, counts.Low}, {bailey.SeverityInfo, counts.Info}} {
		gauge(findingsMetric, float64(c.n), c.severity.String())
	}
	for control, rung := range summary.Rungs {
		gauge(rungMetric, float64(rung), control)
	}
	if c := summary.Coverage; c.Needed > 0 {
		gauge(coverageMetric, float64(c.Seen)/float64(c.Needed))
	}
	gauge(reportMetric, float64(summary.At.Unix()))
}
