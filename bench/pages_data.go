package main

import (
	"context"
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/store"
)

const (
	pagesObject   = 5   // findings of one object
	pagesVerdicts = 10  // one object of these has verdicts, on as many controls
	pagesWaived   = 100 // one finding of these is accepted: by the baseline and by a waiver in turn
	pagesGone     = 20  // one object of these has gone
)

// pagesData writes the history of a cluster with rules, severities and fixes as the catalogue has
// them.
type pagesData struct {
	controls []*bailey.Control
	rules    []pagesRule
	at       time.Time
}

type pagesRule struct {
	control *bailey.Control
	rule    *bailey.Rule
	id      string
}

func newPagesData(at time.Time) *pagesData {
	d := &pagesData{controls: controls.All(), at: at}
	for _, c := range d.controls {
		for _, r := range c.Rules {
			d.rules = append(d.rules, pagesRule{c, r, c.RuleID(r)})
		}
	}
	return d
}

// mix spreads numbers without a pattern.
func mix(i int) int {
	x := uint64(i) * 0x9E3779B97F4A7C15
	x ^= x >> 32
	return int((x * 0xD6E8FEB86659FD93) >> 33)
}

// spaces is how many namespaces a cluster of so many findings has.
func (d *pagesData) spaces(findings int) int { return min(300, max(30, findings/1000)) }

func (d *pagesData) object(i, spaces int) bailey.Ref {
	kind := bailey.PodBearing[mix(i)%4]
	return bailey.Ref{Kind: kind, Namespace: fmt.Sprintf("team-%03d", mix(i+7)%spaces), Name: fmt.Sprintf("service-%d-api", i)}
}

// finding is one of an object; rules are not all as frequent.
func (d *pagesData) finding(i int, o bailey.Ref) bailey.Finding {
	at := mix(i+13) % len(d.rules)
	at = min(at, (at*7+i%pagesObject)%len(d.rules))
	r := d.rules[at]
	f := bailey.Finding{Control: r.control.ID, Rule: r.id, Severity: r.rule.Severity, Base: r.rule.Severity, Object: o, APIVersion: "apps/v1",
		Field: fmt.Sprintf("spec.template.spec.containers[%d].securityContext", i%3), Named: fmt.Sprintf("spec.template.spec.containers[web-%d].securityContext", i%pagesObject),
		Message: fmt.Sprintf("container web of registry.example/team/service-%d:1.2.%d: %s", i/pagesObject, i%10, r.rule.Title),
		Related: []bailey.Ref{{Kind: bailey.KindPod, Namespace: o.Namespace, Name: o.Name + "-0"}},
		Fix:     []bailey.Change{{Object: o, APIVersion: "apps/v1", Patch: []bailey.PatchOp{{Op: "add", Path: "/spec/template/spec/containers/0/securityContext/runAsNonRoot", Value: true}}}}}
	f.ID = bailey.FindingID(f.Rule, o, f.Named)
	switch {
	case i%(2*pagesWaived) == 0:
		f.Baseline = true
	case i%pagesWaived == 0:
		f.Waiver = &bailey.Waiver{Rule: f.Rule, Reason: "legacy", Owner: "team", Expires: time.Unix(2e9, 0).UTC()}
	}
	return f
}

// whole is all that is kept of a cluster with so many findings.
func (d *pagesData) whole(findings int) store.Delta {
	spaces := d.spaces(findings)
	var all store.Delta
	for i := 0; i < findings; i += pagesObject {
		o := d.object(i/pagesObject, spaces)
		for k := range pagesObject {
			all.Findings = append(all.Findings, d.finding(i+k, o))
		}
		if n := i / pagesObject; n%pagesVerdicts == 0 {
			for k := range pagesVerdicts {
				c := d.controls[(n/pagesVerdicts+k*5)%len(d.controls)]
				all.Verdicts = append(all.Verdicts, d.verdict(n+k, c, bailey.Scope{Kind: bailey.ScopeWorkload, Object: o}))
			}
		}
	}
	for k, c := range d.controls {
		all.Verdicts = append(all.Verdicts, d.verdict(k, c, bailey.Scope{Kind: bailey.ScopeCluster}))
		for n := range spaces {
			all.Verdicts = append(all.Verdicts, d.verdict(k+n, c, bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("team-%03d", n)}}))
		}
		for _, x := range c.Experiments {
			for day := range 30 {
				all.Evidence = append(all.Evidence, store.Evidence{Evidence: bailey.Evidence{ID: fmt.Sprintf("%s-%s-%d", c.ID, x.Name, day), Run: fmt.Sprint("run-", day), Control: c.ID, Experiment: x.Name,
					Scope: bailey.Scope{Kind: bailey.ScopeCluster}, At: d.at.AddDate(0, 0, -day), Paths: []bailey.Tally{{Path: "direct", Tried: 16, Held: 16}}}})
			}
		}
	}
	return all
}

func (d *pagesData) verdict(i int, c *bailey.Control, scope bailey.Scope) bailey.Verdict {
	return bailey.Verdict{Control: c.ID, Scope: scope, Rung: bailey.Rung(mix(i) % 5), Findings: i % 4, Coverage: bailey.Coverage{Seen: 40, Needed: 42}, Next: "run its experiments: bailey prove"}
}

// fill brings a store to so many findings, of which some have gone, and gives how long the whole took to keep.
func (d *pagesData) fill(ctx context.Context, s *store.Store, findings int) (time.Duration, error) {
	all := d.whole(findings)
	begun := time.Now()
	if err := s.Replace(ctx, pagesCluster, d.at, all); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	spaces := d.spaces(findings)
	var gone []bailey.Ref
	for i := 0; i < findings/pagesObject; i += pagesGone {
		gone = append(gone, d.object(i+1, spaces))
		if len(gone) == 200 || i+pagesGone >= findings/pagesObject {
			if err := s.Apply(ctx, pagesCluster, d.at.Add(time.Second), store.Delta{Gone: gone}); err != nil {
				return 0, err
			}
			gone = nil
		}
	}
	return took, nil
}
