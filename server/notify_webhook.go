package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// WebhookVersion is the version of what a webhook is sent. Within one version fields are added,
// and none is changed or taken away.
const WebhookVersion = 1

// WebhookBody is what a webhook is sent: the alerts that came, changed or ended.
type WebhookBody struct {
	SchemaVersion int `json:"schemaVersion"`
	// ID is the same whenever the same changes are sent again; it is also the header Idempotency-Key.
	ID      string         `json:"id"`
	Sent    time.Time      `json:"sent"`
	Cluster WebhookCluster `json:"cluster"`
	// Groups hold alerts of one cause each, the worst first.
	Groups []WebhookGroup `json:"groups"`
}

// WebhookCluster is where it happened.
type WebhookCluster struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
}

// WebhookGroup is what has one cause.
type WebhookGroup struct {
	// Cause is a control's ID, or the alerts' kind where they are about none.
	Cause  string         `json:"cause"`
	Alerts []WebhookAlert `json:"alerts"`
}

// WebhookAlert is one alert as it stands.
type WebhookAlert struct {
	// ID is the same whenever this change of the alert is sent again.
	ID string `json:"id"`
	// Key is the alert's, whatever becomes of it.
	Key       string          `json:"key"`
	State     string          `json:"state"` // firing or resolved
	Kind      string          `json:"kind"`  // detection, finding, ledger, rung or staleness
	Severity  bailey.Severity `json:"severity"`
	Title     string          `json:"title"`
	Text      string          `json:"text,omitempty"`
	Control   string          `json:"control,omitempty"`
	Rule      string          `json:"rule,omitempty"`
	Namespace string          `json:"namespace,omitempty"`
	Object    *Object         `json:"object,omitempty"`
	// Page is the address of the page about it, where the server was told its own.
	Page     string     `json:"page,omitempty"`
	Since    time.Time  `json:"since"` // when it came, or came back
	Last     time.Time  `json:"last"`
	Times    int        `json:"times"`
	Resolved *time.Time `json:"resolved,omitempty"`
}

const (
	// webhookMost is how many alerts one call tells.
	webhookMost = 100
	// oldNews is how long ago an alert may have ended of which nobody was ever told: a webhook
	// that is new is not told the past.
	oldNews = 24 * time.Hour
)

// webhook tells the webhook what waits.
type webhook struct {
	notifier *Notifier
	// told are the changes that it took and that are not noted yet: a store that can be read and
	// not written must not have them sent again and again.
	told map[string]int64
	// refused are the changes that wait and that it does not take as they are, while it takes others. They
	// wait on: the next process tries them once more.
	refused map[string]refusedChange
	// takes tells that it has ever taken something.
	takes bool
}

// refusedChange is a change that a webhook does not take. It is alone while the webhook has taken nothing since.
type refusedChange struct {
	changed int64
	alone   bool
}

func newWebhook(n *Notifier) *webhook {
	return &webhook{notifier: n, told: map[string]int64{}, refused: map[string]refusedChange{}}
}

// A receiver that refuses more alerts than refusedAlone before it takes one, or more than refusedAlerts
// in all, is one that fails, and so is one that refuses the first that it was ever sent.
const (
	refusedAlone  = 10
	refusedAlerts = 100
)

// bring sends what waits, batch after batch.
func (h *webhook) bring(ctx context.Context) error {
	n := h.notifier
	uid := n.Loop.Cluster()
	for uid != "" {
		waiting, err := n.Store.Waiting(ctx, uid, webhookMost+len(h.refused))
		if errors.Is(err, store.ErrNotFound) {
			return nil // nothing was kept yet
		}
		if err != nil {
			return err
		}
		n.Metrics.waiting(len(waiting))
		h.forget(waiting)
		waiting = slices.DeleteFunc(waiting, h.refuses)
		if len(waiting) == 0 {
			return nil
		}
		now := n.Now()
		tell := slices.DeleteFunc(slices.Clone(waiting), func(a store.Alert) bool {
			return h.told[a.Key] == a.Changed || !a.Resolved.IsZero() && a.Delivered.IsZero() && now.Sub(a.Resolved) > oldNews
		})
		if err := h.send(ctx, uid, now, tell); err != nil {
			return err
		}
		done := slices.DeleteFunc(slices.Clone(waiting), h.refuses)
		if err := n.noteDelivered(ctx, uid, done); err != nil {
			return fmt.Errorf("what was delivered could not be noted: %w", err)
		}
		clear(h.told)
		if len(waiting) < webhookMost {
			n.Metrics.waiting(len(waiting) - len(done))
			return nil
		}
	}
	return nil
}

// refuses reports whether the webhook does not take an alert as it is.
func (h *webhook) refuses(a store.Alert) bool { return h.refused[a.Key].changed == a.Changed }

// forget drops what was refused and waits no more as it was.
func (h *webhook) forget(waiting []store.Alert) {
	wait := make(map[string]int64, len(waiting))
	for _, a := range waiting {
		wait[a.Key] = a.Changed
	}
	maps.DeleteFunc(h.refused, func(key string, was refusedChange) bool { return wait[key] != was.changed })
}

// alone counts what was refused since the webhook took something.
func (h *webhook) alone() (n int) {
	for _, was := range h.refused {
		if was.alone {
			n++
		}
	}
	return n
}

// took notes that the webhook takes alerts: what it refused is the alerts' fault.
func (h *webhook) took() {
	h.takes = true
	for key, was := range h.refused {
		h.refused[key] = refusedChange{was.changed, false}
	}
}

