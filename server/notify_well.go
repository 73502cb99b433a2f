package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// reportLate is how old the newest report may be, keptLate what is kept, and muteLate how long alerts
	// may not get through to a receiver, for all to be well.
	reportLate = 30 * time.Minute
	keptLate   = 5 * time.Minute
	muteLate   = 10 * time.Minute
)

// unwell says why nobody should rely on silence now: the cluster is not seen, not judged, what is
// found is not kept, or alerts do not get through to another receiver than the one that is told.
// Nil: all is well.
func (n *Notifier) unwell(ctx context.Context, told string) error {
	sight := n.Loop.Sight()
	now := n.Now()
	switch {
	case !sight.Ready:
		return errors.New("no report was made yet")
	case sight.Lost != nil:
		return errors.New("the cluster is out of sight")
	case late(n.Loop.Summary().At, now, reportLate):
		return errors.New("the newest report is old")
	}
	kept, err := n.Store.Cluster(ctx, n.Loop.Cluster())
	if err != nil {
		return fmt.Errorf("the store does not answer: %w", err)
	}
	if late(kept.Heard, now, keptLate) {
		return errors.New("nothing was kept lately")
	}
	if n.Ledger != nil && n.Ledger().Damaged {
		return errors.New("the ledger is damaged")
	}
	if since, silent := n.mute.since(webhookName, 1); silent && told != webhookName && now.Sub(since) > muteLate {
		return errors.New("the webhook is not told of alerts")
	}
	if since, silent := n.mute.since(managerName, len(n.Alertmanagers)); silent && told == deadManName && now.Sub(since) > muteLate {
		return errors.New("no Alertmanager is told of alerts")
	}
	return nil
}

// muted are the receivers that alerts do not get through to, by name, with since when.
type muted struct {
	mu  sync.Mutex
	all map[string]time.Time
}

// note notes since when a receiver is told nothing; the zero time: it is told.
func (m *muted) note(receiver string, since time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if since.IsZero() {
		delete(m.all, receiver)
		return
	}
	if m.all == nil {
		m.all = map[string]time.Time{}
	}
	m.all[receiver] = since
}

// since gives since when none of n receivers of a kind, which are told the same, is told anything.
func (m *muted) since(kind string, n int) (last time.Time, silent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for receiver, since := range m.all {
		if strings.HasPrefix(receiver, kind) {
			n--
			if since.After(last) {
				last = since
			}
		}
	}
	return last, n <= 0 && !last.IsZero()
}
