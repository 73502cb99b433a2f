package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestReady: a server that waits for its first report says so and writes no error into its log; a store that
// does not answer is one.
func TestReady(t *testing.T) {
	loop := NewLoop(LoopOptions{}, NewNews())
	var logged bytes.Buffer
	var ready error
	h := &HTTP{Loop: loop, Log: slog.New(slog.NewTextHandler(&logged, nil)), Ready: func(context.Context) error { return ready }}
	ask := func(want int, said, log string) {
		t.Helper()
		logged.Reset()
		w := httptest.NewRecorder()
		h.ready(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != want || !strings.Contains(w.Body.String(), said) || log == "" && logged.Len() > 0 || !strings.Contains(logged.String(), log) {
			t.Errorf("%d %q, and logs %q", w.Code, w.Body, logged.String())
		}
	}
	ask(http.StatusServiceUnavailable, "the first report is not made yet", "")
	loop.publish(&bailey.Report{})
	ready = errNotKept
	ask(http.StatusServiceUnavailable, "no report was kept yet", "")
	ready = errors.New("connection refused by secret-host")
	ask(http.StatusServiceUnavailable, "the store does not answer", "connection refused")
	ready = nil
	ask(http.StatusOK, "ok", "")
}
