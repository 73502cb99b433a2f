package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

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

// TestWebhookRefusesOne: a webhook that has taken alerts, also from a process before, and refuses one that
// waits alone does not fail, and is not asked again; one that refuses many does, until it takes one of them.
func TestWebhookRefusesOne(t *testing.T) {
	w := newTelling(t)
	var refuses atomic.Bool
	var calls atomic.Int32
	hooked(w, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if refuses.Load() {
			rw.WriteHeader(http.StatusBadRequest)
		}
	}), t)
	bring := func(c *webhook, what string, fails bool) {
		t.Helper()
		if err := c.bring(t.Context()); (err != nil) != fails {
			t.Errorf("%s: %v", what, err)
		}
	}
	c := newWebhook(w.Notifier)
	w.raise(t, "good", "a/b", bailey.SeverityHigh)
	bring(c, "it takes one", false)
	refuses.Store(true)
	w.raise(t, "bad", "a/b", bailey.SeverityHigh)
	bring(c, "it refuses one alone", false)
	before := calls.Load()
	bring(c, "it was refused", false)
	if n := calls.Load(); n != before {
		t.Errorf("what was refused is sent again: %d calls", n-before)
	}
	c = newWebhook(w.Notifier)
	bring(c, "another process", false)
	if n := calls.Load(); n != before+1 {
		t.Errorf("another process tries %d times, want once", n-before)
	}
	better := testAlert("bad", "a/b", bailey.SeverityHigh)
	better.Title = "Another title"
	w.change(t, alertChange{alertRaise, better})
	bring(c, "changed, and refused again", false)
	if len(c.refused) != 1 {
		t.Errorf("it remembers %v", c.refused)
	}
	for i := range refusedAlone - 1 {
		w.raise(t, fmt.Sprint("bad", i), "a/b", bailey.SeverityHigh)
		bring(c, "some alone", false)
	}
	w.raise(t, "one more", "a/b", bailey.SeverityHigh)
	for range 2 {
		bring(c, "it refuses whatever comes", true)
	}
	refuses.Store(false)
	bring(c, "it takes all", false)
	bring(c, "nothing waits", false)
	if list, err := w.Store.Waiting(t.Context(), tellingUID, 10); err != nil || len(list)+len(c.refused) > 0 {
		t.Errorf("there wait %v, it remembers %v, %v", list, c.refused, err)
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
