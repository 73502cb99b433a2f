package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/baileyhq/bailey/store"
)

// Notifier delivers alerts to receivers outside, and tells them while all is well, so that
// silence is noticed there.
type Notifier struct {
	Store *store.Store
	Loop  *Loop
	News  *News
	Log   *slog.Logger
	Now   func() time.Time
	// Metrics counts deliveries; nil: nobody does.
	Metrics *Metrics

	// Webhook gives the webhook at each delivery; nil: there is none.
	Webhook func() (Endpoint, error)
	// WebhookClient sends to it, and AlertmanagerClient to Alertmanagers; nil: with no credentials, and
	// trusting whom the system trusts.
	WebhookClient, AlertmanagerClient *http.Client
	// Alertmanagers are the URLs of Alertmanagers that are told the same.
	Alertmanagers []string
	// DeadMan gives what is called every Alive while all is well; nil: there is none.
	DeadMan func() (Endpoint, error)
	// Alive is how often Alertmanagers and DeadMan are told that all is well, and Alertmanagers
	// what lasts; AliveEvery if zero.
	Alive time.Duration
	// UserAgent names the sender.
	UserAgent string
	// Ledger says how the ledger is; nil: none is kept.
	Ledger func() LedgerState
	// External is where browsers reach the server's pages, which alerts then name; nil: they name none.
	External *url.URL

	mute muted
}

// AliveEvery is how often receivers are told that all is well.
const AliveEvery = time.Minute

const (
	// gather is how long others may follow an alert, to be delivered with it.
	gather = 2 * time.Second
	// lookEvery is how often the store is asked what waits, whatever was told: a leader before
	// may have left something.
	lookEvery = 30 * time.Second
	// retryFirst and retryMost bound the wait between two tries.
	retryFirst = time.Second
	retryMost  = 5 * time.Minute
)

// The receivers, as metrics and the log name them; of a second Alertmanager with a number.
const (
	webhookName = "webhook"
	managerName = "alertmanager"
	deadManName = "dead-man"
)

// courier brings to one receiver what there is for it.
type courier struct {
	name  string // in metrics and in the log
	every time.Duration
	// alerts tells that it goes as soon as an alert changed.
	alerts bool
	// repeats tells that what it says runs out: no pause is longer than until the next time.
	repeats bool
	bring   func(ctx context.Context) error
}

// Run delivers until ctx ends, or until somebody else writes the history.
func (n *Notifier) Run(ctx context.Context) error {
	alive := n.Alive
	if alive <= 0 {
		alive = AliveEvery
	}
	var couriers []courier
	if n.Webhook != nil {
		couriers = append(couriers, courier{webhookName, lookEvery, true, false, newWebhook(n).bring})
	}
	for i, address := range n.Alertmanagers {
		m := &alertmanager{notifier: n, address: address, lasts: alive * aliveLasts, told: map[string]postedAlert{}}
		couriers = append(couriers, courier{managerName + ordinal(i), alive, true, true, m.bring})
	}
	if n.DeadMan != nil {
		couriers = append(couriers, courier{deadManName, alive, false, true, (&deadMan{notifier: n}).bring})
	}
	if len(couriers) == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	defer n.Metrics.waiting(0) // whoever delivers next says what waits
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range couriers {
		group.Go(func() error { return n.carry(ctx, c) })
	}
	return group.Wait()
}

// ordinal tells the second from the first.
func ordinal(i int) string {
	if i == 0 {
		return ""
	}
	return "-" + strconv.Itoa(i+1)
}

// carry has a courier go whenever there may be something.
func (n *Notifier) carry(ctx context.Context, c courier) error {
	fresh := wait.Backoff{Duration: retryFirst, Factor: 2, Jitter: 0.5, Steps: 100, Cap: min(retryMost, max(c.every, lookEvery))}
	back := fresh
	var failing time.Time // since when
	after := n.News.Last()
	defer n.Metrics.delivers(c.name) // or it would be said to fail for ever
	defer n.mute.note(c.name, time.Time{})
	for {
		err := c.bring(ctx)
		var rest time.Duration
		var refused *refusal
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrFenced):
			return err
		case err == nil:
			if !failing.IsZero() {
				n.Log.Info("alerts are delivered again", "receiver", c.name)
			}
			failing, back = time.Time{}, fresh
		default:
			if failing.IsZero() {
				failing = n.Now()
				n.Log.Error("alerts could not be delivered, and will be tried again", "receiver", c.name, "error", err)
			}
			rest = back.Step()
			if errors.As(err, &refused) {
				rest = max(rest, refused.after)
			}
			if c.repeats {
				rest = min(rest, c.every)
			}
		}
		n.mute.note(c.name, failing)
		n.Metrics.delivered(c.name, err != nil, failing)
		if err != nil {
			if !pause(ctx, rest) {
				return ctx.Err()
			}
			continue
		}
		if !n.await(ctx, c, &after) {
			return ctx.Err()
		}
	}
}

// await waits until there may be something for a courier; false: ctx has ended.
func (n *Notifier) await(ctx context.Context, c courier, after *uint64) bool {
	end := time.NewTimer(c.every)
	defer end.Stop()
	for {
		items, missed, more := n.News.After(*after)
		changed := missed
		for _, item := range items {
			*after = item.Number
			changed = changed || item.Kind == NewsAlert
		}
		if changed && c.alerts {
			return pause(ctx, gather)
		}
		select {
		case <-more:
		case <-end.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// deadMan calls a URL while all is well.
type deadMan struct {
	notifier *Notifier
	quiet    bool // all is not well
}

func (d *deadMan) bring(ctx context.Context) error {
	n := d.notifier
	was := d.quiet
	why := n.unwell(ctx, deadManName)
	if d.quiet = why != nil; d.quiet {
		if !was {
			n.Log.Warn("the dead man's switch is not held now", "why", why)
		}
		return nil
	}
	to, err := n.DeadMan()
	if err != nil {
		return err
	}
	return n.get(ctx, to.URL)
}
