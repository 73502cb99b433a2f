package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestMetricsForWhom: where others reach the server, metrics are for whom the cluster lets get
// their path, and for nobody else; on loopback they are open.
func TestMetricsForWhom(t *testing.T) {
	cluster, rights, tokens := askShared(t)
	loop, log := NewLoop(LoopOptions{}, NewNews()), slog.New(slog.DiscardHandler)
	front := &Front{Sessions: &Sessions{Now: time.Now}, Tokens: NewLocalToken("the local one", tokens), Log: log, Now: time.Now}
	h := &HTTP{Front: front, API: http.NotFoundHandler(), Metrics: NewMetrics("test", loop), Rights: rights, Loop: loop, Ready: func(context.Context) error { return nil }, Stop: func() {}, Log: log}
	serve := func(address string) string {
		t.Helper()
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Serve(ctx, l) }()
		t.Cleanup(func() { cancel(); <-done })
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return "http://127.0.0.1:" + port
	}
	w := &world{cluster: cluster}
	ns := devclustertest.Namespace(t, nil)
	reader, prometheus := w.token(t, ns, "reader"), w.token(t, ns, "prometheus")
	w.grant(t, ns, "reader", "", baileyRule("get", "reports"))
	w.grant(t, ns, "prometheus", "", baileyRule("get", "nothing"), map[string]any{"nonResourceURLs": []any{MetricsPath}, "verbs": []any{"get"}})
	everywhere, here := serve("0.0.0.0:0"), serve("127.0.0.1:0")
	for _, c := range []struct {
		who, at, token string
		want           int
	}{
		{"nobody", everywhere, "", http.StatusUnauthorized},
		{"a wrong token", everywhere, "wrong", http.StatusUnauthorized},
		{"who may read reports", everywhere, reader, http.StatusForbidden},
		{"who may get the path", everywhere, prometheus, http.StatusOK},
		{"the local administrator", everywhere, "the local one", http.StatusOK},
		{"whoever is on this machine", here, "", http.StatusOK},
	} {
		w.url = c.at
		code, body, _ := w.ask(t, c.token, http.MethodGet, MetricsPath, "")
		for end := time.Now().Add(patience); code == http.StatusForbidden && c.want == http.StatusOK && time.Now().Before(end); time.Sleep(time.Second) {
			code, body, _ = w.ask(t, c.token, http.MethodGet, MetricsPath, "") // the authorizer learns of one rule after the other
		}
		if code != c.want || strings.Contains(body, "bailey_") != (c.want == http.StatusOK) {
			t.Errorf("%s: %d %.300s", c.who, code, body)
		}
	}
	answer, err := http.Get(everywhere + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Errorf("health: %d %s", answer.StatusCode, said)
	}
}
