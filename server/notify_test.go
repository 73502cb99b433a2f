package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
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
