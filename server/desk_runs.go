package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	if f.Namespace != "" {
		q.Namespaces = []string{f.Namespace}
	}
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

// waiversMost bounds the waivers that count: each is looked at with every finding. Of those that were
// ended the newest so many are shown.
const waiversMost = 1000

// Waivers gives the waivers that a filter takes.
func (d *Desk) Waivers(ctx context.Context, a Ask, f WaiverFilter) ([]WaiverEntry, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, err
	}
	all, err := d.waivers(ctx, a, uid)
	if err != nil {
		return nil, err
	}
	if err := d.accepts(ctx, a, uid, all); err != nil {
		return nil, err
	}
	return f.Of(all, d.o.Now())
}

// waivers gives the waivers that may be seen, without what they accept: those of the configuration, then all
// that were not ended, then the newest that were.
func (d *Desk) waivers(ctx context.Context, a Ask, uid string) ([]WaiverEntry, error) {
	all := []WaiverEntry{}
	if a.Sees.All {
		for _, w := range d.o.Configured() {
			all = append(all, WaiverEntry{Waiver: w, Configured: true})
		}
	}
	take := func(state store.State, after string) (string, error) {
		page, err := d.o.Store.Waivers(ctx, store.WaiverQuery{Cluster: uid, Access: access(a), State: state, Limit: waiversMost, After: after})
		for i := range page.Items {
			all = append(all, waiverOf(&page.Items[i]))
		}
		return page.Next, err
	}
	if err := eachKept(func(after string) (string, error) { return take(store.Open, after) }); err != nil {
		return nil, err
	}
	_, err := take(store.Gone, "")
	return all, err
}

// Waiver gives one that was added here.
func (d *Desk) Waiver(ctx context.Context, a Ask, id string) (WaiverEntry, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return WaiverEntry{}, err
	}
	one := make([]WaiverEntry, 1)
	if one[0], err = d.waiver(ctx, a, uid, id); err != nil {
		return one[0], err
	}
	return one[0], d.accepts(ctx, a, uid, one)
}

// waiver gives one that was added here, without what it accepts.
func (d *Desk) waiver(ctx context.Context, a Ask, uid, id string) (w WaiverEntry, err error) {
	if id == "" {
		return w, ErrNotFound
	}
	page, err := d.o.Store.Waivers(ctx, store.WaiverQuery{Cluster: uid, Access: access(a), State: store.All, ID: id})
	if err == nil && len(page.Items) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return w, err
	}
	w = waiverOf(&page.Items[0])
	w.State = w.StateAt(d.o.Now())
	return w, nil
}

func waiverOf(w *store.Waiver) WaiverEntry {
	entry := WaiverEntry{ID: w.ID, Waiver: w.Waiver, AddedBy: w.AddedBy, AddedAt: w.Added, RemovedBy: w.RemovedBy}
	if !w.Removed.IsZero() {
		entry.RemovedAt = &w.Removed
	}
	for _, e := range w.Extended {
		entry.Extended = append(entry.Extended, WaiverExtension(e))
	}
	return entry
}

// accepts counts the findings that each waiver takes in.
func (d *Desk) accepts(ctx context.Context, a Ask, uid string, entries []WaiverEntry) error {
	counts, more, err := d.o.Store.Accepted(ctx, access(a), uid)
	for i := range entries {
		e := &entries[i]
		if e.RemovedAt != nil {
			continue
		}
		e.More = more
		at := slices.IndexFunc(counts, func(c store.Accepted) bool { return sameWaiver(c.Waiver, e.Waiver) })
		if at >= 0 { // of two that say the same, the first
			e.Accepts = counts[at].Findings
			counts = slices.Delete(counts, at, at+1)
		}
	}
	return err
}

func sameWaiver(a, b bailey.Waiver) bool {
	return a.Rule == b.Rule && a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name && a.Reason == b.Reason && a.Owner == b.Owner && a.Expires.Equal(b.Expires)
}

