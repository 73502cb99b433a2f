package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Raiser raises and ends alerts: by what changes from report to report, and while the cluster is
// out of sight. What it knows it reads from the store whenever it begins anew, so that a process
// that was restarted raises nothing twice, and what changed meanwhile.
type Raiser struct {
	Store *store.Store
	Loop  *Loop
	News  *News
	Log   *slog.Logger
	Now   func() time.Time
	// Worth is the least severity of findings that somebody is told of; high if none is given.
	Worth bailey.Severity

	known *alarms // nil: to be read from the store
}

// Forget has what is known be read from the store again: others may have written there.
func (r *Raiser) Forget() { r.known = nil }

// Take raises and ends alerts by a report. It is called before the report is kept: a process
// that ends between the two compares the same again, and what it raises is there already.
func (r *Raiser) Take(ctx context.Context, cluster string, report *bailey.Report, at time.Time) error {
	if r.known == nil {
		known, err := loadAlarms(ctx, r.Store, cluster, at, cmp.Or(r.Worth, bailey.SeverityHigh))
		if err != nil {
			return err
		}
		r.known = known
	}
	for _, c := range r.known.take(report, at) {
		if err := r.do(ctx, cluster, at, c); err != nil {
			r.known = nil
			return err
		}
	}
	return nil
}

// do makes one change, and tells it.
func (r *Raiser) do(ctx context.Context, cluster string, at time.Time, c alertChange) error {
	var err error
	switch c.do {
	case alertRaise:
		err = r.Store.Raise(ctx, cluster, at, c.alert)
	case alertRevise:
		err = r.Store.Revise(ctx, cluster, at, c.alert)
	case alertEnd:
		err = r.Store.Resolve(ctx, cluster, at, c.alert.Key)
	}
	if err != nil {
		return err
	}
	kept, err := r.Store.Alert(ctx, store.Everything(), cluster, c.alert.Key)
	if err != nil {
		return err
	}
	r.News.Tell(Item{Kind: NewsAlert, Namespace: homeOf(kept.Object), Data: alertOf(&kept)})
	return nil
}

// loadAlarms reads what alarms are told by: what the last report that was kept said, and which
// alerts last.
func loadAlarms(ctx context.Context, s *store.Store, cluster string, at time.Time, worth bailey.Severity) (*alarms, error) {
	a := &alarms{worth: worth, worthy: map[string]ruleIn{}, rungs: map[verdictOf]stood{}, falls: map[verdictOf]fall{}, open: map[string]*lasting{}}
	kept, err := s.Cluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	a.first = kept.Judged.IsZero()
	all := store.Everything()
	waived := false
	err = errors.Join(
		eachKept(func(after string) (string, error) {
			page, err := s.Findings(ctx, store.FindingQuery{Cluster: cluster, Access: all, Severity: worth, Waived: &waived, Limit: loadPage, After: after})
			for i := range page.Items {
				f := &page.Items[i]
				a.worthy[f.ID] = ruleIn{f.Rule, homeOf(f.Object)}
			}
			return page.Next, err
		}),
		eachKept(func(after string) (string, error) {
			page, err := s.Alerts(ctx, store.AlertQuery{Cluster: cluster, Access: all, Limit: loadPage, After: after})
			for i := range page.Items {
				l := &lasting{alert: page.Items[i], doc: docOf(&page.Items[i]), told: page.Items[i].Last}
				a.open[l.alert.Key] = l
			}
			return page.Next, err
		}))
	for _, scope := range []bailey.ScopeKind{bailey.ScopeCluster, bailey.ScopeNamespace} {
		err = errors.Join(err,
			eachKept(func(after string) (string, error) {
				page, err := s.Verdicts(ctx, store.VerdictQuery{Cluster: cluster, Access: all, Scope: scope, Limit: loadPage, After: after})
				for i := range page.Items {
					v := &page.Items[i].Verdict
					a.rungs[verdictOf{v.Control, v.Scope}] = stoodOf(v)
				}
				return page.Next, err
			}),
			eachKept(func(after string) (string, error) {
				page, err := s.RungChanges(ctx, store.RungQuery{Cluster: cluster, Access: all, Kind: scope, Since: at.Add(-proofHold), Limit: loadPage, After: after})
				for _, c := range page.Items { // the newest first: in the end stands where it fell from first
					a.fellBefore(c)
				}
				return page.Next, err
			}))
	}
	return a, err
}

