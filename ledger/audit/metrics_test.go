package audit

import (
	"fmt"
	"strings"
	"testing"
)

const sampleMetrics = `# HELP aggregator_x [ALPHA] something else {with braces}
# TYPE aggregator_x counter
aggregator_x{reason="a b"} 3
# HELP apiserver_audit_error_total [ALPHA] Counter of audit events that failed to be audited properly.
# TYPE apiserver_audit_error_total counter
apiserver_audit_error_total{plugin="buffered"} 12
apiserver_audit_error_total{plugin="webhook"} 1.2e+03
# TYPE apiserver_audit_event_total counter
apiserver_audit_event_total 36182
apiserver_audit_requests_rejected_total 0
process_start_time_seconds 1.76409e+09
`

func TestReadCounters(t *testing.T) {
	c, err := ReadCounters(strings.NewReader(sampleMetrics))
	if err != nil {
		t.Fatal(err)
	}
	if c.Events != 36182 || c.Errors["buffered"] != 12 || c.Errors["webhook"] != 1200 || c.Rejected != 0 || c.Start != 1.76409e9 {
		t.Errorf("%+v", c)
	}
	grown := c.since(Counters{Errors: map[string]uint64{"webhook": 1000, "buffered": 12}})
	if len(grown) != 1 || grown["webhook"] != 200 {
		t.Errorf("grown by %v", grown)
	}
}

// What is not there, twice or no number is an error and never zero: a counter that
// cannot be read must not look like one that stands still.
func TestReadCountersRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"no event counter":   {"apiserver_audit_event_total 36182\n", ""},
		"no start":           {"process_start_time_seconds 1.76409e+09\n", ""},
		"two event counters": {"apiserver_audit_event_total 36182\n", "apiserver_audit_event_total{a=\"b\"} 1\napiserver_audit_event_total 36182\n"},
		"no number":          {"apiserver_audit_event_total 36182", "apiserver_audit_event_total x"},
		"less than nothing":  {"apiserver_audit_event_total 36182", "apiserver_audit_event_total -1"},
		"not a number":       {"apiserver_audit_event_total 36182", "apiserver_audit_event_total NaN"},
		"too large":          {"} 12\n", "} 1e300\n"},
		"a long line":        {"# HELP", "#" + strings.Repeat("x", maxMetricsLine)},
	} {
		if c, err := ReadCounters(strings.NewReader(strings.Replace(sampleMetrics, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: taken as %+v", name, c)
		}
	}
	plugins := sampleMetrics
	for i := range maxPlugins + 1 {
		plugins += fmt.Sprintf("apiserver_audit_error_total{plugin=\"p%d\"} 1\n", i)
	}
	if c, err := ReadCounters(strings.NewReader(plugins)); err == nil {
		t.Errorf("any number of plugins: taken as %+v", c)
	}
}

func FuzzReadCounters(f *testing.F) {
	f.Add([]byte(sampleMetrics))
	f.Add([]byte("apiserver_audit_event_total 1 2\nprocess_start_time_seconds 1\n"))
	f.Add([]byte("apiserver_audit_error_total{plugin=\"\\\"\",plugin=\"b\"} +Inf\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ReadCounters(strings.NewReader(string(text)))
		if err == nil && (!(c.Start > 0) || len(c.Errors) > maxPlugins || c.Events > 1<<53) {
			t.Fatalf("%+v", c)
		}
	})
}
