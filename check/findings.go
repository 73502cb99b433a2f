package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// scoped is a finding with the scope that it makes a gap in.
type scoped struct {
	bailey.Finding
	control int
	scope   bailey.Scope
}

// findings gathers what the rules found, completes it, and folds what has one
// cause into one finding.
func (p *plan) findings(s *bailey.Snapshot, results []judged, o Options) []scoped {
	total := 0
	for i := range results {
		total += len(results[i].findings)
	}
	all := make([]scoped, 0, total)
	folded := map[foldKey]int{}
	// Owners come before what they own, so that a pod's finding meets its
	// Deployment's whatever the order of the kinds.
	for _, dependents := range []bool{false, true} {
		for i := range results {
			j := &results[i]
			if len(j.findings) == 0 {
				continue
			}
			own := ownersOf(s, j.fact)
			if (own.workload != j.fact.Ref || own.cause != j.fact.Ref) != dependents {
				continue
			}
			for k := range j.findings {
				p.add(&all, folded, &j.findings[k], j.fact, own)
			}
		}
	}
	for i := range all {
		all[i].Baseline = o.Baseline[all[i].ID]
	}
	return all
}

// foldKey names a finding independently of which of a workload's objects it
// was found on.
type foldKey struct {
	rule  *bailey.Rule
	cause bailey.Ref
	path  string
}

func (p *plan) add(all *[]scoped, folded map[foldKey]int, f *found, fact *bailey.Fact, own owners) {
	c := p.controls[f.control]
	named := f.Named
	if named == "" {
		named = f.Field
	}
	if fact.Kind.IsPodBearing() {
		// The cause may be a custom resource that was not judged; what its
		// dependents share is folded under the workload all the same.
		key := foldKey{f.rule, own.cause, templatePath(fact.Kind, named)}
		if at, found := folded[key]; found && (*all)[at].Object != fact.Ref {
			first := &(*all)[at]
			// One object's findings come in a row: its Ref can only be the last.
			if n := len(first.Related); n == 0 || first.Related[n-1] != fact.Ref {
				first.Related = append(first.Related, fact.Ref)
			}
			return
		}
		folded[key] = len(*all)
	}
	done := f.Finding
	done.Control, done.Rule = c.ID, c.RuleID(f.rule)
	if done.Severity == bailey.SeverityNone {
		done.Severity = f.rule.Severity
	}
	done.Object, done.APIVersion, done.Cause = fact.Ref, fact.APIVersion, own.cause
	done.Source = fact.Source.At(f.Field)
	done.Source.Locate = nil
	done.ID = bailey.FindingID(done.Rule, done.Object, named)
	for i := len(*all) - 1; i >= 0 && (*all)[i].Object == fact.Ref; i-- {
		if (*all)[i].ID == done.ID { // a rule with two things to say of one field
			done.ID = bailey.FindingID(done.Rule, done.Object, named+"\x00"+done.Message)
		}
	}
	*all = append(*all, scoped{done, f.control, scopeOf(c.Scope, fact, own)})
}

// sortFindings puts the worst first; equal ones by rule, object and field.
func sortFindings(findings []bailey.Finding) {
	slices.SortStableFunc(findings, func(a, b bailey.Finding) int {
		if c := cmp.Compare(b.Severity, a.Severity); c != 0 {
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
}
