package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// alertmanager tells one Alertmanager, by its API v2, what lasts: again and again, since it
// forgets what it is not told, and what it held when it was restarted.
type alertmanager struct {
	notifier *Notifier
	address  string
	lasts    time.Duration // until what is not told again ends

	// told is what it was told that lasts, by its labels.
	told map[string]postedAlert
	// saidAlive tells that it was told that all is well.
	saidAlive bool
}

const (
	// aliveLasts is after how many periods without a word Alertmanager ends an alert.
	aliveLasts = 4
	// postedMost is how many alerts it is told, the worst first; postedAtOnce how many in one call.
	postedMost   = 2000
	postedAtOnce = 200
)

// postedAlert is one as Alertmanager takes it.
type postedAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt,omitzero"`
	EndsAt      time.Time         `json:"endsAt"`
	// Generator is the address of the page about it.
	Generator string `json:"generatorURL,omitempty"`
}

func (p postedAlert) fingerprint() string {
	data, err := json.Marshal(p.Labels) // its keys are sorted
	if err != nil {
		panic(err) // texts
	}
	return string(data)
}

// AliveAlert is the name of the alert that fires while all is well.
const AliveAlert = "BaileyAlive"

// alertNames are the names of alerts by their kind.
var alertNames = map[store.AlertKind]string{store.AlertDetection: "BaileyDetection", store.AlertFinding: "BaileyFindings", store.AlertLedger: "BaileyLedger", store.AlertRung: "BaileyFell", store.AlertStaleness: "BaileyStale"}

// bring tells what lasts, and what ended since it was told.
func (m *alertmanager) bring(ctx context.Context) error {
	n := m.notifier
	uid := n.Loop.Cluster()
	if uid == "" {
		return nil
	}
	kept, err := n.Store.Cluster(ctx, uid)
	if errors.Is(err, store.ErrNotFound) {
		return nil // nothing was kept yet
	}
	if err != nil {
		return err
	}
	waiting, err := n.Store.Waiting(ctx, uid, postedMost)
	if err != nil {
		return err
	}
	open, err := n.open(ctx, uid)
	if err != nil {
		return err
	}
	now := n.Now()
	lasting := map[string]postedAlert{}
	for i := range open {
		p := m.posted(&kept, &open[i], now)
		lasting[p.fingerprint()] = p
	}
	if why := n.unwell(ctx, managerName); why == nil {
		p := m.alive(&kept, now)
		lasting[p.fingerprint()] = p
	} else if m.saidAlive {
		n.Log.Warn("Alertmanager is not told now that all is well", "why", why)
	}
	all := slices.Collect(maps.Values(lasting))
	for key, p := range m.told {
		if _, lasts := lasting[key]; !lasts {
			p.EndsAt = now
			all = append(all, p)
		}
	}
	for some := range slices.Chunk(all, postedAtOnce) {
		data, err := json.Marshal(some)
		if err != nil {
			return err
		}
		if err := n.post(ctx, n.AlertmanagerClient, Endpoint{URL: strings.TrimSuffix(m.address, "/") + "/api/v2/alerts"}, "", data); err != nil {
			return err
		}
		for _, p := range some { // what is told is to be ended, whether or not the rest gets through
			if _, lasts := lasting[p.fingerprint()]; lasts {
				m.told[p.fingerprint()] = p
			} else {
				delete(m.told, p.fingerprint())
			}
		}
	}
	_, m.saidAlive = lasting[m.alive(&kept, now).fingerprint()]
	if n.Webhook == nil { // or it is the webhook that alerts wait for
		n.Metrics.waiting(0)
		return n.noteDelivered(ctx, uid, waiting)
	}
	return nil
}

// alive is the alert that fires while all is well.
func (m *alertmanager) alive(cluster *store.Cluster, now time.Time) postedAlert {
	return postedAlert{Labels: map[string]string{"alertname": AliveAlert, "cluster": cluster.Name, "cluster_uid": cluster.UID, "severity": "none"}, EndsAt: now.Add(m.lasts),
		Annotations: map[string]string{"summary": "Bailey sees the cluster, judges it and keeps what it finds",
			"description": "This alert always fires. When it ends, Bailey says nothing any more, whatever happens."}}
}

// open gives the alerts that last, the worst first.
func (n *Notifier) open(ctx context.Context, uid string) ([]store.Alert, error) {
	var all []store.Alert
	err := eachKept(func(after string) (string, error) {
		page, err := n.Store.Alerts(ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), Limit: loadPage, After: after})
		all = append(all, page.Items...)
		return page.Next, err
	})
	slices.SortStableFunc(all, func(a, b store.Alert) int { return int(b.Severity) - int(a.Severity) })
	return all[:min(len(all), postedMost)], err
}

func (m *alertmanager) posted(cluster *store.Cluster, a *store.Alert, now time.Time) postedAlert {
	w := webhookAlert(m.notifier.External, a)
	p := postedAlert{StartsAt: w.Since, EndsAt: now.Add(m.lasts), Generator: w.Page, Labels: map[string]string{"alertname": cmp.Or(alertNames[a.Kind], "BaileyAlert"), "cluster": cluster.Name, "cluster_uid": cluster.UID,
		"severity": a.Severity.String(), "kind": w.Kind, "key": a.Key}, Annotations: map[string]string{"summary": a.Title, "description": a.Text}}
	for name, value := range map[string]string{"control": w.Control, "rule": w.Rule, "namespace": w.Namespace} {
		if value != "" {
			p.Labels[name] = value
		}
	}
	if a.Object != (bailey.Ref{}) {
		p.Annotations["object"] = a.Object.String()
	}
	return p
}
