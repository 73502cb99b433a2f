package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The metrics that are read (k8s.io/apiserver/pkg/audit/metrics.go).
const (
	metricEvents   = "apiserver_audit_event_total"
	metricErrors   = "apiserver_audit_error_total"
	metricRejected = "apiserver_audit_requests_rejected_total"
	metricStart    = "process_start_time_seconds"
)

const (
	maxMetrics     = 256 << 20 // bytes of one answer; large clusters have tens of MB
	maxMetricsLine = 64 << 10
	maxMetricsKept = 256 << 10 // bytes of the lines that are of use
	maxPlugins     = 32
)

// Counters are an API server's own figures about its audit events. They begin at
// zero when it starts.
type Counters struct {
	Start    float64           `json:"start"`            // of the process, in seconds since 1970
	Events   uint64            `json:"events"`           // made and handed to the backends, once per stage
	Rejected uint64            `json:"rejected"`         // requests refused since they could not be audited
	Errors   map[string]uint64 `json:"errors,omitempty"` // events given up on, by plugin: buffered, webhook, log, truncate
}

// since is by how much the errors grew, for the plugins where they did.
func (c Counters) since(before Counters) map[string]uint64 {
	var grown map[string]uint64
	for plugin, n := range c.Errors {
		if n > before.Errors[plugin] {
			if grown == nil {
				grown = map[string]uint64{}
			}
			grown[plugin] = n - before.Errors[plugin]
		}
	}
	return grown
}

// ReadCounters reads the counters from an API server's /metrics. It goes over the
// rest line by line and keeps nothing of it.
func ReadCounters(r io.Reader) (Counters, error) {
	var kept bytes.Buffer
	limited := &io.LimitedReader{R: r, N: maxMetrics}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, 4096), maxMetricsLine)
	for lines.Scan() {
		line := lines.Text()
		name := strings.TrimLeft(line, " \t")
		if end := strings.IndexAny(name, "{ \t"); end >= 0 {
			name = name[:end]
		}
		switch name {
		case metricEvents, metricErrors, metricRejected, metricStart:
			if kept.Len()+len(line) >= maxMetricsKept {
				return Counters{}, fmt.Errorf("/metrics has more than %d bytes about audit events", maxMetricsKept)
			}
			kept.WriteString(line + "\n")
		}
	}
	if err := lines.Err(); err != nil {
		return Counters{}, fmt.Errorf("/metrics: %w", err)
	}
	if limited.N <= 0 {
		return Counters{}, fmt.Errorf("/metrics has more than %d bytes", maxMetrics)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&kept)
	if err != nil {
		return Counters{}, fmt.Errorf("/metrics: %w", err)
	}
	c := Counters{Errors: map[string]uint64{}}
	single := func(name string) (float64, error) {
		metrics := families[name].GetMetric()
		if len(metrics) != 1 {
			return 0, fmt.Errorf("/metrics has %d values of %s, where one is expected", len(metrics), name)
		}
		return metrics[0].GetUntyped().GetValue(), nil
	}
	var errs [3]error
	var events, rejected float64
	c.Start, errs[0] = single(metricStart)
	events, errs[1] = single(metricEvents)
	if families[metricRejected] != nil {
		rejected, errs[2] = single(metricRejected)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return Counters{}, err
	}
	if c.Events, err = count(metricEvents, events); err != nil {
		return Counters{}, err
	}
	if c.Rejected, err = count(metricRejected, rejected); err != nil {
		return Counters{}, err
	}
	if math.IsNaN(c.Start) || c.Start <= 0 || math.IsInf(c.Start, 0) {
		return Counters{}, fmt.Errorf("/metrics: %s is %v", metricStart, c.Start)
	}
	for _, m := range families[metricErrors].GetMetric() {
		plugin := ""
		for _, label := range m.GetLabel() {
			if label.GetName() == "plugin" {
				plugin = label.GetValue()
			}
		}
		n, err := count(metricErrors, m.GetUntyped().GetValue())
		if err != nil {
			return Counters{}, err
		}
		if c.Errors[plugin] += n; len(c.Errors) > maxPlugins {
			return Counters{}, fmt.Errorf("/metrics has more than %d plugins in %s", maxPlugins, metricErrors)
		}
	}
	return c, nil
}

// count makes a whole number of a counter's value.
func count(name string, v float64) (uint64, error) {
	if !(v >= 0 && v <= 1<<53) {
		return 0, fmt.Errorf("/metrics: %s is %v", name, v)
	}
	return uint64(v), nil
}
