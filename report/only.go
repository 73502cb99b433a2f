package report

import (
	"slices"

	"github.com/baileyhq/bailey"
)

// Only narrows a whole report to some controls of the catalogue, as if nothing else had been
// judged. The lists of r are filtered in place.
func Only(r *bailey.Report, chosen []*bailey.Control) {
	has := make(map[string]*bailey.Control, len(chosen))
	for _, c := range chosen {
		has[c.ID] = c
	}
	r.Controls = chosen
	r.Findings = slices.DeleteFunc(r.Findings, func(f bailey.Finding) bool { return has[f.Control] == nil })
	r.Verdicts = slices.DeleteFunc(r.Verdicts, func(v bailey.Verdict) bool { return has[v.Control] == nil })
	r.Evidence = slices.DeleteFunc(r.Evidence, func(e bailey.Evidence) bool { return has[e.Control] == nil })
	r.Coverage = bailey.TotalCoverage(chosen, r.Verdicts)
}
