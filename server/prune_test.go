package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// TestPrune: by a clock that is moved, what is over goes once it is old, of every cluster; what is
// open stays, however old; and a store that fails is told of and does no harm.
func TestPrune(t *testing.T) {
	ctx := t.Context()
	kept, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	finding := func(name string) bailey.Finding {
		o := bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: name}
		return bailey.Finding{ID: bailey.FindingID("a/b/c", o, ""), Control: "a/b", Rule: "a/b/c", Severity: bailey.SeverityHigh, Object: o, Message: "m"}
	}
	clusters := []string{"one", "two"}
	for _, uid := range clusters {
		for _, do := range []func() error{
			func() error { return kept.PutCluster(ctx, uid, uid, begin) },
			func() error {
				return kept.Apply(ctx, uid, begin, store.Delta{Findings: []bailey.Finding{finding("stays"), finding("goes")}})
			},
			func() error {
				return kept.Apply(ctx, uid, begin.Add(time.Hour), store.Delta{Gone: []bailey.Ref{finding("goes").Object}})
			},
			func() error { return kept.Heard(ctx, uid, begin.Add(2*time.Hour)) },
			// What came later marks that time went on.
			func() error {
				return kept.Apply(ctx, uid, begin.Add(3*time.Hour), store.Delta{Findings: []bailey.Finding{finding("late")}})
			},
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var log bytes.Buffer
	now := begin
	m := NewMetrics("test", NewLoop(LoopOptions{}, NewNews()))
	p := &Pruner{Store: kept, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }, Keep: 24 * time.Hour, Removed: m.CountPruned}
	names := func(uid string) string {
		page, err := kept.Findings(ctx, store.FindingQuery{Cluster: uid, Access: store.Everything(), State: store.All, Sort: store.ByObject})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range page.Items {
			all = append(all, f.Object.Name)
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct {
		later time.Duration
		want  string
	}{{0, "goes late stays"}, {24 * time.Hour, "goes late stays"}, {26 * time.Hour, "late stays"}, {9000 * time.Hour, "late stays"}} {
		now = begin.Add(step.later)
		p.prune(ctx, step.later)
		for _, uid := range clusters {
			if got := names(uid); got != step.want {
				t.Errorf("%s later, of %s is kept: %s, want %s", step.later, uid, got, step.want)
			}
		}
	}
	if n := metricOf(t, m, "bailey_pruned_total", "what", "finding"); n != 2 {
		t.Errorf("the metric counts %v findings that were removed, want 2", n)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	p.prune(ctx, time.Hour)
	if !strings.Contains(log.String(), "will be later") {
		t.Errorf("of a store that fails the log says: %s", log.String())
	}
}

// TestPruneSessions: sessions that are over go, also where history is kept for ever.
func TestPruneSessions(t *testing.T) {
	ctx := t.Context()
	kept, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	if err := kept.AddSession(ctx, store.Session{ID: "id", Until: begin.Add(time.Hour)}, 2); err != nil {
		t.Fatal(err)
	}
	p := &Pruner{Store: kept, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	for later, want := range []error{nil, store.ErrNotFound} {
		now = begin.Add(time.Duration(later) * time.Hour)
		p.prune(ctx, time.Hour)
		if _, err := kept.Session(ctx, "id"); !errors.Is(err, want) {
			t.Errorf("%d hours later: %v, want %v", later, err, want)
		}
	}
}

// TestPruneByAJumpingClock: what a clock that is years ahead makes old stays, also where the server is
// started while it is; what is old once the time has passed goes, and after months off in some weeks.
func TestPruneByAJumpingClock(t *testing.T) {
	ctx := t.Context()
	kept, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	const day = 24 * time.Hour
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := begin
	var log bytes.Buffer
	if err := kept.PutCluster(ctx, "c", "c", begin); err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // a waiver each day, which is a change
		w := bailey.Waiver{Rule: "a/b/c", Reason: "r", Owner: "o", Expires: begin.Add(99 * day)}
		if err := kept.AddWaiver(ctx, "c", begin.Add(time.Duration(i)*day), fmt.Sprint(i), "me", w); err != nil {
			t.Fatal(err)
		}
	}
	p := &Pruner{Store: kept, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return clock }, Keep: 30 * day}
	changes := func() int {
		for after := int64(0); ; after++ {
			page, err := kept.Changes(ctx, store.Everything(), "c", after, 100)
			if err == nil {
				return len(page.Changes)
			}
			if !errors.Is(err, store.ErrTooOld) {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		what          string
		clock, passed time.Duration
		want          int
	}{
		{"at first", 29 * day, time.Minute, 40},
		{"started years ahead", 1000 * day, time.Minute, 40},
		{"started years ahead once more", 1000 * day, time.Minute, 40},
		{"an hour later", 1000 * day, time.Hour, 40},
		{"the clock is set right", 30 * day, time.Hour, 40},
		{"days later", 36 * day, 6 * day, 34},
		{"off for a month", 66 * day, time.Minute, 34},
		{"two days after that", 68 * day, 2 * day, 26},
		{"one look by a clock that is years behind", -1000 * day, time.Hour, 26},
		{"the clock is right again", 68 * day, 2 * day, 18},
		{"months behind", -100 * day, 2 * day, 18},
		{"months behind for an hour", -100 * day, time.Hour, 18},
		{"right again", 68 * day, time.Hour, 18},
		{"months behind once more", -100 * day, time.Hour, 18},
		{"months behind for a day", -99 * day, day, 18},
		{"right again after that", 69 * day, 2 * day, 18},
	} {
		clock = begin.Add(step.clock)
		p.prune(ctx, step.passed)
		if n := changes(); n < step.want-1 || n > step.want+1 {
			t.Errorf("%s: %d changes are kept, want about %d", step.what, n, step.want)
		}
	}
	if n := strings.Count(log.String(), "the clock is far ahead"); n != 5 {
		t.Errorf("of a clock that is far ahead the log tells %d times, want 5: %s", n, log.String())
	}
}

// metricOf reads a metric as /metrics shows it.
func metricOf(t *testing.T, m *Metrics, name, label, value string) float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
				}
			}
		}
	}
	return 0
}
