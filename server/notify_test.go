package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/sqlite"
)

// told is a notifier with what it reads: a store with one cluster, and a loop that has a report.
type telling struct {
	*Notifier
	log *syncBuffer
	mu  sync.Mutex
	now time.Time // zero: the machine's
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const tellingUID = "11111111-2222-3333-4444-555555555555"

func newTelling(t *testing.T) *telling {
	t.Helper()
	kept, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	if err := kept.PutCluster(t.Context(), tellingUID, "staging", time.Now()); err != nil {
		t.Fatal(err)
	}
	w := &telling{log: &syncBuffer{}}
	w.Notifier = &Notifier{Store: kept, News: NewNews(), Log: slog.New(slog.NewTextHandler(w.log, nil)), Now: time.Now, UserAgent: "bailey/test", Alive: 300 * time.Millisecond}
	w.Loop = NewLoop(LoopOptions{}, w.News)
	w.Loop.snap = bailey.NewBuilder(bailey.Meta{ClusterUID: tellingUID}).Snapshot()
	w.Metrics = NewMetrics("test", w.Loop)
	w.Loop.publish(&bailey.Report{Meta: bailey.Meta{At: time.Now()}})
	return w
}

func (w *telling) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("it ended with %v", err)
		}
		for _, secret := range []string{"sEcReT", "/hook"} {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("the log tells what is secret: %s", w.log)
			}
		}
	})
}

func (w *telling) raise(t *testing.T, key, control string, severity bailey.Severity) {
	t.Helper()
	w.change(t, alertChange{alertRaise, testAlert(key, control, severity)})
}

func testAlert(key, control string, severity bailey.Severity) store.Alert {
	doc := alertDoc{Control: control, Since: time.Unix(1.7e9, 0)}
	return store.Alert{Key: key, Kind: store.AlertFinding, Severity: severity, Title: "Title of " + key, Text: "Text", Object: bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}, Doc: doc.text()}
}

func (w *telling) change(t *testing.T, c alertChange) {
	t.Helper()
	r := &Raiser{Store: w.Store, News: w.News}
	if err := r.do(t.Context(), tellingUID, time.Now(), c); err != nil {
		t.Fatal(err)
	}
}

// hook is a webhook that answers as it is told to.
type hook struct {
	mu     sync.Mutex
	bodies []WebhookBody
	times  []time.Time
	answer func(n int, w http.ResponseWriter, r *http.Request) bool // true: it has answered
	signed []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	var b WebhookBody
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil || b.ID != r.Header.Get("Idempotency-Key") || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.bodies = append(h.bodies, b)
	h.times = append(h.times, time.Now())
	h.signed = append(h.signed, r.Header.Get("Bailey-Signature")+" "+Sign([]byte("0123456789abcdef"), data))
	n, answer := len(h.bodies), h.answer
	h.mu.Unlock()
	if answer == nil || !answer(n, w, r) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *hook) calls() []WebhookBody {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]WebhookBody(nil), h.bodies...)
}