// everTook reports whether the webhook has ever taken something, also from a process before.
func (h *webhook) everTook(ctx context.Context, uid string) (bool, error) {
	if h.takes {
		return true, nil
	}
	page, err := h.notifier.Store.Alerts(ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), State: store.All, Limit: webhookMost})
	h.takes = slices.ContainsFunc(page.Items, func(a store.Alert) bool {
		// The past that a new webhook is not told is noted as delivered too.
		return !a.Delivered.IsZero() && (a.Resolved.IsZero() || a.Delivered.Sub(a.Resolved) <= oldNews)
	})
	return h.takes, err
}

// send tells some alerts. A batch that the receiver does not take as it is goes by halves, so that one
// alert does not keep back the others. Where it has never taken any, or refuses many, the receiver is what fails.
func (h *webhook) send(ctx context.Context, uid string, now time.Time, alerts []store.Alert) error {
	if len(alerts) == 0 {
		return nil
	}
	var refused []*store.Alert
	var refusal error
	taken := false
	var halve func(some []store.Alert) error
	halve = func(some []store.Alert) error {
		err := h.notifier.sendWebhook(ctx, uid, now, some)
		switch {
		case err == nil:
			taken = true
			h.took()
			for i := range some {
				h.told[some[i].Key] = some[i].Changed
			}
			return nil
		case !asItIs(err):
			return err
		case len(some) == 1:
			refused, refusal = append(refused, &some[0]), err
			if !taken && h.alone()+len(refused) > refusedAlone {
				maps.DeleteFunc(h.refused, func(_ string, was refusedChange) bool { return was.alone }) // it was not their fault
				return err
			}
			if len(h.refused)+len(refused) > refusedAlerts {
				return err
			}
			return nil
		}
		half := len(some) / 2
		if err := halve(some[:half]); err != nil {
			return err
		}
		return halve(some[half:])
	}
	if err := halve(alerts); err != nil {
		return err
	}
	if !taken {
		if takes, err := h.everTook(ctx, uid); err != nil || !takes {
			return cmp.Or(err, refusal)
		}
	}
	for _, a := range refused {
		h.refused[a.Key] = refusedChange{a.Changed, !taken}
		h.notifier.Log.Error("a receiver refuses an alert, and took others: it is not sent again until it changes", "receiver", webhookName, "alert", a.Key, "error", refusal)
		h.notifier.Metrics.refused(webhookName)
	}
	return nil
}

// asItIs reports whether an answer refuses what was sent for what it holds.
func asItIs(err error) bool {
	var r *refusal
	return errors.As(err, &r) && (r.status == http.StatusBadRequest || r.status == http.StatusRequestEntityTooLarge || r.status == http.StatusUnprocessableEntity)
}

func (n *Notifier) sendWebhook(ctx context.Context, uid string, now time.Time, alerts []store.Alert) error {
	kept, err := n.Store.Cluster(ctx, uid)
	if err != nil {
		return err
	}
	to, err := n.Webhook()
	if err != nil {
		return err
	}
	body := webhookBody(WebhookCluster{uid, kept.Name}, n.External, now, alerts)
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return n.post(ctx, n.WebhookClient, to, body.ID, data)
}

// noteDelivered notes that alerts were delivered as they were read. One that changed since waits on.
func (n *Notifier) noteDelivered(ctx context.Context, uid string, alerts []store.Alert) error {
	for i := range alerts {
		if err := n.Store.Delivered(ctx, uid, n.Now(), alerts[i].Key, alerts[i].Changed); err != nil {
			return err
		}
	}
	return nil
}

func webhookBody(cluster WebhookCluster, external *url.URL, now time.Time, alerts []store.Alert) WebhookBody {
	b := WebhookBody{SchemaVersion: WebhookVersion, Sent: now.UTC(), Cluster: cluster}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q", cluster.UID)
	at := map[string]int{}
	sorted := slices.SortedStableFunc(slices.Values(alerts), func(a, b store.Alert) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Key, b.Key))
	})
	for i := range sorted {
		a := webhookAlert(external, &sorted[i])
		fmt.Fprintf(sum, " %q", a.ID)
		cause := cmp.Or(a.Control, a.Kind)
		if _, known := at[cause]; !known {
			at[cause] = len(b.Groups)
			b.Groups = append(b.Groups, WebhookGroup{Cause: cause})
		}
		g := &b.Groups[at[cause]]
		g.Alerts = append(g.Alerts, a)
	}
	b.ID = hex.EncodeToString(sum.Sum(nil)[:16])
	return b
}

func webhookAlert(external *url.URL, a *store.Alert) WebhookAlert {
	doc := docOf(a)
	w := WebhookAlert{ID: fmt.Sprintf("%s@%d", a.Key, a.Changed), Key: a.Key, State: "firing", Kind: string(a.Kind), Severity: a.Severity, Title: a.Title, Text: a.Text,
		Control: doc.Control, Rule: doc.Rule, Namespace: homeOf(a.Object), Since: a.First, Last: a.Last, Times: a.Times, Page: alertPage(external, a)}
	if !doc.Since.IsZero() {
		w.Since = doc.Since
	}
	if a.Object != (bailey.Ref{}) {
		o := objectOf(a.Object, "")
		w.Object = &o
	}
	if !a.Resolved.IsZero() {
		w.State, w.Resolved = "resolved", &a.Resolved
	}
	return w
}
