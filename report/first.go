package report

import "github.com/baileyhq/bailey"

// First is a rule of which something is to be put right before all else.
type First struct {
	Rule     string
	Title    string
	Severity bailey.Severity
	// Cause is where the change belongs that puts most right.
	Cause bailey.Ref
	// Finding stands for the others of the rule; Findings counts those that are open.
	Finding  *bailey.Finding
	Findings int
}

// FixFirst gives what to put right first, at most n: by severity, then by how many objects
// one change would put right. It is what the text report lists under that name.
func FixFirst(r *bailey.Report, n int) []First {
	var first []First
	for _, g := range fixFirst(groupFindings(r), n) {
		c := g.openCauses()[0]
		first = append(first, First{Rule: g.id, Title: g.title, Severity: g.severity, Cause: c.ref, Finding: c.first(), Findings: g.open})
	}
	return first
}
