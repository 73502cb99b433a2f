package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// client sends GET requests to one API server, and nothing else. It keeps to a
// rate, waits when it is told to, and tries again what may pass.
type client struct {
	http    *http.Client
	base    *url.URL
	limiter *rate.Limiter
	// timeout bounds one request with its answer.
	timeout time.Duration
	// date is the server's clock (unix seconds), from the first answer.
	date atomic.Int64
	// answered tells that the server has ever answered, and silent counts the
	// requests without an answer since it last did.
	answered atomic.Bool
	silent   atomic.Int32
}

// What bounds the patience of a client.
const (
	tries = 4
	// A server that throttles us says how long to wait; longer than this counts
	// as an outage.
	maxWait = 30 * time.Second
	// After so many requests in a row without an answer the server has gone, and
	// the rest is given up at once.
	maxSilent = 6
	// maxBody is the size of one answer in bytes. A page of 500 objects of the
	// API server's own limit of 1.5 MiB is larger, and never seen; a list whose
	// pages expire is read at once, and must fit.
	maxBody = 256 << 20
)

func newClient(config *rest.Config, o Options) (*client, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &client{http: withoutRedirects(h), base: base, limiter: rate.NewLimiter(rate.Limit(o.QPS), o.Burst), timeout: o.Timeout}, nil
}

// withoutRedirects gives a client that follows none: a redirect would carry the
// credentials to where the server points. The one given may be shared.
func withoutRedirects(h *http.Client) *http.Client {
	own := *h
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// statusError is an answer of the API server that is not a success.
type statusError struct {
	code    int
	reason  metav1.StatusReason
	message string
	wait    time.Duration // what Retry-After said
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), short(e.message))
}

// hasCode reports whether the error is an answer with this HTTP status.
func hasCode(err error, code int) bool {
	var s *statusError
	return errors.As(err, &s) && s.code == code
}

var errGone = errors.New("the API server stopped answering")

// get requests a path, which may have a query, and gives the body.
func (c *client) get(ctx context.Context, path, accept string) ([]byte, error) {
	for try := 1; ; try++ {
		if c.silent.Load() >= maxSilent {
			return nil, errGone
		}
		if err := c.limiter.Wait(ctx); err != nil {
			return nil, err
		}
		body, err := c.once(ctx, path, accept)
		if err == nil || ctx.Err() != nil {
			return body, err
		}
		wait, again := retry(err, try)
		if !again || !c.answered.Load() { // a wrong address does not get better
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// retry says whether an error may pass, and how long to wait before the next try.
func retry(err error, try int) (time.Duration, bool) {
	if try >= tries {
		return 0, false
	}
	wait := 200*time.Millisecond<<(2*(try-1)) + rand.N(100*time.Millisecond) // 0.2, 0.8, 3.2 s
	var s *statusError
	if !errors.As(err, &s) {
		return wait, passes(err)
	}
	switch s.code {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if s.wait > 0 {
			wait = s.wait
		}
		return wait, wait <= maxWait
	}
	return 0, false
}

func (c *client) once(parent context.Context, path, accept string) (body []byte, err error) {
	ctx, cancel := context.WithTimeout(parent, c.timeout)
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil && parent.Err() == nil {
			err = fmt.Errorf("no answer within %s: %w", c.timeout, err)
		}
	}()
	target := strings.TrimSuffix(c.base.String(), "/") + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := c.http.Do(request)
	if err != nil {
		c.silent.Add(1)
		return nil, err
	}
	defer response.Body.Close()
	body, err = readAll(response, maxBody)
	if err != nil {
		c.silent.Add(1)
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	c.silent.Store(0)
	c.answered.Store(true)
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		c.date.CompareAndSwap(0, at.Unix())
	}
	if response.StatusCode != http.StatusOK {
		return nil, statusOf(response, body)
	}
	return body, nil
}

var errTooLarge = errors.New("it is larger than the limit")

func readAll(response *http.Response, limit int64) ([]byte, error) {
	// A length that is announced saves growing; one that is a lie costs little.
	buf := make([]byte, 0, min(max(response.ContentLength, 4<<10), 4<<20)+1)
	r := io.LimitReader(response.Body, limit+1)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return nil, fmt.Errorf("%w of %d bytes", errTooLarge, limit)
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// statusOf reads the metav1.Status that the API server sends, or else takes the
// text that something between sent.
func statusOf(response *http.Response, body []byte) error {
	e := &statusError{code: response.StatusCode, message: string(body[:min(len(body), 4<<10)])}
	var status metav1.Status
	if raw, err := protobufObject(body); err == nil {
		err = status.Unmarshal(raw)
		if err == nil {
			e.reason, e.message = status.Reason, status.Message
		}
	} else if json.Unmarshal(body, &status) == nil && status.Message != "" {
		e.reason, e.message = status.Reason, status.Message
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.wait = time.Duration(min(seconds, 1<<20)) * time.Second
	}
	return e
}
