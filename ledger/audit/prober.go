package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultEvery is how often the counters are read and a canary is sent.
	DefaultEvery = 30 * time.Second

	probeLimit = 30 * time.Second

	// auditIDHeader lets a client choose the audit ID of its request, so that the event
	// can be awaited before there is an answer.
	auditIDHeader = "Audit-ID"

	// canaryPath is a small read that every audit policy in use records. What the
	// answer is does not matter: a refusal is an event too.
	canaryPath = "/api/v1/namespaces/kube-public"
)

// Prober reads one API server's counters and sends it canaries. It needs the right to
// get /metrics, and an audit policy that records that request.
type Prober struct {
	APIServer string       // the name under which its events come
	URL       string       // https://HOST:PORT of this one API server, no load balancer
	Client    *http.Client // with its credentials
	UserAgent string
}

// Probe says which API servers will be probed. It comes before the first event is
// taken: of the others no times are kept.
func (s *Sink) Probe(probers []Prober) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probed = map[string]bool{}
	for _, p := range probers {
		s.probed[p.APIServer] = true
		findAccount(&s.accounts, p.APIServer)
	}
	for _, a := range s.accounts {
		if !s.probed[a.Name] {
			a.Base += uint64(len(a.Recent))
			a.Recent = nil
		}
	}
}

// Prove probes each API server until ctx ends, at intervals of every, and appends
// what can be proven. It also says what cannot, of API servers without a prober.
func (s *Sink) Prove(ctx context.Context, every time.Duration, probers []Prober) {
	if every <= 0 {
		every = DefaultEvery
	}
	var group sync.WaitGroup
	loop := func(step func()) {
		group.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				step()
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	for _, p := range probers {
		loop(func() { s.probe(ctx, p) })
	}
	loop(func() {
		s.mu.Lock()
		names := s.names()
		s.mu.Unlock()
		for _, name := range names {
			s.mu.Lock()
			probed := s.probed[name]
			s.mu.Unlock()
			if !probed {
				s.report(s.judge(ctx, name))
			}
		}
	})
	group.Wait()
}

func (s *Sink) report(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Error("completeness", "error", err)
	}
}

// probe reads the counters once, sends a canary, and judges.
func (s *Sink) probe(ctx context.Context, p Prober) {
	id := "bailey-" + rand.Text()
	s.with(p.APIServer, func(a *account) { a.ask(id, s.now()) })
	counters, err := p.counters(ctx, id)
	s.with(p.APIServer, func(a *account) { a.answer(id, counters, err) })
	if err == nil {
		canaryID := "bailey-" + rand.Text()
		s.with(p.APIServer, func(a *account) { a.Canaries = append(a.Canaries, canary{AuditID: canaryID, Sent: s.now()}) })
		if err := p.canary(ctx, canaryID); err != nil {
			// It may not have been made, so nothing is expected of it.
			s.with(p.APIServer, func(a *account) { a.forget(canaryID) })
		}
	}
	s.report(s.judge(ctx, p.APIServer))
}

func (s *Sink) with(apiServer string, do func(*account)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := findAccount(&s.accounts, apiServer); a != nil {
		do(a)
	}
}

// get makes a request under this audit ID, in a connection of its own: Go's client
// makes a request twice when a connection that it had kept turns out to be dead.
func (p Prober) get(ctx context.Context, path, auditID string, use func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.URL, "/")+path, nil)
	if err != nil {
		return err
	}
	req.Close = true
	req.Header.Set(auditIDHeader, auditID)
	req.Header.Set("User-Agent", p.UserAgent+" (audit canary)")
	req.Header.Set("Accept", "text/plain, application/json, */*")
	resp, err := p.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get(auditIDHeader); got != auditID {
		return fmt.Errorf("%s was answered under another audit ID: %.64q", path, got)
	}
	if use == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return use(resp.Body)
}

// counters reads the API server's counters.
func (p Prober) counters(ctx context.Context, auditID string) (c Counters, err error) {
	err = p.get(ctx, "/metrics", auditID, func(r io.Reader) error {
		c, err = ReadCounters(r)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("the counters of the API server cannot be read: %w", err)
	}
	return c, nil
}

// canary makes a request whose event has to come.
func (p Prober) canary(ctx context.Context, auditID string) error {
	return p.get(ctx, canaryPath, auditID, nil)
}
