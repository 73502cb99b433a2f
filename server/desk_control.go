package server

import (
	"context"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// The bounds of a control's page.
const (
	controlWorst    = 10
	controlScopes   = 100
	controlEvidence = 50
	experimentRuns  = 40
)

// Control is everything about one control.
func (d *Desk) Control(ctx context.Context, a Ask, id string) (ControlPage, error) {
	c := d.controls[id]
	if c == nil {
		return ControlPage{}, ErrNotFound
	}
	uid, err := d.cluster(a)
	if err != nil {
		return ControlPage{}, err
	}
	standings, counts, err := d.standings(ctx, a, uid)
	if err != nil {
		return ControlPage{}, err
	}
	p := ControlPage{Doc: c.Doc, References: c.Refs, ScopeKind: c.Scope, Unprovable: c.Unprovable, Rules: ruleInfos(c, counts), Guards: []GuardInfo{}, Experiments: []ExperimentInfo{}}
	for _, s := range standings {
		if s.Control == id {
			p.Standing = s
		}
	}
	if p.Guards, err = d.guardInfos(ctx, a, store.GuardQuery{Cluster: uid, Control: id}); err != nil {
		return p, err
	}
	for _, x := range c.Experiments {
		info, err := d.experiment(ctx, a, uid, c, x)
		if err != nil {
			return p, err
		}
		p.Experiments = append(p.Experiments, info)
	}
	worst, err := d.Findings(ctx, a, FindingFilter{Control: id, Limit: controlWorst})
	if err != nil {
		return p, err
	}
	p.Worst = worst.Findings
	changes, older, err := d.Changes(ctx, a, ChangeFilter{Control: id, Limit: controlEvidence})
	if err != nil {
		return p, err
	}
	low, more, err := d.Scopes(ctx, a, id, ScopeFilter{Rung: "low", Limit: controlScopes})
	p.Changes, p.ChangesMore, p.ScopesLow, p.ScopesLowMore = changes, older != "", low, more != ""
	return p, err
}

func ruleInfos(c *bailey.Control, counts []store.Count) []RuleInfo {
	found := map[string]*Counts{}
	for _, n := range counts {
		if n.Control != c.ID {
			continue
		}
		if found[n.Rule] == nil {
			found[n.Rule] = &Counts{}
		}
		found[n.Rule].Add(n.Severity, n.Open-n.Waived)
	}
	infos := []RuleInfo{}
	for _, r := range c.Rules {
		id := c.RuleID(r)
		info := RuleInfo{ID: id, Title: r.Title, Doc: r.Doc, Severity: r.Severity, References: r.Refs, Fixable: r.Fix != nil}
		if n := found[id]; n != nil {
			info.Findings = *n
		}
		infos = append(infos, info)
	}
	return infos
}

// Experiments gives the experiments that a filter takes, with the newest evidence of each.
func (d *Desk) Experiments(ctx context.Context, a Ask, f ExperimentFilter) ([]ExperimentInfo, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, err
	}
	byControl, err := d.experiments(ctx, a, uid)
	if err != nil {
		return nil, err
	}
	infos := []ExperimentInfo{}
	for _, c := range d.o.Controls {
		infos = append(infos, byControl[c.ID]...)
	}
	return f.Of(infos, d.o.Now())
}

// Experiment gives one experiment with its newest evidence and runs.
func (d *Desk) Experiment(ctx context.Context, a Ask, control, name string) (ExperimentInfo, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return ExperimentInfo{}, err
	}
	if c := d.controls[control]; c != nil {
		if x := c.Experiment(name); x != nil {
			return d.experiment(ctx, a, uid, c, x)
		}
	}
	return ExperimentInfo{}, ErrNotFound
}

func (d *Desk) experiment(ctx context.Context, a Ask, uid string, c *bailey.Control, x *bailey.Experiment) (ExperimentInfo, error) {
	page, err := d.o.Store.Evidence(ctx, store.EvidenceQuery{Cluster: uid, Access: access(a), Control: c.ID, Experiment: x.Name, Limit: controlEvidence})
	if err != nil {
		return ExperimentInfo{}, err
	}
	runs, older, err := d.o.Store.EvidenceRuns(ctx, access(a), uid, store.ExperimentName{Control: c.ID, Experiment: x.Name}, experimentRuns)
	if err != nil {
		return ExperimentInfo{}, err
	}
	info := d.experimentInfo(a, c, x, page.Items, runs)
	info.OlderRuns = older
	return info, nil
}

// experiments gives those of each control, in the order of the catalogue, with the newest evidence of each: the
// store is asked once for all.
func (d *Desk) experiments(ctx context.Context, a Ask, uid string) (map[string][]ExperimentInfo, error) {
	var of []store.ExperimentName
	for _, c := range d.o.Controls {
		for _, x := range c.Experiments {
			of = append(of, store.ExperimentName{Control: c.ID, Experiment: x.Name})
		}
	}
	kept, err := d.o.Store.NewestEvidence(ctx, access(a), uid, of)
	if err != nil {
		return nil, err
	}
	runs, err := d.o.Store.NewestRuns(ctx, access(a), uid, of)
	if err != nil {
		return nil, err
	}
	newest := map[store.ExperimentName][]store.Evidence{}
	for i := range kept {
		newest[store.ExperimentName{Control: kept[i].Control, Experiment: kept[i].Experiment}] = kept[i : i+1]
	}
	infos := map[string][]ExperimentInfo{}
	for _, c := range d.o.Controls {
		for _, x := range c.Experiments {
			name := store.ExperimentName{Control: c.ID, Experiment: x.Name}
			var last []store.EvidenceRun
			if run, tried := runs[name]; tried {
				last = []store.EvidenceRun{run}
			}
			infos[c.ID] = append(infos[c.ID], d.experimentInfo(a, c, x, newest[name], last))
		}
	}
	return infos, nil
}

func (d *Desk) experimentInfo(a Ask, c *bailey.Control, x *bailey.Experiment, kept []store.Evidence, runs []store.EvidenceRun) ExperimentInfo {
	info := ExperimentInfo{Control: c.ID, Name: x.Name, Title: x.Title, Doc: x.Doc, Hypothesis: x.Hypothesis, Danger: x.Danger, Technique: x.Technique, Window: x.Window,
		Evidence: evidenceOf(a, kept)}
	for _, r := range runs {
		one := ExperimentRun{Run: r.Run, At: r.At, Scopes: r.Scopes, Held: r.Held, Tried: r.Tried, Broken: r.Broken, Inconclusive: r.Inconclusive, Unheld: r.Unheld, Cut: r.Cut}
		if !a.Sees.All {
			one.Run = ""
		}
		info.Runs = append(info.Runs, one)
	}
	info.State = info.StateAt(d.o.Now())
	return info
}

// evidenceOf gives what is kept of evidence; which run it is of is told to who sees everything, as runs are.
func evidenceOf(a Ask, kept []store.Evidence) []Evidence {
	var all []Evidence
	for i := range kept {
		e := &kept[i]
		total := e.Total()
		all = append(all, Evidence{ID: e.ID, Run: e.Run, Control: e.Control, Experiment: e.Experiment, Scope: e.Scope, At: e.At,
			Held: total.Held, Tried: total.Tried, Broken: total.Broken, Inconclusive: total.Inconclusive,
			Interrupted: e.Interrupted, Signer: e.Signer, Ledger: e.Ledger, Paths: e.Paths})
		if !a.Sees.All {
			all[i].Run = ""
		}
	}
	return all
}
