package check

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// gathered is every finding of a report, with the scope that each makes a gap in.
type gathered struct {
	findings []bailey.Finding
	scopes   []bailey.Scope
	folded   map[foldKey]int
	weigher  *bailey.Weigher // nil weighs nothing
	view     *bailey.View
	// weighed is the object that was weighed last: its findings come in a row.
	weighed *bailey.Fact
	factors []bailey.Factor
}

// weigh gives the finding the severity that it has where it is.
func (g *gathered) weigh(f *bailey.Finding, fact *bailey.Fact) {
	if g.weigher == nil {
		return
	}
	if g.weighed != fact {
		g.view.Allow(bailey.PodBearing, g.weigher.Needs, g.weigher.Derives)
		g.weighed, g.factors = fact, g.weigher.Factors(g.view, fact)
	}
	f.Base, f.Factors = f.Severity, bailey.Besides(g.factors, f.Field)
	f.Severity = bailey.Weigh(f.Base, f.Factors)
}

// gather collects what the rules found, completes it, and folds what has one
// cause into one finding.
func (p *plan) gather(s *bailey.Snapshot, results []judged, w *bailey.Weigher) *gathered {
	// Most of what dependents say is folded away, and needs no room.
	total := 0
	for i := range results {
		if results[i].fact.Owner.Name == "" {
			total += len(results[i].said)
		}
	}
	total += total / 8 // of dependents that say something else
	g := &gathered{findings: make([]bailey.Finding, 0, total), scopes: make([]bailey.Scope, 0, total),
		folded: make(map[foldKey]int, total), weigher: w, view: bailey.NewView(s)}
	// Owners come before what they own, so that a pod's finding meets its
	// Deployment's whatever the order of the kinds.
	for _, dependents := range []bool{false, true} {
		for i := range results {
			j := &results[i]
			if len(j.said) == 0 {
				continue
			}
			own := ownersOf(s, j.fact)
			if (own.workload != j.fact.Ref || own.cause != j.fact.Ref) != dependents {
				continue
			}
			for k := range j.said {
				f := &j.said[k]
				if !j.variant || !g.has(p.ruleIDs[f.rule], f, j.fact.Ref) {
					g.add(p.controls[f.control], p.ruleIDs[f.rule], f, j, own)
				}
			}
		}
	}
	return g
}

// accept marks what waivers and the baseline take in, and adds a finding for
// each waiver that has expired.
func (p *plan) accept(findings []bailey.Finding, at time.Time, o Options) []bailey.Finding {
	findings = applyWaivers(findings, o.Waivers, p.controls, at)
	for i := range findings {
		findings[i].Baseline = o.Baseline[findings[i].ID]
	}
	return findings
}

// foldKey names a finding independently of which of a workload's objects it
// was found on. Findings of two workloads are two, and so are two severities:
// none may hide behind another.
type foldKey struct {
	rule     *bailey.Rule
	workload bailey.Ref
	path     string
	severity bailey.Severity
}

// has reports whether the object's findings, which come in a row, hold the one already.
func (g *gathered) has(id string, f *said, object bailey.Ref) bool {
	for i := len(g.findings) - 1; i >= 0 && g.findings[i].Object == object; i-- {
		if other := &g.findings[i]; other.Rule == id && cmp.Or(other.Named, other.Field) == cmp.Or(f.named, f.field) {
			return true
		}
	}
	return false
}

func (g *gathered) add(c *bailey.Control, id string, f *said, j *judged, own owners) {
	fact, named := j.fact, cmp.Or(f.named, f.field)
	if fact.Kind.IsPodBearing() {
		key := foldKey{f.rule, own.workload, templatePath(fact.Kind, named), bailey.Severity(f.severity)}
		if at, found := g.folded[key]; found && g.findings[at].Object != fact.Ref {
			first := &g.findings[at]
			// One object's findings come in a row: its Ref can only be the last.
			if n := len(first.Related); n == 0 || first.Related[n-1] != fact.Ref {
				g.relate(at, fact.Ref)
			}
			return
		}
		g.folded[key] = len(g.findings)
	}
	done := f.finding()
	done.Control, done.Rule = c.ID, id
	if done.Severity == bailey.SeverityNone {
		done.Severity = f.rule.Severity
	}
	if c.Weighed && fact.Kind.IsPodBearing() {
		g.weigh(&done, fact)
	}
	done.Object, done.APIVersion, done.Cause = fact.Ref, fact.APIVersion, own.cause
	done.Source = fact.Source.At(f.field)
	done.Source.Locate = nil
	if j.variant { // to mend the one that counts leaves it
		named += "\x00variant"
	}
	done.ID = bailey.FindingID(done.Rule, done.Object, named)
	for i := len(g.findings) - 1; i >= 0 && g.findings[i].Object == fact.Ref; i-- {
		if g.findings[i].ID == done.ID { // a rule with two things to say of one field
			done.ID = bailey.FindingID(done.Rule, done.Object, named+"\x00"+done.Message)
		}
	}
	g.findings = append(g.findings, done)
	g.scopes = append(g.scopes, scopeOf(c.Scope, fact, own))
}

// relate adds an object to a finding. The findings of one workload have the same objects beside
// them, more often than not: where the one before has what this one needs, they share it.
func (g *gathered) relate(at int, ref bailey.Ref) {
	f := &g.findings[at]
	n := len(f.Related)
	if at > 0 {
		if before := g.findings[at-1].Related; len(before) > n && before[n] == ref && (n == 0 || &before[0] == &f.Related[0] || slices.Equal(before[:n], f.Related)) {
			f.Related = before[: n+1 : n+1]
			return
		}
	}
	f.Related = append(f.Related, ref)
}

// sortFindings puts the worst first; equal ones by rule, object and field. It
// sorts an index, and moves each finding once, since a finding is large.
func sortFindings(findings []bailey.Finding) []bailey.Finding {
	order := make([]int, len(findings))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &findings[i], &findings[j]
		if c := cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(len(b.Factors), len(a.Factors))); c != 0 {
			return c
		}
		if c := strings.Compare(a.Rule, b.Rule); c != 0 {
			return c
		}
		if c := a.Object.Compare(b.Object); c != 0 {
			return c
		}
		if c := strings.Compare(a.Field, b.Field); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	// order is a permutation of cycles; where a place is filled, it names itself.
	for start := range order {
		first := findings[start]
		at := start
		for order[at] != start {
			from := order[at]
			findings[at], order[at], at = findings[from], at, from
		}
		if at != start {
			findings[at], order[at] = first, at
		}
	}
	return findings
}
