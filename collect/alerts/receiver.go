package alerts

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxBody is the longest alert that a Receiver takes, in bytes.
	maxBody = 1 << 20
	// maxKept are the alerts that it keeps, the latest ones.
	maxKept = 64
	// maxAtOnce are the senders that it serves at a time.
	maxAtOnce = 16
)

// Receiver is a webhook that detectors send their alerts to, in whatever form.
// Whoever can reach it can claim a detection: give it a token, or loopback.
type Receiver struct {
	listener net.Listener
	server   *http.Server
	token    []byte
	slots    chan struct{}

	mu   sync.Mutex
	kept []received
	// news is closed, and made anew, when something arrives.
	news chan struct{}
}

type received struct {
	at   time.Time
	body string
}

// Listen starts a receiver at a TCP address: a free port of loopback if empty.
// With a token, senders must give it as "Authorization: Bearer <token>".
func Listen(address, token string) (*Receiver, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the receiver of alerts: %w\nhint: choose an address of this machine, like 127.0.0.1:9095", err)
	}
	r := &Receiver{listener: listener, token: []byte(token), slots: make(chan struct{}, maxAtOnce), news: make(chan struct{})}
	r.server = &http.Server{
		Handler: http.HandlerFunc(r.take), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	go func() { _ = r.server.Serve(listener) }() // it ends with Close
	return r, nil
}

// URL is where senders reach the receiver.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() + "/" }

// Close stops it.
func (r *Receiver) Close() error { return r.server.Close() }

func (r *Receiver) take(w http.ResponseWriter, req *http.Request) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		http.Error(w, "too many at once; try again", http.StatusServiceUnavailable)
		return
	}
	if len(r.token) > 0 && subtle.ConstantTimeCompare([]byte(req.Header.Get("Authorization")), append([]byte("Bearer "), r.token...)) != 1 {
		http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
		return
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "alerts are sent by POST", http.StatusMethodNotAllowed)
		return
	}
	if encoding := req.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		http.Error(w, "send it uncompressed", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, fmt.Sprintf("longer than %d bytes", maxBody), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == maxKept {
		r.kept = append(r.kept[:0], r.kept[1:]...)
	}
	r.kept = append(r.kept, received{time.Now(), string(body)})
	close(r.news)
	r.news = make(chan struct{})
}

// Await waits for an alert that holds the correlation ID anywhere. One that
// arrived before the call, but not before since, counts.
func (r *Receiver) Await(ctx context.Context, correlation string, since time.Time) (time.Time, bool, error) {
	if err := checkCorrelation(correlation); err != nil {
		return time.Time{}, false, err
	}
	for {
		at, found, news := r.look(correlation, since)
		if found {
			return at, true, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, false, nil
		case <-news:
		}
	}
}

func (r *Receiver) look(correlation string, since time.Time) (time.Time, bool, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.kept {
		if !x.at.Before(since) && names(x.body, correlation) {
			return x.at, true, nil
		}
	}
	return time.Time{}, false, r.news
}
