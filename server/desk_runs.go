package server

import (
	"context"
	"encoding/json"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Runs gives a page of runs of experiments. Narrowed by more than a state a page may be short, and go on.
func (d *Desk) Runs(ctx context.Context, a Ask, f RunFilter) ([]Run, string, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	for _, err := range []error{known("state", f.State, RunStates), known("trigger", f.Trigger, RunTriggers), known("order", f.Order, TimeOrders)} {
		if err != nil {
			return nil, "", err
		}
	}
	q := store.RunQuery{Cluster: uid, Access: access(a), State: store.RunState(f.State), Trigger: store.RunTrigger(f.Trigger), Control: f.Control, Text: f.Text,
		Oldest: f.Order == "oldest", Limit: f.Limit, After: f.Cursor}
	if f.State == "broken" {
		q.State, q.Broken = "", true
	}
	page, err := d.o.Store.Runs(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var all []Run
	for i := range page.Items {
		all = append(all, runOf(&page.Items[i]))
	}
	return all, page.Next, nil
}

// Run gives one run.
func (d *Desk) Run(ctx context.Context, a Ask, id string) (Run, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return Run{}, err
	}
	r, err := d.o.Store.Run(ctx, access(a), uid, id)
	if err != nil {
		return Run{}, err
	}
	return runOf(&r), nil
}

func runOf(r *store.Run) Run {
	var doc runDoc
	if len(r.Doc) > 0 {
		_ = json.Unmarshal(r.Doc, &doc) // what another version kept is not shown
	}
	return Run{ID: r.ID, Done: r.Done, Total: r.Probes, Experiment: doc.Only, Experiments: doc.Experiments, Controls: r.Controls, Trigger: string(r.Trigger), By: r.By, State: string(r.State), Danger: r.Danger,
		Planned: r.Planned, Started: r.Started, Ended: r.Ended, Held: r.Held, Tried: r.Tried, Broken: r.Broken, Inconclusive: r.Inconclusive, Error: r.Error}
}

// Alerts gives a page of alerts. With a text a page may be short, and go on.
func (d *Desk) Alerts(ctx context.Context, a Ask, f AlertFilter) ([]Alert, string, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	for _, err := range []error{known("state", f.State, AlertStates), known("kind", f.Kind, AlertKinds), known("order", f.Order, AlertOrders)} {
		if err != nil {
			return nil, "", err
		}
	}
	q := store.AlertQuery{Cluster: uid, Access: access(a), State: store.All, Kind: store.AlertKind(f.Kind), Severity: f.Least, Text: f.Text, Limit: f.Limit, After: f.Cursor}
	switch f.State {
	case "open":
		q.State = store.Open
	case "over":
		q.State = store.Gone
	}
	if f.Order != "newest" {
		q.Sort = store.AlertSort(f.Order)
	}
	q.Namespaces = onlyIn(f.Namespace)
	if f.Control != "" {
		q.Keys = []string{findingKey + f.Control + "/", rungKey + f.Control + "/"}
	}
	page, err := d.o.Store.Alerts(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var all []Alert
	for i := range page.Items {
		all = append(all, alertOf(&page.Items[i]))
	}
	return all, page.Next, nil
}

func alertOf(k *store.Alert) Alert {
	shown := Alert{Key: k.Key, Kind: string(k.Kind), Severity: k.Severity, Title: k.Title, Text: k.Text, First: k.First, Since: k.First, Last: k.Last, Count: k.Times}
	doc := docOf(k)
	shown.Control, shown.Rule = doc.Control, doc.Rule
	if !doc.Since.IsZero() {
		shown.Since = doc.Since
	}
	if !k.Delivered.IsZero() {
		shown.Delivered = &k.Delivered
	}
	if k.Object != (bailey.Ref{}) {
		object := objectOf(k.Object, "")
		shown.Object = &object
	}
	if !k.Resolved.IsZero() {
		shown.Resolved = &k.Resolved
	}
	return shown
}
