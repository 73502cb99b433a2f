package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

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
	if p.Guards, err = d.guardInfos(ctx, a, uid, id); err != nil {
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
	if p.Changes, _, err = d.changes(ctx, a, store.RungQuery{Cluster: uid, Control: id, Limit: controlEvidence}); err != nil {
		return p, err
	}
	p.ScopesLow, _, err = d.ScopesLow(ctx, a, id, "")
	return p, err
}

// ScopesLow gives a page of the scopes for which a control is a gap or unknown.
func (d *Desk) ScopesLow(ctx context.Context, a Ask, control, cursor string) ([]ScopeStanding, string, error) {
	if d.controls[control] == nil {
		return nil, "", ErrNotFound
	}
	uid, err := d.cluster(a)
	if err != nil {
		return nil, "", err
	}
	page, err := d.o.Store.Verdicts(ctx, store.VerdictQuery{Cluster: uid, Access: access(a), Control: control, Limit: controlScopes,
		Rungs: []bailey.Rung{bailey.RungGap, bailey.RungUnknown}, After: cursor})
	if err != nil {
		return nil, "", err
	}
	var low []ScopeStanding
	for i := range page.Items {
		low = append(low, scopeStanding(&page.Items[i]))
	}
	return low, page.Next, nil
}

func scopeStanding(v *store.Verdict) ScopeStanding {
	s := ScopeStanding{Control: v.Control, Scope: v.Scope, Rung: v.Rung, Since: v.Since, Findings: v.Findings, Proof: proofOf(v.Proof), Next: v.Next}
	if !v.WaivedUntil.IsZero() {
		s.WaivedUntil = &v.WaivedUntil
	}
	return s
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

// Guards gives every guard and how far it is in place, to who may see that.
func (d *Desk) Guards(ctx context.Context, a Ask) ([]GuardInfo, error) {
	if !a.Guards {
		return nil, ErrForbidden
	}
	uid, err := d.cluster(a)
	if err != nil {
		return nil, err
	}
	return d.guardInfos(ctx, a, uid, "")
}

// GuardDoc is what is kept of a guard's stage beside the stage itself.
type GuardDoc struct {
	Changes []string     `json:"changes,omitempty"`
	Impact  *GuardImpact `json:"impact,omitempty"`
}

// guardInfos gives the guards of a control, or of all: to who may not see how far they are, what
// they are alone.
func (d *Desk) guardInfos(ctx context.Context, a Ask, uid, control string) ([]GuardInfo, error) {
	var kept []store.Guard
	if a.Guards {
		var err error
		if kept, err = d.o.Store.Guards(ctx, store.GuardQuery{Cluster: uid, Access: access(a), Control: control}); err != nil {
			return nil, err
		}
	}
	infos := []GuardInfo{}
	for _, c := range d.o.Controls {
		if control != "" && c.ID != control {
			continue
		}
		for _, g := range c.Guards {
			info := GuardInfo{Control: c.ID, Name: g.Name, Title: g.Title, Doc: g.Doc, OptIn: g.OptIn}
			for _, k := range kept {
				if k.Control != c.ID || k.Name != g.Name {
					continue
				}
				var doc GuardDoc
				if len(k.Doc) > 0 {
					if err := json.Unmarshal(k.Doc, &doc); err != nil {
						return nil, fmt.Errorf("what is kept of guard %s: %w", g.Name, err)
					}
				}
				for _, c := range doc.Changes {
					if len(info.Changes) < changesMost && !slices.Contains(info.Changes, c) {
						info.Changes = append(info.Changes, c)
					}
				}
				info.Stages = append(info.Stages, GuardStage{Scope: k.Scope, Stage: k.Stage, Why: k.Why, Drifted: k.Drifted, Since: k.Since, Impact: doc.Impact})
			}
			infos = append(infos, info)
		}
	}
	return infos, nil
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
	info := d.experimentInfo(a, c, x, page.Items)
	runs, older, err := d.o.Store.EvidenceRuns(ctx, access(a), uid, store.ExperimentName{Control: c.ID, Experiment: x.Name}, experimentRuns)
	info.OlderRuns = older
	for _, r := range runs {
		one := ExperimentRun{Run: r.Run, At: r.At, Scopes: r.Scopes, Held: r.Held, Tried: r.Tried, Broken: r.Broken, Inconclusive: r.Inconclusive}
		if !a.Sees.All {
			one.Run = ""
		}
		info.Runs = append(info.Runs, one)
	}
	return info, err
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
	newest := map[store.ExperimentName][]store.Evidence{}
	for i := range kept {
		newest[store.ExperimentName{Control: kept[i].Control, Experiment: kept[i].Experiment}] = kept[i : i+1]
	}
	infos := map[string][]ExperimentInfo{}
	for _, c := range d.o.Controls {
		for _, x := range c.Experiments {
			infos[c.ID] = append(infos[c.ID], d.experimentInfo(a, c, x, newest[store.ExperimentName{Control: c.ID, Experiment: x.Name}]))
		}
	}
	return infos, nil
}

func (d *Desk) experimentInfo(a Ask, c *bailey.Control, x *bailey.Experiment, kept []store.Evidence) ExperimentInfo {
	info := ExperimentInfo{Control: c.ID, Name: x.Name, Title: x.Title, Doc: x.Doc, Hypothesis: x.Hypothesis, Danger: x.Danger, Technique: x.Technique, Window: x.Window,
		Evidence: evidenceOf(a, kept)}
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
