package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/baileyhq/bailey/internal/keypair"
)

// Bounds on requests. What is in flight is held in memory two to three times over:
// as it came, sealed, and in the ledger's own batch.
const (
	DefaultMaxBody  = 32 << 20
	DefaultInFlight = 48 << 20

	// waitForRoom is how long a request is held back while others fill the memory. The
	// API server's client gives up after 30 s.
	waitForRoom = 15 * time.Second
	// retryAfter, in seconds, is asked of an API server that has to come again. Its client
	// obeys ten times within each of the webhook's five tries; without the header the
	// five tries, 81 to 97 s in all, would be the end.
	retryAfter = 5

	maxToken = 4 << 10
)

// DefaultAPIServer is the name of an API server whose webhook names no path.
const DefaultAPIServer = "default"

// apiServerName is what may stand as the path: a DNS name.
var apiServerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// ValidAPIServer reports whether the name may stand for an API server.
func ValidAPIServer(name string) bool { return len(name) <= 253 && apiServerName.MatchString(name) }

// ServerOptions say how API servers reach the sink and how they show who they are.
type ServerOptions struct {
	Sink *Sink
	Log  *slog.Logger

	Certificate string // file with the server's certificate chain, read again while it is served
	Key         string // and its key
	ClientCA    string // file with the CAs of client certificates
	TokenFile   string // file with the bearer token that clients send
	// PlainHTTP serves without TLS, on a loopback address only.
	PlainHTTP bool

	MaxBody  int64 // bytes of one request; DefaultMaxBody if zero
	InFlight int64 // bytes of all requests; DefaultInFlight if zero
}

// Server takes the requests of the audit webhook backend: EventLists, posted to /, or
// to /NAME by the API server of that name.
type Server struct {
	sink  *Sink
	log   *slog.Logger
	token []byte // SHA-256; nil when none is asked for
	max   int64
	all   int64
	room  *semaphore.Weighted
	http  *http.Server
	plain bool
}

// NewServer reads the keys. It refuses to serve whom it could not tell apart.
func NewServer(o ServerOptions) (*Server, error) {
	s := &Server{sink: o.Sink, log: o.Log, max: o.MaxBody, all: o.InFlight, plain: o.PlainHTTP}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.max <= 0 {
		s.max = DefaultMaxBody
	}
	if s.all <= 0 {
		s.all = DefaultInFlight
	}
	s.max = min(s.max, s.all)
	s.room = semaphore.NewWeighted(s.all)
	if o.TokenFile != "" {
		token, err := readToken(o.TokenFile)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(token)
		s.token = sum[:]
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if o.PlainHTTP {
		if o.Certificate != "" || o.Key != "" || o.ClientCA != "" {
			return nil, errors.New("plain HTTP uses no certificate\nhint: leave out --plain-http, or the --tls-... flags")
		}
		return s, nil
	}
	if o.ClientCA == "" && o.TokenFile == "" {
		return nil, errors.New("anybody could send audit events: neither client certificates nor a token are asked for\nhint: --client-ca FILE (the CA of the API server's client certificate) or --token-file FILE")
	}
	config, err := serverTLS(o, s.log)
	if err != nil {
		return nil, err
	}
	s.http.TLSConfig = config
	return s, nil
}

func serverTLS(o ServerOptions, log *slog.Logger) (*tls.Config, error) {
	pair := keypair.New(o.Certificate, o.Key, log)
	if err := pair.Renew(); err != nil {
		return nil, fmt.Errorf("the sink's certificate: %w\nhint: --tls-cert and --tls-key name PEM files", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.Get, NextProtos: []string{"h2", "http/1.1"}}
	if o.ClientCA != "" {
		pem, err := os.ReadFile(o.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("the CA of client certificates: %w\nhint: --client-ca names a PEM file", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate\nhint: --client-ca names a PEM file", o.ClientCA)
		}
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return config, nil
}

func readToken(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the token: %w\nhint: --token-file names a file that holds it", err)
	}
	defer f.Close()
	token, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return nil, fmt.Errorf("the token: %w", err)
	}
	token = bytes.TrimSpace(token)
	if len(token) < 16 || len(token) > maxToken {
		return nil, fmt.Errorf("the token in %s has %d characters, where 16 to %d are wanted\nhint: openssl rand -hex 32 makes one", path, len(token), maxToken)
	}
	return token, nil
}

// Serve serves until Shutdown. Plain HTTP is served on loopback only.
func (s *Server) Serve(l net.Listener) error {
	var err error
	if s.plain {
		if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
			return fmt.Errorf("plain HTTP is served on a loopback address only, not on %s\nhint: --listen 127.0.0.1:PORT, or TLS", l.Addr())
		}
		err = s.http.Serve(l)
	} else {
		err = s.http.ServeTLS(l, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown lets requests end that have begun, and takes no more.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, err := s.serve(r)
	if err == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	if code >= 500 || code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if code >= 500 {
		s.log.Error("a batch was not taken", "code", code, "error", err)
	} else {
		s.log.Warn("a request was refused", "code", code, "from", r.RemoteAddr, "error", err)
	}
	http.Error(w, err.Error(), code)
}

func (s *Server) serve(r *http.Request) (code int, err error) {
	if s.token != nil {
		sum := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		if subtle.ConstantTimeCompare(sum[:], s.token) != 1 {
			return http.StatusUnauthorized, errors.New("the bearer token is missing or wrong")
		}
	}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, errors.New("audit events are posted")
	}
	name := strings.Trim(r.URL.Path, "/")
	if name == "" {
		name = DefaultAPIServer
	}
	if !ValidAPIServer(name) {
		return http.StatusNotFound, errors.New("the path is / or /NAME, a name for the API server in lower case")
	}
	size := r.ContentLength
	if size < 0 {
		size = s.max // not told, so the most that is read
	}
	if size > s.max {
		return http.StatusRequestEntityTooLarge, s.tooLarge()
	}
	wait, cancel := context.WithTimeout(r.Context(), waitForRoom)
	defer cancel()
	if err := s.room.Acquire(wait, size); err != nil {
		return http.StatusTooManyRequests, fmt.Errorf("more than %d bytes are under way", s.all)
	}
	defer s.room.Release(size)
	body := make([]byte, 0, size+1)
	buffer := bytes.NewBuffer(body)
	if _, err := io.Copy(buffer, io.LimitReader(r.Body, s.max+1)); err != nil {
		return http.StatusBadRequest, fmt.Errorf("the request could not be read: %w", err)
	}
	if int64(buffer.Len()) > s.max {
		return http.StatusRequestEntityTooLarge, s.tooLarge()
	}
	events, err := ParseEventList(buffer.Bytes())
	if err != nil {
		return http.StatusBadRequest, err
	}
	if err := s.sink.take(r.Context(), Source{APIServer: name}, events); err != nil {
		return http.StatusServiceUnavailable, err
	}
	return http.StatusOK, nil
}

func (s *Server) tooLarge() error {
	return fmt.Errorf("the batch has more than %d bytes; let the API server split it by --audit-webhook-truncate-enabled", s.max)
}