// InForce gives the waivers that were added here and count now, and the newest of those that have
// expired and that nobody has ended, which reports tell of.
func (d *Desk) InForce(ctx context.Context, uid string) ([]bailey.Waiver, error) {
	var live, expired []bailey.Waiver
	now := d.o.Now()
	err := eachKept(func(after string) (string, error) {
		page, err := d.o.Store.Waivers(ctx, store.WaiverQuery{Cluster: uid, Access: store.Everything(), Limit: loadPage, After: after})
		for _, w := range page.Items {
			if now.Before(w.Expires) {
				live = append(live, w.Waiver)
			} else if len(expired) < waiversMost {
				expired = append(expired, w.Waiver)
			}
		}
		return page.Next, err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return append(live, expired...), err
}

// room fails where as many waivers count as may.
func (d *Desk) room(ctx context.Context, uid string) error {
	kept, err := d.InForce(ctx, uid)
	if err != nil {
		return err
	}
	now, live := d.o.Now(), 0
	for _, w := range kept {
		if now.Before(w.Expires) {
			live++
		}
	}
	if live >= waiversMost {
		return badInput(fmt.Errorf("%d waivers count, and no more can: each is compared with every finding\nhint: end those that are not needed, or take several in by one with * in its names", live))
	}
	return nil
}

// AddWaiver accepts findings for a time.
func (d *Desk) AddWaiver(ctx context.Context, a Ask, by string, w bailey.Waiver) (id string, err error) {
	uid, err := d.cluster(a)
	if err != nil {
		return "", err
	}
	defer func() {
		target := strings.TrimSpace(strings.TrimSpace(w.Rule+" "+w.Kind) + " " + strings.Trim(w.Namespace+"/"+w.Name, "/"))
		if id != "" {
			target = id + ": " + target
		}
		d.Deeds.Did(ctx, uid, by, ActAddWaiver, target, err)
	}()
	if err := d.watched(uid); err != nil {
		return "", err
	}
	now := d.o.Now()
	if err := d.o.Valid(w); err != nil {
		return "", badInput(err)
	}
	if !w.Expires.After(now) {
		return "", badInput(errors.New("the waiver's end is past"))
	}
	if err := d.room(ctx, uid); err != nil {
		return "", err
	}
	id = newSecret()[:16]
	if err := d.o.Store.AddWaiver(ctx, uid, now, id, by, w); err != nil {
		return "", err
	}
	d.o.Changed(ctx)
	return id, nil
}

// EndWaiver ends a waiver.
func (d *Desk) EndWaiver(ctx context.Context, a Ask, by, id string) (err error) {
	uid, err := d.cluster(a)
	if err != nil {
		return err
	}
	defer func() { d.Deeds.Did(ctx, uid, by, ActEndWaiver, id, err) }()
	if err := d.watched(uid); err != nil {
		return err
	}
	if _, err := d.waiver(ctx, a, uid, id); err != nil { // what may not be seen is not ended
		return err
	}
	if err := d.o.Store.RemoveWaiver(ctx, uid, d.o.Now(), id, by); err != nil {
		return err
	}
	d.o.Changed(ctx)
	return nil
}

// ExtendWaiver puts off the end of a waiver, for a reason that is kept with who did it.
func (d *Desk) ExtendWaiver(ctx context.Context, a Ask, by, id, reason string, expires time.Time) (err error) {
	uid, err := d.cluster(a)
	if err != nil {
		return err
	}
	defer func() {
		d.Deeds.Did(ctx, uid, by, ActExtendWaiver, id+": until "+expires.UTC().Format(time.RFC3339)+": "+reason, err)
	}()
	if err := d.watched(uid); err != nil {
		return err
	}
	w, err := d.waiver(ctx, a, uid, id)
	if err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(reason) == "":
		return badInput(errors.New("say why the risk is accepted for longer"))
	case !expires.After(d.o.Now()):
		return badInput(errors.New("the waiver's end is past"))
	case w.State == "expired" && w.RemovedAt == nil: // it counts anew
		if err := d.room(ctx, uid); err != nil {
			return err
		}
	}
	err = d.o.Store.ExtendWaiver(ctx, uid, d.o.Now(), id, by, reason, expires)
	if errors.Is(err, store.ErrConflict) { // it was ended, ends later, or was extended too often: who repeats what was done is not told so
		return badInput(errors.New(strings.TrimSuffix(strings.TrimPrefix(err.Error(), "store: "), ": "+store.ErrConflict.Error())))
	}
	if err != nil {
		return err
	}
	d.o.Changed(ctx)
	return nil
}