// await waits until a condition holds.
func await(t *testing.T, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

func hooked(w *telling, h http.Handler, t *testing.T) {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	w.Webhook = func() (Endpoint, error) {
		return Endpoint{URL: s.URL + "/hook?token=sEcReT", Key: []byte("0123456789abcdef")}, nil
	}
}

// TestWebhook: what is raised together is sent together, by cause, the worst first, signed; what
// changed is sent again, what did not is not, and another process repeats nothing.
func TestWebhook(t *testing.T) {
	w, h := newTelling(t), &hook{}
	hooked(w, h, t)
	w.run(t)
	time.Sleep(300 * time.Millisecond) // it has looked, and waits
	w.raise(t, "finding/a/b/c/shop", "a/b", bailey.SeverityHigh)
	w.raise(t, "rung/d/e/", "d/e", bailey.SeverityCritical)
	w.raise(t, "rung/a/b/", "a/b", bailey.SeverityMedium)
	await(t, "the alerts", patience, func() bool { return len(h.calls()) > 0 })
	b := h.calls()[0]
	var got []string
	for _, g := range b.Groups {
		for _, a := range g.Alerts {
			got = append(got, g.Cause+" "+a.Key+" "+a.State+" "+a.Severity.String())
		}
	}
	if want := "d/e rung/d/e/ firing critical, a/b finding/a/b/c/shop firing high, a/b rung/a/b/ firing medium"; strings.Join(got, ", ") != want {
		t.Errorf("it was told %v, want %s", got, want)
	}
	if b.SchemaVersion != 1 || b.Cluster != (WebhookCluster{tellingUID, "staging"}) || b.Groups[0].Alerts[0].Namespace != "shop" {
		t.Errorf("%+v", b)
	}
	if sent, want, _ := strings.Cut(h.signed[0], " "); sent != "sha256="+want {
		t.Errorf("the signature is %s, want %s", sent, want)
	}
	await(t, "that it is noted", patience, func() bool {
		a, err := w.Store.Alert(t.Context(), store.Everything(), tellingUID, "rung/a/b/")
		return err == nil && !a.Delivered.IsZero()
	})
	// The same once more is counted, and said to nobody.
	w.raise(t, "rung/a/b/", "a/b", bailey.SeverityMedium)
	w.change(t, alertChange{alertEnd, testAlert("rung/d/e/", "d/e", bailey.SeverityCritical)})
	await(t, "the end", patience, func() bool { return len(h.calls()) > 1 })
	time.Sleep(gather + 500*time.Millisecond)
	if calls := h.calls(); len(calls) != 2 || len(calls[1].Groups) != 1 || len(calls[1].Groups[0].Alerts) != 1 || calls[1].Groups[0].Alerts[0].State != "resolved" || calls[1].ID == b.ID {
		t.Errorf("it was told %+v", calls[1:])
	}
	other := &Notifier{Store: w.Store, Loop: w.Loop, News: w.News, Log: w.Log, Now: w.Now, Webhook: w.Webhook}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_ = other.Run(ctx)
	if calls := h.calls(); len(calls) != 2 {
		t.Errorf("another process repeats: %+v", calls[2:])
	}
}

// TestWebhookTrouble: a receiver that fails, is slow, hangs up, redirects or asks to wait is tried
// again with the same ID, until it takes what there is; the log tells no URL.
func TestWebhookTrouble(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("it followed to another host: %s %s", r.Method, r.URL)
	}))
	defer elsewhere.Close()
	for name, trouble := range map[string]struct {
		answer func(n int, w http.ResponseWriter, r *http.Request) bool
		says   string
		least  time.Duration // between the first two tries
	}{
		"fails": {func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 2 {
				return false
			}
			http.Error(w, strings.Repeat("x", 1<<20), http.StatusInternalServerError)
			return true
		}, "it answered 500", 0},
		"asks to wait": {func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 1 {
				return false
			}
			w.Header().Set("Retry-After", "4")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}, "it answered 429", 4 * time.Second},
		"hangs up": {func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 1 {
				return false
			}
			panic(http.ErrAbortHandler)
		}, "EOF", 0},
		"redirects elsewhere": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				return false
			}
			http.Redirect(w, r, elsewhere.URL+"/hook?token=sEcReT", http.StatusTemporaryRedirect)
			return true
		}, "redirects elsewhere (307)", 0},
		"redirects to nothing": {func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 1 {
				return false
			}
			w.Header().Set("Location", "http://%zz/hook?sEcReT")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}, "redirects to what is no URL", 0},
		"would have a GET": {func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 1 {
				return false
			}
			http.Redirect(w, r, "/hook/thanks", http.StatusSeeOther)
			return true
		}, "redirects elsewhere (303)", 0},
		"is slow": {func(n int, _ http.ResponseWriter, r *http.Request) bool {
			if n == 1 {
				<-r.Context().Done()
			}
			return false
		}, "Client.Timeout", sendLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, h := newTelling(t), &hook{answer: trouble.answer}
			hooked(w, h, t)
			w.raise(t, "k", "a/b", bailey.SeverityHigh)
			w.run(t)
			await(t, "the delivery", patience, func() bool {
				a, err := w.Store.Alert(t.Context(), store.Everything(), tellingUID, "k")
				return err == nil && !a.Delivered.IsZero()
			})
			calls := h.calls()
			if len(calls) < 2 || calls[0].ID != calls[len(calls)-1].ID {
				t.Errorf("%d calls, the ID of the first %s, of the last %s", len(calls), calls[0].ID, calls[len(calls)-1].ID)
			}
			if waited := h.times[1].Sub(h.times[0]); waited < trouble.least {
				t.Errorf("it was tried again after %s, want %s or more", waited, trouble.least)
			}
			await(t, "the log", patience, func() bool { return strings.Contains(w.log.String(), "alerts are delivered again") })
			if !strings.Contains(w.log.String(), trouble.says) {
				t.Errorf("the log does not say %q: %s", trouble.says, w.log)
			}
			if metricOf(t, w.Metrics, "bailey_alerts_failing_since_timestamp_seconds", "receiver", "webhook") != 0 {
				t.Error("the metric says that it still fails")
			}
		})
	}
}

