package server

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Endpoint is an address outside that something is sent to. Its URL may be a secret of itself:
// it is in no log, and in no error.
type Endpoint struct {
	URL string
	// Key signs what is sent, if there is one.
	Key []byte
}

const (
	// sendLimit bounds one call, and answerMost what is read of its answer, in bytes.
	sendLimit  = 10 * time.Second
	answerMost = 64 << 10
	// retryAfterMost bounds what a receiver may ask to wait.
	retryAfterMost = time.Hour
	redirectsMost  = 3
)

// ParseEndpoint reads an endpoint: a URL in the first line, and, if what is sent is to be signed,
// a key of at least 16 bytes in the second. Errors do not show what was read.
func ParseEndpoint(data []byte) (Endpoint, error) {
	var e Endpoint
	var lines []string
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	switch len(lines) {
	case 0:
		return e, errors.New("it holds no URL\nhint: the URL in the first line, and a key to sign with in the second, if any")
	case 1:
	case 2:
		if e.Key = []byte(lines[1]); len(e.Key) < 16 {
			return e, errors.New("the key in its second line is shorter than 16 characters")
		}
	default:
		return e, errors.New("it holds more than two lines\nhint: the URL in the first line, and a key to sign with in the second, if any")
	}
	if err := checkAddress(lines[0]); err != nil {
		return e, fmt.Errorf("its first line %w", err)
	}
	e.URL = lines[0]
	return e, nil
}

// CheckAlertmanager says what is wrong with an Alertmanager's URL. One on the command line holds
// no secret.
func CheckAlertmanager(address string) error {
	if err := checkAddress(address); err != nil {
		return fmt.Errorf("the URL of an Alertmanager %w", err)
	}
	if u, err := url.Parse(address); err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the URL of an Alertmanager holds no user, password or query: others see a process's arguments")
	}
	return nil
}

func checkAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return errors.New("is no URL\nhint: like https://hooks.example.com/bailey")
	}
	return nil
}

// refusal is an answer that is none of success.
type refusal struct {
	status int
	// after is how long the receiver asks to wait.
	after time.Duration
}

func (r *refusal) Error() string {
	switch r.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return fmt.Sprintf("it redirects elsewhere (%d), which is not followed", r.status)
	}
	return fmt.Sprintf("it answered %d", r.status)
}

// sending gives what sends. Redirects are followed within one origin and with the method kept only:
// what is sent, its signature and credentials stay where they belong.
func sending(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, Timeout: sendLimit, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		first := via[0]
		if len(via) > redirectsMost || next.Method != first.Method || next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// sender sends where nothing is said of how.
var sender = sending(nil)

// post sends a body, signed if there is a key.
func (n *Notifier) post(ctx context.Context, by *http.Client, to Endpoint, id string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return nameless(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if id != "" {
		r.Header.Set("Idempotency-Key", id)
	}
	if len(to.Key) > 0 {
		r.Header.Set("Bailey-Signature", "sha256="+Sign(to.Key, body))
	}
	return n.send(by, r)
}

func (n *Notifier) get(ctx context.Context, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nameless(err)
	}
	return n.send(sender, r)
}

// Sign gives the HMAC-SHA256 of a body in hexadecimal digits.
func Sign(key, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func (n *Notifier) send(by *http.Client, r *http.Request) error {
	// Whoever writes the history by now tells what waits: it would be told twice.
	if err := n.Store.InTerm(r.Context()); err != nil {
		return err
	}
	r.Header.Set("User-Agent", n.UserAgent)
	answer, err := cmp.Or(by, sender).Do(r)
	if err != nil {
		return nameless(err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, answerMost) // so that the connection can be used again
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return &refusal{answer.StatusCode, retryAfter(answer.Header.Get("Retry-After"), n.Now())}
}

// nameless takes the URL out of an error.
func nameless(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if strings.Contains(err.Error(), "Location header") { // it would be shown
		return errors.New("it redirects to what is no URL")
	}
	return errors.New(clip(err.Error(), 300))
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), retryAfterMost)
}
