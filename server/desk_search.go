package server

import (
	"context"
	"errors"
	"strings"

	"github.com/baileyhq/bailey/store"
)

const (
	// searchMost bounds the hits of each kind.
	searchMost = 20
	// searchAlerts and searchRuns are how many of the newest are looked at, and searchWaivers how many of those
	// that ended last: a search asks for much else.
	searchAlerts  = 500
	searchWaivers = 500
	searchRuns    = 100
)

// Search finds by words: controls, rules and experiments of the catalogue, and of what may be seen objects,
// findings, alerts, waivers and runs.
func (d *Desk) Search(ctx context.Context, a Ask, text string) ([]Hit, error) {
	if strings.TrimSpace(text) == "" {
		return []Hit{}, nil
	}
	hits := d.searchCatalogue(text)
	uid, err := d.cluster(a)
	if err != nil {
		return hits, nil
	}
	found, err := d.o.Store.Search(ctx, access(a), uid, text, searchMost)
	if err != nil {
		return hits, err
	}
	for _, ref := range found.Objects {
		object := objectOf(ref, "")
		hits = append(hits, Hit{Kind: "object", ID: ref.String(), Text: ref.String(), Object: &object})
	}
	for i := range found.Findings {
		f := d.finding(&found.Findings[i])
		hits = append(hits, Hit{Kind: "finding", ID: f.ID, Text: f.Message, Object: &f.Object})
	}
	alerts, err := d.o.Store.Alerts(ctx, store.AlertQuery{Cluster: uid, Access: access(a), State: store.All, Text: text, Look: searchAlerts, Limit: searchMost})
	if err != nil {
		return hits, err
	}
	for i := range alerts.Items {
		one := alertOf(&alerts.Items[i])
		hits = append(hits, Hit{Kind: "alert", ID: one.Key, Text: one.Title, Object: one.Object})
	}
	byText, now := WaiverFilter{Text: text}, d.o.Now()
	waivers, _, err := d.waivers(ctx, a, uid, now, byText, store.WaiverQuery{Look: searchWaivers, Limit: searchMost})
	if err == nil {
		waivers, err = byText.Of(waivers, now)
	}
	if err != nil {
		return hits, err
	}
	for _, w := range waivers[:min(len(waivers), searchMost)] {
		hits = append(hits, Hit{Kind: "waiver", ID: w.ID, Text: w.Rule + ": " + w.Reason})
	}
	runs, err := d.searchRuns(ctx, a, uid, text)
	for i := range runs {
		r := &runs[i]
		hits = append(hits, Hit{Kind: "run", ID: r.ID, Text: strings.TrimSpace(string(r.State) + " " + strings.Join(r.Controls, ", ") + " " + r.By)})
	}
	return hits, err
}

// searchRuns finds the run of an ID, or runs among the newest.
func (d *Desk) searchRuns(ctx context.Context, a Ask, uid, text string) ([]store.Run, error) {
	run, err := d.o.Store.Run(ctx, access(a), uid, strings.TrimSpace(text))
	switch {
	case err == nil:
		return []store.Run{run}, nil
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	page, err := d.o.Store.Runs(ctx, store.RunQuery{Cluster: uid, Access: access(a), Text: text, Look: searchRuns, Limit: searchMost})
	return page.Items, err
}

// searchCatalogue finds what is the same in every cluster.
func (d *Desk) searchCatalogue(text string) []Hit {
	hits := []Hit{}
	var rules, experiments []Hit
	for _, c := range d.o.Controls {
		if store.Bears(text, c.ID, c.Asks) {
			hits = append(hits, Hit{Kind: "control", ID: c.ID, Text: c.Asks})
		}
		for _, r := range c.Rules {
			if len(rules) < searchMost && store.Bears(text, c.RuleID(r), r.Title) {
				rules = append(rules, Hit{Kind: "rule", ID: c.RuleID(r), Text: r.Title})
			}
		}
		for _, x := range c.Experiments {
			if len(experiments) < searchMost && store.Bears(text, c.ID, x.Name, x.Title, x.Technique) {
				experiments = append(experiments, Hit{Kind: "experiment", ID: c.ID + "/" + x.Name, Text: x.Title})
			}
		}
	}
	return append(append(hits, rules...), experiments...)
}