// TestWebhookUnnoted: what was sent and could not be noted is not sent again, however often that is tried.
func TestWebhookUnnoted(t *testing.T) {
	w, h := newTelling(t), &hook{}
	hooked(w, h, t)
	w.raise(t, "k", "a/b", bailey.SeverityHigh)
	first, err := w.Store.TakeOver(t.Context(), tellingUID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Store.TakeOver(t.Context(), tellingUID, time.Now()); err != nil {
		t.Fatal(err)
	}
	free := w.Store
	w.Store = first // it reads, and may not write
	c := newWebhook(w.Notifier)
	for range 3 {
		if err := c.bring(t.Context()); err == nil {
			t.Error("what could not be noted is no error")
		}
	}
	w.Store = free
	if err := c.bring(t.Context()); err != nil {
		t.Error(err)
	}
	w.change(t, alertChange{alertEnd, testAlert("k", "a/b", bailey.SeverityHigh)})
	if err := c.bring(t.Context()); err != nil {
		t.Error(err)
	}
	calls := h.calls()
	if len(calls) != 2 || calls[0].ID == calls[1].ID || calls[1].Groups[0].Alerts[0].State != "resolved" {
		t.Errorf("%d calls: %+v", len(calls), calls)
	}
}

// TestWebhookRefuses: an alert that a receiver does not take does not keep back the others, is not noted
// as delivered, and is sent again once it changes; a receiver that takes none is one that fails.
func TestWebhookRefuses(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} {
		w, h := newTelling(t), &hook{}
		var all atomic.Bool
		hooked(w, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			if all.Load() || bytes.Contains(data, []byte("Title of k1")) {
				rw.WriteHeader(status)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(data))
			h.ServeHTTP(rw, r)
		}), t)
		waiting := func() (keys []string) {
			list, err := w.Store.Waiting(t.Context(), tellingUID, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				keys = append(keys, a.Key)
			}
			return keys
		}
		for i := range 5 {
			w.raise(t, fmt.Sprint("k", i), "a/b", bailey.SeverityHigh)
		}
		c := newWebhook(w.Notifier)
		all.Store(true)
		if err := c.bring(t.Context()); err == nil || len(waiting()) != 5 {
			t.Errorf("%d: a receiver that takes nothing: %v, and there wait %v", status, err, waiting())
		}
		all.Store(false)
		for range 2 {
			if err := c.bring(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got := waiting(); fmt.Sprint(got) != "[k1]" {
			t.Errorf("%d: there wait %v", status, got)
		}
		told := map[string]int{}
		for _, b := range h.calls() {
			for _, a := range b.Groups[0].Alerts {
				told[a.Key]++
			}
		}
		if fmt.Sprint(told) != "map[k0:1 k2:1 k3:1 k4:1]" {
			t.Errorf("%d: it was told %v", status, told)
		}
		if n := metricOf(t, w.Metrics, "bailey_alerts_refused_total", "receiver", "webhook"); n != 1 || !strings.Contains(w.log.String(), "alert=k1") {
			t.Errorf("%d: the metric says %v, and the log: %s", status, n, w.log)
		}
		better := testAlert("k1", "a/b", bailey.SeverityHigh)
		better.Title = "Another title"
		w.change(t, alertChange{alertRaise, better})
		if err := c.bring(t.Context()); err != nil || len(waiting()) > 0 {
			t.Errorf("%d: once it is another: %v, and there wait %v", status, err, waiting())
		}
	}
}

