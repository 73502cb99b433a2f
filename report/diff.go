package report

import (
	"strings"

	"github.com/baileyhq/bailey"
)

// Compare gives the new report with only those findings that the old one does
// not have, by ID, and Diff filled. An old finding that is not found again
// counts as fixed only if the new report saw what it was about.
func Compare(old, new *bailey.Report) *bailey.Report {
	before := make(map[string]bool, len(old.Findings))
	for i := range old.Findings {
		before[old.Findings[i].ID] = true
	}
	after := make(map[string]bool, len(new.Findings))
	diff := &bailey.Diff{Old: old.Meta}
	out := *new
	out.Findings = nil
	for i := range new.Findings {
		f := &new.Findings[i]
		after[f.ID] = true
		if before[f.ID] {
			diff.Unchanged++
		} else {
			out.Findings = append(out.Findings, *f)
		}
	}
	diff.Added = len(out.Findings)
	judge := newSight(new)
	for i := range old.Findings {
		f := &old.Findings[i]
		switch {
		case after[f.ID]:
		case judge.sees(f):
			diff.Fixed = append(diff.Fixed, *f)
		default:
			diff.Unseen = append(diff.Unseen, *f)
		}
	}
	out.Diff = diff
	return &out
}

// sight answers whether a report saw what a finding of another is about.
type sight struct {
	r        *bailey.Report
	rules    map[string]bool
	verdicts map[string]bool // controls that were judged
	missing  map[bailey.Kind][]bailey.Missing
	partial  map[controlScope]bool // scopes that were not seen whole
}

type controlScope struct {
	control string
	object  bailey.Ref
}

func newSight(r *bailey.Report) *sight {
	s := &sight{r: r, rules: map[string]bool{}, verdicts: map[string]bool{}, missing: map[bailey.Kind][]bailey.Missing{}, partial: map[controlScope]bool{}}
	for _, c := range r.Controls {
		for _, rule := range c.Rules {
			s.rules[c.RuleID(rule)] = true
		}
	}
	seen := map[bailey.Missing]bool{}
	add := func(missing []bailey.Missing) {
		for _, m := range missing {
			if !seen[m] {
				seen[m] = true
				s.missing[m.Kind] = append(s.missing[m.Kind], m)
			}
		}
	}
	add(r.Coverage.Missing)
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		s.verdicts[v.Control] = true
		add(v.Coverage.Missing)
		if v.Scope.Object != (bailey.Ref{}) && v.Coverage.Seen < v.Coverage.Needed {
			s.partial[controlScope{v.Control, v.Scope.Object}] = true
		}
	}
	return s
}

func (s *sight) sees(f *bailey.Finding) bool {
	if s.r.Facts == 0 || !s.verdicts[f.Control] {
		return false
	}
	// An expired waiver's finding belongs to no rule of the catalogue.
	if !s.rules[f.Rule] && f.Object.Kind != "Waiver.bailey.dev" {
		return false
	}
	for _, ref := range [...]bailey.Ref{f.Object, f.Cause} {
		for _, m := range s.missing[ref.Kind] {
			if (m.Namespace == "" || m.Namespace == ref.Namespace) && (m.Name == "" || m.Name == ref.Name) {
				return false
			}
		}
	}
	for _, t := range s.r.Meta.Targets {
		for _, skip := range t.Skipped {
			if f.Source.File != "" && strings.Contains(skip.What, f.Source.File) {
				return false
			}
		}
	}
	// What the rule needed besides the object, the verdict of its scope counts.
	return !s.partial[controlScope{f.Control, f.Object}] && !s.partial[controlScope{f.Control, f.Cause}]
}

// diffCounts is "3 added, 2 fixed, 40 unchanged".
func diffCounts(d *bailey.Diff) string {
	text := number(d.Added) + " added, " + number(len(d.Fixed)) + " fixed, " + number(d.Unchanged) + " unchanged"
	if n := len(d.Unseen); n > 0 {
		text += ", " + number(n) + " not seen again"
	}
	return text
}

// otherTarget warns when the two reports of a comparison are not of the same thing.
func otherTarget(r *bailey.Report) string {
	if old := r.Diff.Old; old.ClusterUID != r.Meta.ClusterUID {
		return "The two reports are not of the same cluster: what is fixed in one may never have been in the other."
	}
	return ""
}
