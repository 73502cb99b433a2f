package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// HTTP is what is served at one address.
type HTTP struct {
	Front   *Front
	API     http.Handler
	Push    http.Handler // takes what spokes push; nil where none do
	Pages   http.Handler // everything that is not under /api; nil serves none
	Metrics *Metrics
	// Rights say who may read the metrics, where others than this machine reach the server.
	Rights Rights
	Loop   *Loop
	// Proxies are those whose word is taken for whom they ask.
	Proxies []net.IPNet
	// Ready says what keeps the server from answering with what is so; nil if nothing does.
	Ready func(ctx context.Context) error
	// Stop ends the streams, which would not end by themselves.
	Stop func()
	Log  *slog.Logger
}

// What bounds a connection.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	answerTimeout = 60 * time.Second // streams set their own
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	// grace is how long requests under way may take at the end.
	grace = 10 * time.Second
)

// MetricsPath is where the metrics are.
const MetricsPath = "/metrics"

// Handler gives all that is served. Health is open to all, and so are metrics if local tells that
// only this machine reaches them: they name no object, and say what is weak.
func (h *HTTP) Handler(local bool) http.Handler {
	inner := http.NewServeMux()
	inner.Handle("/api/", h.API)
	if h.Pages != nil {
		inner.Handle("/", h.Pages)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.ready)
	metrics := promhttp.HandlerFor(h.Metrics.Registry, promhttp.HandlerOpts{})
	if !local {
		metrics = h.Front.Wrap(h.measured(metrics))
	}
	mux.Handle("GET "+MetricsPath, metrics)
	if h.Push != nil {
		mux.Handle("POST "+PushPath, h.Push)
	}
	mux.Handle("/", h.Front.Wrap(routed(inner)))
	return behind(h.Proxies, traced(h.timed(routed(mux))))
}

// measured lets those read metrics who may.
func (h *HTTP) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := WhoAsks(r.Context())
		if who.Anonymous() {
			w.Header().Set("WWW-Authenticate", `Bearer realm="bailey"`)
			http.Error(w, "metrics want a bearer token\nhint: kubectl create token NAME --audience "+Audience+", of an account that may get the path "+MetricsPath, http.StatusUnauthorized)
			return
		}
		switch may, err := h.Rights.May(r.Context(), who, ReadMetrics, ""); {
		case err != nil:
			h.Log.Error("who reads metrics could not be told", "error", err)
			http.Error(w, "the cluster does not answer now; try again in a moment", http.StatusServiceUnavailable)
		case !may:
			http.Error(w, "you may not read metrics\nhint: a ClusterRole with verbs: [get] and nonResourceURLs: ["+MetricsPath+"], bound by a ClusterRoleBinding", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// local reports whether an address is reached by this machine alone.
func local(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().IsLoopback()
}

// ready answers 200 once there is a report and what is asked for can be answered. A cluster
// that is out of sight makes answers old, which each of them says; the server stays ready.
func (h *HTTP) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := h.Loop.Nameless(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready:", err)
		return
	}
	if !h.Loop.Sight().Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready: the first report is not made yet")
		return
	}
	switch err := h.Ready(ctx); {
	case errors.Is(err, errNotKept):
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready:", err)
		return
	case err != nil:
		h.Log.Error("not ready", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready: the store does not answer")
		return
	}
	fmt.Fprintln(w, "ok")
}

// timed measures requests.
func (h *HTTP) timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(s, r)
		answered(r, s.status)
		area := "page"
		switch {
		case r.URL.Path == "/api/v1/events":
			area = "events"
		case r.URL.Path == PushPath:
			area = "push"
		case strings.HasPrefix(r.URL.Path, "/api/"):
			area = "api"
		case r.URL.Path == "/healthz", r.URL.Path == "/readyz", r.URL.Path == MetricsPath:
			area = "other"
		}
		h.Metrics.Requests.WithLabelValues(area, strconv.Itoa(s.status/100)+"xx").Observe(time.Since(begun).Seconds())
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Serve answers at the listener until ctx ends; requests under way are ended in peace.
func (h *HTTP) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: h.Handler(local(l.Addr())), ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(h.Log.Handler(), slog.LevelDebug)}
	s.RegisterOnShutdown(h.Stop)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, release := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer release()
	err := s.Shutdown(stop)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