// TestWebhookNew: a webhook that is new is told what lasts, and of the past only the last day.
func TestWebhookNew(t *testing.T) {
	w, h := newTelling(t), &hook{}
	hooked(w, h, t)
	for i, key := range []string{"old", "late", "lasts"} {
		ago := time.Now().Add(time.Duration(i-3) * 20 * time.Hour) // 60, 40 and 20 hours
		if err := w.Store.Raise(t.Context(), tellingUID, ago, testAlert(key, "a/b", bailey.SeverityHigh)); err != nil {
			t.Fatal(err)
		}
	}
	for key, ago := range map[string]time.Duration{"old": 50 * time.Hour, "late": 10 * time.Hour} {
		if err := w.Store.Resolve(t.Context(), tellingUID, time.Now().Add(-ago), key); err != nil {
			t.Fatal(err)
		}
	}
	w.run(t)
	await(t, "the alerts", patience, func() bool { return len(h.calls()) > 0 })
	var got []string
	for _, a := range h.calls()[0].Groups[0].Alerts {
		got = append(got, a.Key+" "+a.State)
	}
	if fmt.Sprint(got) != "[lasts firing late resolved]" {
		t.Errorf("it was told %v", got)
	}
}

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
	since, _ := w.mute.since(webhookName, 1)
	w.mute.note(webhookName, since.Add(-muteLate))
	if why := w.unwell(t.Context(), deadManName); why == nil || !strings.Contains(why.Error(), "webhook") {
		t.Errorf("a webhook that nothing gets through to: %v", why)
	}
	cancel()
	<-done
	if fails() {
		t.Error("it delivers no more, and is said to fail")
	}
	if why := w.unwell(t.Context(), deadManName); why != nil {
		t.Errorf("another delivers: %v", why)
	}
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

func TestParseEndpoint(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "it holds no URL",
		"\n \n":                                  "it holds no URL",
		"https://a.example/x":                    "https://a.example/x ",
		" https://a.example/x \n\n":              "https://a.example/x ",
		"http://a/x\r\n0123456789abcdef\n":       "http://a/x 0123456789abcdef",
		"https://a/x\nshort":                     "shorter than 16",
		"a\nb\nc":                                "more than two lines",
		"ftp://a/sEcReT":                         "is no URL",
		"https:///sEcReT":                        "is no URL",
		"https://a/%zz sEcReT":                   "is no URL",
		"https://a/\n" + strings.Repeat("k", 99): "https://a/ " + strings.Repeat("k", 99),
	} {
		e, err := ParseEndpoint([]byte(text))
		got := e.URL + " " + string(e.Key)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "sEcReT") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzEndpoint: what is taken can be called, and no error shows what was read.
func FuzzEndpoint(f *testing.F) {
	f.Add([]byte("https://hooks.example.com/x\n0123456789abcdef"), "120")
	f.Add([]byte("http://[::1]:9/\n"), "Wed, 21 Oct 2015 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, data []byte, header string) {
		if wait := retryAfter(header, time.Unix(1e9, 0)); wait < 0 || wait > retryAfterMost {
			t.Errorf("it would wait %s", wait)
		}
		e, err := ParseEndpoint(data)
		if err != nil {
			return
		}
		if _, err := http.NewRequest(http.MethodPost, e.URL, nil); err != nil {
			t.Errorf("%q was taken and cannot be called: %v", e.URL, err)
		}
		if u, err := url.Parse(e.URL); err != nil || u.Host == "" {
			t.Errorf("%q was taken and has no host", e.URL)
		}
	})
}
