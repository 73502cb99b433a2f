package web

import (
	"context"
	"errors"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type experimentsBody struct {
	Experiments []server.ExperimentInfo
	Never       int // how many of those listed were never tried
	Filters     *filters
	Pager       pager
}

// experimentRows is how many experiments one page lists.
const experimentRows = 60

func (s *site) experiments(v *visit) error {
	form := v.filters()
	f := server.ExperimentFilter{
		Text:    form.text("Text", "q"),
		State:   form.choice("State", "state", option{"", "any"}, option{"held", "held"}, option{"broken", "broken"}, option{"inconclusive", "inconclusive"}, option{"stale", "stale"}, option{"never", "never tried"}),
		Danger:  bailey.Danger(form.choice("Danger", "danger", plainly("any", bailey.Dangers...)...)),
		Control: form.control(),
		Order:   form.order(option{"control", "by control"}, option{"state", "what needs a look first"}, option{"newest", "last tried first"}),
	}
	if form.err != nil {
		return form.err
	}
	rows, err := s.Desk.Experiments(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := experimentsBody{Filters: form}
	for _, r := range rows {
		if r.State == "never" {
			b.Never++
		}
	}
	if v.wantsCSV() {
		return v.export("experiments", []string{"control", "experiment", "danger", "technique", "state", "at", "held", "tried"}, func(row func(...any) bool) error {
			for _, r := range rows {
				var last server.ExperimentRun
				if len(r.Runs) > 0 {
					last = r.Runs[0]
				}
				if !row(r.Control, r.Name, r.Danger, r.Technique, r.State, last.At, last.Held, last.Tried) {
					break
				}
			}
			return nil
		})
	}
	if b.Experiments, b.Pager, err = cut(v, rows, experimentRows); err != nil {
		return err
	}
	v.page.Stream = "run"
	return v.show("experiments", "experiments", "Experiments", b)
}

type experimentBody struct {
	server.ExperimentInfo
	Listed  []server.Evidence // on this page
	Filters *filters
	Pager   pager
	// Proposal is what a run of it would try; nil where that is not known, or not to be seen.
	Proposal *server.Proposal
	Planning bool // it takes longer than a page waits
}

// planPatience is how long a page waits for what would be tried.
const planPatience = 2 * time.Second

// evidenceRows is how many pieces of evidence one page lists.
const evidenceRows = 50

func (s *site) experiment(v *visit) error {
	id := v.r.PathValue("area") + "/" + v.r.PathValue("control")
	x, err := s.Desk.Experiment(v.r.Context(), v.ask, id, v.r.PathValue("name"))
	if err != nil {
		return err
	}
	form := v.filters()
	f := server.EvidenceFilter{Control: x.Control, Experiment: x.Name, Namespace: form.name("Namespace", "namespace", 63), Order: form.timeOrder(), Cursor: v.cursor(), Limit: evidenceRows}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		return s.exportEvidence(v, f)
	}
	list, next, err := s.Desk.Evidence(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := experimentBody{ExperimentInfo: x, Listed: list, Filters: form, Pager: v.paged(len(list), next, 0)}
	if s.Propose != nil && v.ask.Sees.All && v.page.Cluster.Own {
		ctx, cancel := context.WithTimeout(v.r.Context(), planPatience)
		defer cancel()
		p, err := s.Propose(ctx, x.Control, x.Name)
		switch {
		case err == nil:
			b.Proposal = &p
		case errors.Is(err, server.ErrPlanning):
			b.Planning = true
		case !errors.Is(err, server.ErrUnavailable): // the cluster is read first
			return err
		}
	}
	v.page.Stream = "run"
	return v.show("experiment", "experiments", x.Title, b)
}

func (s *site) exportEvidence(v *visit, f server.EvidenceFilter) error {
	f.Limit = exportPage
	return v.export("evidence", []string{"control", "experiment", "id", "scope", "at", "run", "held", "tried", "broken", "inconclusive", "interrupted", "signer", "ledger entry"}, func(row func(...any) bool) error {
		return eachPage(func(cursor string) (string, error) {
			f.Cursor = cursor
			list, next, err := s.Desk.Evidence(v.r.Context(), v.ask, f)
			for _, e := range list {
				index := ""
				if e.Ledger != nil {
					index = plain(e.Ledger)
				}
				if !row(e.Control, e.Experiment, e.ID, e.Scope, e.At, e.Run, e.Held, e.Tried, e.Broken, e.Inconclusive, e.Interrupted, e.Signer, index) {
					return "", err
				}
			}
			return next, err
		})
	})
}