// fellBefore notes a fall that may not have been told yet: one to a gap was at once.
func (a *alarms) fellBefore(c store.RungChange) {
	k := verdictOf{c.Control, c.Scope}
	is, known := a.rungs[k]
	if c.From == nil || c.To == nil || !known || *c.From <= is.rung || is.rung == bailey.RungGap || *c.To >= *c.From {
		return
	}
	f := a.falls[k]
	a.falls[k] = fall{from: max(f.from, *c.From), since: c.At}
}

// loadPage is how much is read at once.
const loadPage = 1000

// eachKept reads page after page; next gives the cursor of the one behind.
func eachKept(next func(after string) (string, error)) error {
	for after := ""; ; {
		var err error
		if after, err = next(after); err != nil || after == "" {
			return err
		}
	}
}

const (
	sightKey = "staleness/sight"
	// sightHold is how long the cluster is out of sight before somebody is told, and sightEvery
	// how often that is looked at.
	sightHold  = 5 * time.Minute
	sightEvery = 15 * time.Second
)

// Run raises an alert while the cluster is out of sight, until ctx ends, or somebody else writes the history.
func (r *Raiser) Run(ctx context.Context) error {
	w := &sightWatch{}
	for pause(ctx, sightEvery) {
		err := r.watch(ctx, w)
		if errors.Is(err, store.ErrFenced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			r.Log.Error("the alert about a cluster out of sight could not be kept, and will be tried again", "error", err)
		}
	}
	return ctx.Err()
}

// sightWatch is what was told of the cluster's being in sight.
type sightWatch struct {
	looked bool // the store was asked
	raised bool
	clear  time.Time // since when it is back
}

func (r *Raiser) watch(ctx context.Context, w *sightWatch) error {
	cluster, sight, now := r.Loop.Cluster(), r.Loop.Sight(), r.Now()
	if cluster == "" {
		return nil
	}
	if sight.Lost != nil { // as long as this is noted, nobody else steps in: see Lookout
		if err := r.Store.Watching(ctx, cluster, now); err != nil {
			return err
		}
	}
	if !w.looked {
		kept, err := r.Store.Alert(ctx, store.Everything(), cluster, sightKey)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		w.looked, w.raised = true, err == nil && kept.Resolved.IsZero()
	}
	alert := store.Alert{Key: sightKey, Kind: store.AlertStaleness, Severity: bailey.SeverityHigh, Title: "The cluster is out of sight"}
	switch {
	case sight.Lost != nil && w.raised:
		w.clear = time.Time{}
	case sight.Lost != nil && now.Sub(*sight.Lost) >= sightHold:
		alert.Text = clip(fmt.Sprintf("Nothing of it was seen since %s: %s. What is shown is as old as that, and nothing that happens in it is told.",
			sight.Lost.UTC().Format(time.RFC3339), sight.Why), alertTextMost)
		doc := alertDoc{Since: now}
		alert.Doc = doc.text()
		if err := r.do(ctx, cluster, now, alertChange{alertRaise, alert}); err != nil {
			return err
		}
		w.raised, w.clear = true, time.Time{}
	case sight.Lost == nil && w.raised && sight.Ready:
		if w.clear.IsZero() {
			w.clear = now
		}
		if now.Sub(w.clear) < calm {
			return nil
		}
		if err := r.do(ctx, cluster, now, alertChange{alertEnd, alert}); err != nil {
			return err
		}
		w.raised = false
	}
	return nil
}
