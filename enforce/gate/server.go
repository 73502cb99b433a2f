package gate

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// Bounds on requests. What is in flight is held several times over: as it came, and read.
const (
	maxBody      = 8 << 20  // an update holds two objects of 3 MiB at most
	bodiesAtOnce = 24 << 20 // bytes
	// bodyLimit bounds how long a body may take to arrive.
	bodyLimit = 2 * time.Second
	// defaultTimeout is assumed where the API server does not say how long it waits.
	defaultTimeout = imagegate.TimeoutSeconds * time.Second
)

// webhooks are the paths and whose they are.
var webhooks = map[string]string{
	imagegate.ImagesPath: imagegate.ImagesWebhook,
	imagegate.PinPath:    imagegate.PinWebhook,
	imagegate.GrantPath:  imagegate.GrantWebhook,
	imagegate.SealPath:   imagegate.SealWebhook,
	imagegate.RulesPath:  imagegate.RulesWebhook,
}

// Server serves a gate's webhooks over TLS, and its health and metrics in plain HTTP.
type Server struct {
	gate     *Gate
	room     *semaphore.Weighted
	log      *slog.Logger
	webhooks *http.Server
	health   *http.Server
	draining atomic.Bool
	// lacking says what keeps the gate from being ready; "" if nothing does.
	lacking func() string
	// notes are shown beside readiness: deviations of the scope.
	notes func() []string
}

// ServerOptions are what a server needs beside its gate.
type ServerOptions struct {
	Certificate func() *tls.Certificate // the current one; nil while there is none
	Lacking     func() string           // what keeps the gate from being ready; may be nil
	Notes       func() []string         // what to tell beside readiness; may be nil
}

// NewServer makes the server of a gate.
func NewServer(g *Gate, o ServerOptions) *Server {
	s := &Server{gate: g, room: semaphore.NewWeighted(bodiesAtOnce), log: g.log, lacking: o.Lacking, notes: o.Notes}
	errorLog := slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	s.webhooks = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: errorLog,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				if c := o.Certificate(); c != nil {
					return c, nil
				}
				return nil, errors.New("the gate has no certificate yet")
			}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{g.metrics.registry, process()}, promhttp.HandlerOpts{}))
	s.health = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, ErrorLog: errorLog}
	return s
}

// Serve serves until Shutdown.
func (s *Server) Serve(l net.Listener) error { return ended(s.webhooks.ServeTLS(l, "", "")) }

// ServeHealth serves health and metrics until Shutdown.
func (s *Server) ServeHealth(l net.Listener) error { return ended(s.health.Serve(l)) }

func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Drain tells that the gate is not ready any more, so that no new request is sent to it.
// It goes on answering.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown answers what has begun and ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	return errors.Join(s.webhooks.Shutdown(ctx), s.health.Shutdown(ctx))
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	lack := ""
	switch {
	case s.draining.Load():
		lack = "it is ending"
	case s.lacking != nil:
		lack = s.lacking()
	}
	if lack != "" {
		http.Error(w, "not ready: "+lack, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
	if s.notes != nil {
		for _, note := range s.notes() {
			fmt.Fprintln(w, "warning: "+note)
		}
	}
}

// ServeHTTP answers a webhook's request. Whatever is no AdmissionReview gets an error,
// which the API server takes for a failure, and refuses.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, err := s.serve(w, r)
	if err == nil {
		return
	}
	s.gate.metrics.requests.WithLabelValues("none", "unreadable").Inc()
	s.log.Warn("a request could not be read", "code", code, "path", short(r.URL.Path), "from", r.RemoteAddr, "error", err)
	http.Error(w, err.Error(), code)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (code int, err error) {
	webhook, found := webhooks[r.URL.Path]
	switch {
	case !found:
		return http.StatusNotFound, errors.New("the gate has no webhook at this path")
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, errors.New("admission reviews are posted")
	case r.ContentLength > maxBody:
		return http.StatusRequestEntityTooLarge, fmt.Errorf("the admission review has %d bytes, more than %d", r.ContentLength, maxBody)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.patience(r))
	defer cancel()
	body, code, err := s.read(ctx, w, r)
	defer func() { s.room.Release(int64(len(body))) }()
	if err != nil {
		return code, err
	}
	if !s.gate.room.TryAcquire(1) {
		return http.StatusTooManyRequests, errBusy
	}
	defer s.gate.room.Release(1)
	review, err := parseReview(body)
	if err != nil {
		return http.StatusBadRequest, err
	}
	answer := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: s.gate.Review(ctx, webhook, review.Request),
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return http.StatusInternalServerError, fmt.Errorf("the answer cannot be written: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // who does not hear the answer refuses
	return 0, nil
}

// read reads a request's body, and takes room for what has arrived of it: who announces
// bytes and does not send them, which nobody has to log in for, keeps no other out. The
// caller releases as much as is returned, also beside an error.
func (s *Server) read(ctx context.Context, w http.ResponseWriter, r *http.Request) (body []byte, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, bodyLimit)
	defer cancel()
	connection := http.NewResponseController(w)
	end, _ := ctx.Deadline()
	if err := connection.SetReadDeadline(end); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, http.StatusInternalServerError, err
	}
	from := http.MaxBytesReader(w, r.Body, maxBody)
	part := make([]byte, 8<<10)
	for {
		n, err := from.Read(part)
		if n > 0 {
			if s.room.Acquire(ctx, int64(n)) != nil {
				return body, http.StatusTooManyRequests, errBusy
			}
			body = append(body, part[:n]...)
		}
		switch {
		case err == io.EOF:
			// What is read from here on is that the API server hangs up.
			if err := connection.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return body, http.StatusInternalServerError, err
			}
			return body, 0, nil
		case errors.As(err, new(*http.MaxBytesError)):
			return body, http.StatusRequestEntityTooLarge, fmt.Errorf("the admission review has more than %d bytes", maxBody)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return body, http.StatusRequestTimeout, fmt.Errorf("the admission review did not arrive within %s", bodyLimit)
		case err != nil:
			return body, http.StatusBadRequest, fmt.Errorf("the admission review cannot be read: %w", err)
		}
	}
}

var errBusy = errors.New("the gate has too many requests at once")

// patience is how long the API server waits, less what the answer takes to arrive.
func (s *Server) patience(r *http.Request) time.Duration {
	limit := defaultTimeout
	if told, err := time.ParseDuration(r.URL.Query().Get("timeout")); err == nil && told > 0 && told < limit {
		limit = told
	}
	return limit - min(s.gate.o.Margin, limit/4)
}

// parseReview reads an AdmissionReview with a request.
func parseReview(body []byte) (*admissionv1.AdmissionReview, error) {
	var review admissionv1.AdmissionReview
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &review); err != nil {
		return nil, fmt.Errorf("it is no admission review: %w", err)
	}
	if review.Kind != "AdmissionReview" || review.APIVersion != admissionv1.SchemeGroupVersion.String() {
		return nil, fmt.Errorf("it is %q of %q, where an AdmissionReview of %s is wanted", short(review.Kind), short(review.APIVersion), admissionv1.SchemeGroupVersion)
	}
	if review.Request == nil {
		return nil, errors.New("the admission review holds no request")
	}
	return &review, nil
}
