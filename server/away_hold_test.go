package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// reviewer is a way to an API server that lets everybody do everything, but does what a test wants
// with a question that holds a text.
type reviewer struct {
	mu    sync.Mutex
	fails string
	as    func() (*http.Response, error)
}

func (r *reviewer) fail(text string, as func() (*http.Response, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails, r.as = text, as
}

func (r *reviewer) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.as != nil && strings.Contains(string(body), r.fails) {
		return r.as()
	}
	if strings.HasSuffix(q.URL.Path, "/tokenreviews") {
		return said(http.StatusCreated, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"user":{"username":"ann"}}}`)
	}
	return said(http.StatusCreated, `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":true}}`)
}

func said(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (r *reviewer) asked(t *testing.T, c *clock) (*ClusterRights, *ClusterTokens) {
	t.Helper()
	rights, tokens, err := AskCluster(&rest.Config{Host: "http://api.example", Transport: r}, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return rights, tokens
}

func unreachable() (*http.Response, error) { return nil, errors.New("no route to host") }

// TestAwayForWhom: a token that the cluster does not answer about keeps nobody else from being asked about, unless it
// was good before; and a cluster that has too much to do is away.
func TestAwayForWhom(t *testing.T) {
	api, clock := &reviewer{}, &clock{}
	_, tokens := api.asked(t, clock)
	whose := func(when, token string, known bool) {
		t.Helper()
		if who, err := tokens.Whose(t.Context(), token); (err == nil) != known || (who.Name == "ann") != known {
			t.Errorf("%s, %s: %+v, %v", when, token, who, err)
		}
	}
	whose("at first", "old", true)
	api.fail("slow", unreachable)
	whose("of a stranger", "slow", false)
	whose("after it", "new", true)
	clock.pass(2 * tokenKept)
	api.fail("old", func() (*http.Response, error) {
		return said(http.StatusTooManyRequests, `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"TooManyRequests","code":429}`)
	})
	whose("when it has too much to do", "old", true)
	whose("meanwhile", "another", false)
	clock.pass(2 * awayPause)
	whose("after a pause", "another", true)
}

// TestMetricsWhileAway: metrics, which tell that the cluster does not answer, are read on for a day by whoever
// read them before, and nothing else is.
func TestMetricsWhileAway(t *testing.T) {
	api, clock := &reviewer{}, &clock{}
	rights, tokens := api.asked(t, clock)
	loop, log := NewLoop(LoopOptions{}, NewNews()), slog.New(slog.DiscardHandler)
	front := &Front{Sessions: &Sessions{Now: clock.now}, Tokens: tokens, Log: log, Now: clock.now}
	h := &HTTP{Front: front, API: http.NotFoundHandler(), Metrics: NewMetrics("test", loop), Rights: rights, Loop: loop, Ready: func(context.Context) error { return nil }, Stop: func() {}, Log: log}
	s := httptest.NewServer(h.Handler(false))
	t.Cleanup(s.Close)
	w := &world{url: s.URL}
	gets := func(when, token, path string, want int) {
		t.Helper()
		if code, body, _ := w.ask(t, token, http.MethodGet, path, ""); code != want {
			t.Errorf("%s, %s: %d %.200s", when, path, code, body)
		}
	}
	gets("at first", "prometheus", MetricsPath, http.StatusOK)
	gets("at first", "prometheus", "/api/", http.StatusNotFound)
	api.fail("", unreachable)
	for i := range 4 {
		clock.pass(5 * time.Hour)
		gets(fmt.Sprint(5*(i+1), " hours later"), "prometheus", MetricsPath, http.StatusOK)
	}
	gets("while it is away", "prometheus", "/api/", http.StatusServiceUnavailable)
	gets("who comes anew", "another", MetricsPath, http.StatusServiceUnavailable)
	clock.pass(5 * time.Hour)
	gets("after more than a day", "prometheus", MetricsPath, http.StatusServiceUnavailable)
	api.fail("", nil)
	clock.pass(awayPause)
	gets("when it is back", "prometheus", MetricsPath, http.StatusOK)
}
