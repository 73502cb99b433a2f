package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// TestDeadMan: the URL is called while all is well, and no more once the cluster is out of sight,
// the report is old, or nothing is kept; and again when all is well.
func TestDeadMan(t *testing.T) {
	w := newTelling(t)
	var mu sync.Mutex
	calls := 0
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; r.Method != http.MethodGet || r.URL.Path != "/hook/sEcReT" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
	}))
	defer s.Close()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
	w.DeadMan = func() (Endpoint, error) { return Endpoint{URL: s.URL + "/hook/sEcReT"}, nil }
	w.Alive = 50 * time.Millisecond
	w.Now = func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.now.IsZero() {
			return time.Now()
		}
		return w.now
	}
	clock := func(at time.Time) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = at
	}
	lost := func(at time.Time) {
		w.Loop.mu.Lock()
		defer w.Loop.mu.Unlock()
		w.Loop.contact.Lost = at
	}
	w.run(t)
	for _, step := range []struct {
		what   string
		do     func()
		silent bool
	}{
		{"at first", func() {}, false},
		{"the report is kept and let go", func() { _, version := w.Loop.Report(); w.Loop.Release(version) }, false},
		{"out of sight", func() { lost(time.Now()) }, true},
		{"back in sight", func() { lost(time.Time{}) }, false},
		{"nothing is kept", func() { clock(time.Now().Add(keptLate + time.Minute)) }, true},
		{"it is kept again", func() {
			if err := w.Store.Heard(t.Context(), tellingUID, time.Now().Add(keptLate)); err != nil {
				t.Error(err)
			}
		}, false},
		{"the report is old", func() {
			_ = w.Store.Heard(t.Context(), tellingUID, time.Now().Add(reportLate+2*time.Minute))
			clock(time.Now().Add(reportLate + 2*time.Minute))
		}, true},
		{"the store is away", func() { clock(time.Time{}); w.Store.Close() }, true},
	} {
		step.do()
		time.Sleep(200 * time.Millisecond) // a call may be under way
		before := count()
		if step.silent {
			time.Sleep(400 * time.Millisecond)
			if n := count(); n != before {
				t.Errorf("%s: %d calls", step.what, n-before)
			}
			continue
		}
		await(t, step.what, patience, func() bool { return count() > before })
	}
}

// TestDeadManOfTheMute: the dead man's switch is not held while alerts cannot be delivered, or the ledger
// is damaged; and a process that delivers no more does not say for ever that it fails.
func TestDeadManOfTheMute(t *testing.T) {
	w, h := newTelling(t), &hook{answer: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}}
	hooked(w, h, t)
	var damaged atomic.Bool
	w.Ledger = func() LedgerState { return LedgerState{Damaged: damaged.Load()} }
	w.raise(t, "k", "a/b", bailey.SeverityHigh)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	fails := func() bool {
		return metricOf(t, w.Metrics, "bailey_alerts_failing_since_timestamp_seconds", "receiver", "webhook") > 0
	}
	await(t, "that it fails", patience, fails)
	if why := w.unwell(t.Context(), deadManName); why != nil {
		t.Errorf("it has only begun to fail: %v", why)
	}
	if _, silent := w.mute.since(webhookName, 1); !silent {
		t.Error("the metric says that it fails, and nobody noted since when")
	}
	cancel()
	<-done
	if fails() {
		t.Error("it delivers no more, and is said to fail")
	}
	if why := w.unwell(t.Context(), deadManName); why != nil {
		t.Errorf("another delivers: %v", why)
	}
	// Nothing runs now that would note anything else.
	w.mute.note(webhookName, time.Now().Add(-2*muteLate))
	if why := w.unwell(t.Context(), deadManName); why == nil || !strings.Contains(why.Error(), "webhook") {
		t.Errorf("a webhook that nothing gets through to: %v", why)
	}
	w.mute.note(webhookName, time.Time{})
	w.Alertmanagers = []string{"http://one", "http://two"}
	w.mute.note(managerName, time.Now().Add(-2*muteLate))
	if why := w.unwell(t.Context(), deadManName); why != nil {
		t.Errorf("one of two Alertmanagers is told: %v", why)
	}
	w.mute.note(managerName+ordinal(1), time.Now().Add(-2*muteLate))
	if why := w.unwell(t.Context(), deadManName); why == nil || !strings.Contains(why.Error(), "Alertmanager") {
		t.Errorf("no Alertmanager is told: %v", why)
	}
	if why := w.unwell(t.Context(), managerName); why != nil {
		t.Errorf("an Alertmanager that is told again hears of the others: %v", why)
	}
	for _, receiver := range []string{managerName, managerName + ordinal(1)} {
		w.mute.note(receiver, time.Time{})
	}
	damaged.Store(true)
	if why := w.unwell(t.Context(), deadManName); why == nil || !strings.Contains(why.Error(), "ledger") {
		t.Errorf("a damaged ledger: %v", why)
	}
}
