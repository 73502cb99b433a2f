package server

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/baileyhq/bailey/store"
)

// PushPath is where a hub takes pushes.
const PushPath = "/api/v1/push"

// pushLimit is how long one push may take: a whole state of a large cluster is compared by the hub.
const pushLimit = 10 * time.Minute

var (
	// errNotTaken tells that a hub has taken nothing. The same may be sent again.
	errNotTaken = errors.New("nothing was pushed")
	// errRefused tells that a hub has taken nothing of a push, and would not if it were sent again.
	errRefused = errors.New("the hub does not take it")
)

// Pusher keeps what a Recorder gives it at a hub. It belongs to one goroutine.
type Pusher struct {
	// Before fails where this process may push no more: another watches the cluster by now.
	Before func(ctx context.Context) error

	url    string
	token  func() (string, error)
	client *http.Client

	name    string
	session string
	number  int
	alerts  pushedAlerts
}

// NewPusher makes a pusher to a hub's address, with a token that is read anew for each push. The
// pool holds whom the hub's certificate may be of; nil: those of the system.
func NewPusher(hub string, token func() (string, error), pool *x509.CertPool) (*Pusher, error) {
	u, err := url.Parse(hub)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no address of a hub\nhint: https://bailey.example.com", hub)
	}
	ip, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, fmt.Errorf("%s: without TLS whoever is on the way reads along\nhint: https://", hub)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool}
	return &Pusher{url: strings.TrimSuffix(u.String(), "/") + PushPath, token: token, client: &http.Client{Transport: transport, Timeout: pushLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// PutCluster is of Keeper: the name goes with the next whole state.
func (p *Pusher) PutCluster(_ context.Context, _, name string, _ time.Time) error {
	p.name = name
	return nil
}

// Replace is of Keeper. It begins a session.
func (p *Pusher) Replace(ctx context.Context, cluster string, _ time.Time, d store.Delta) error {
	p.session, p.number = newSecret()[:22], 0
	return p.push(ctx, pushHeader{Kind: pushWhole, Cluster: cluster, Name: p.name}, found(&d))
}

// Apply is of Keeper.
func (p *Pusher) Apply(ctx context.Context, cluster string, _ time.Time, d store.Delta) error {
	return p.next(ctx, pushHeader{Kind: pushDelta, Cluster: cluster}, found(&d))
}

// Heard is of Keeper.
func (p *Pusher) Heard(ctx context.Context, cluster string, _ time.Time) error {
	return p.next(ctx, pushHeader{Kind: pushHeard, Cluster: cluster}, found(&store.Delta{}))
}

// pushWriter writes a push with its header.
type pushWriter func(w io.Writer, h pushHeader) error

func found(d *store.Delta) pushWriter {
	return func(w io.Writer, h pushHeader) error { return writePush(w, h, d) }
}

// next goes on in the session.
func (p *Pusher) next(ctx context.Context, h pushHeader, write pushWriter) error {
	p.number++
	err := p.push(ctx, h, write)
	if errors.Is(err, errNotTaken) || errors.Is(err, errRefused) {
		p.number--
	}
	return err
}

func (p *Pusher) push(ctx context.Context, h pushHeader, write pushWriter) error {
	if p.Before != nil {
		if err := p.Before(ctx); err != nil {
			return err
		}
	}
	token, err := p.token()
	if err != nil {
		return err
	}
	h.Session, h.Number = p.session, p.number
	body, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		z := gzip.NewWriter(w)
		w.CloseWithError(errors.Join(write(z, h), z.Close()))
	}()
	defer func() { body.Close(); <-written }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Content-Encoding", "gzip")
	answer, err := p.client.Do(r)
	if err != nil {
		return fmt.Errorf("the hub could not be reached: %w", withoutToken(err, token))
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	switch answer.StatusCode {
	case http.StatusTooManyRequests:
		return fmt.Errorf("%w: the hub is busy: %s", errNotTaken, strings.TrimSpace(string(said)))
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: %s", errRefused, strings.TrimSpace(string(said)))
	}
	return fmt.Errorf("the hub answers %s: %s", answer.Status, strings.TrimSpace(string(said)))
}
