package bailey

import (
	"slices"
	"time"
)

// Report is the result of judging one snapshot.
type Report struct {
	Meta Meta
	// Findings are sorted by severity (worst first), rule, object and field.
	Findings []Finding
	// Verdicts are sorted by control, in the catalogue's order, and scope: the
	// cluster first, then namespaces, then what is in them.
	Verdicts []Verdict
	Controls []*Control
	// Evidence is what the proofs of the verdicts rest on.
	Evidence []Evidence
	// Facts is the number of facts judged; Coverage counts reads over all
	// controls that have rules.
	Facts    int
	Coverage Coverage
	// Remedy computes the fix of a finding that does not carry one. It is nil in
	// a report that was read from a file. Renderers call FixOf.
	Remedy func(f *Finding) []Change
	// Diff is set when the report shows only what changed since another.
	Diff *Diff
	// Took is how long collecting and judging lasted.
	Took time.Duration
}

// FixOf gives the changes that silence a finding of this report. Fixes are
// computed when asked for: a scan has thousands of findings and shows a few.
func (r *Report) FixOf(f *Finding) []Change {
	if f.Fix != nil || r.Remedy == nil {
		return f.Fix
	}
	return r.Remedy(f)
}

// Rungs gives the rung on which each control stands for the whole cluster, by the control's ID.
func (r *Report) Rungs() map[string]Rung {
	rungs := map[string]Rung{}
	for i := range r.Verdicts {
		if v := &r.Verdicts[i]; v.Scope.Kind == ScopeCluster {
			rungs[v.Control] = v.Rung
		}
	}
	return rungs
}

// TotalCoverage adds up, over the controls that have rules, what verdicts of the whole cluster needed
// and saw.
func TotalCoverage(controls []*Control, verdicts []Verdict) Coverage {
	ruled := map[string]bool{}
	for _, c := range controls {
		ruled[c.ID] = len(c.Rules) > 0
	}
	var sum Coverage
	for i := range verdicts {
		v := &verdicts[i]
		if v.Scope.Kind != ScopeCluster || !ruled[v.Control] {
			continue
		}
		sum.Seen += v.Coverage.Seen
		sum.Needed += v.Coverage.Needed
		sum.Provider += v.Coverage.Provider
		for _, m := range v.Coverage.Missing {
			if !slices.Contains(sum.Missing, m) {
				sum.Missing = append(sum.Missing, m)
			}
		}
	}
	return sum
}

// Diff is what changed from an older report to this one, by finding ID.
type Diff struct {
	Old       Meta
	Added     int
	Fixed     []Finding
	Unchanged int
	// Unseen are older findings about objects that this report did not see:
	// neither fixed nor found again.
	Unseen []Finding
}

// FindRule gives the rule with this ID ("<control>/<rule>") and its control.
func FindRule(controls []*Control, id string) (*Control, *Rule) {
	for _, c := range controls {
		for _, r := range c.Rules {
			if c.RuleID(r) == id {
				return c, r
			}
		}
	}
	return nil, nil
}
