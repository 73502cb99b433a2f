package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// standing is where one control stands over all of its scopes: where the worst
// one does.
type standing struct {
	control *bailey.Control
	rung    bailey.Rung
	// scopes counts those of the control's own kind, and at those on each rung.
	scopes int
	at     [bailey.RungProven + 1]int
	// coverage is that of the widest scope, which takes in what is below it.
	coverage bailey.Coverage
	verdicts int
	// waivedUntil is set when every gap is waived: the earliest expiry.
	waivedUntil time.Time
	// proof sums up what experiments showed; nil where there is none.
	proof *bailey.Proof
	// next is what would change the verdict of a scope on the worst rung.
	next string
}

// ladder sums the verdicts up for each control, worst rung first and then in
// the catalogue's order. Controls that this version has nothing to check with
// come apart.
func ladder(r *bailey.Report) (lines []*standing, unchecked []*bailey.Control) {
	byID := map[string]*standing{}
	var all []*standing
	for _, c := range r.Controls {
		s := &standing{control: c, rung: bailey.RungUnknown}
		byID[c.ID] = s
		all = append(all, s)
	}
	gaps := map[*standing]int{} // gaps that are not waived
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		s := byID[v.Control]
		if s == nil {
			s = &standing{control: &bailey.Control{ID: v.Control, Scope: v.Scope.Kind}}
			byID[v.Control] = s
			all = append(all, s)
		}
		if s.verdicts == 0 || v.Rung < s.rung {
			s.rung, s.next = v.Rung, v.Next
		}
		if s.verdicts == 0 || v.Coverage.Needed > s.coverage.Needed {
			s.coverage = v.Coverage
		}
		s.verdicts++
		if v.Scope.Kind == s.control.Scope {
			s.scopes++
			s.at[v.Rung]++
		}
		if v.Rung == bailey.RungGap {
			if v.WaivedUntil.IsZero() {
				gaps[s]++
			} else if s.waivedUntil.IsZero() || v.WaivedUntil.Before(s.waivedUntil) {
				s.waivedUntil = v.WaivedUntil
			}
		}
	}
	proved := proofs(r)
	for _, s := range all {
		s.proof = proved[s.control.ID]
		if s.rung == bailey.RungUnknown && len(s.control.Rules) == 0 {
			unchecked = append(unchecked, s.control)
			continue
		}
		if gaps[s] > 0 {
			s.waivedUntil = time.Time{}
		}
		lines = append(lines, s)
	}
	slices.SortStableFunc(lines, func(a, b *standing) int { return cmp.Compare(a.rung, b.rung) })
	return lines, unchecked
}

// spread is "12 of 40 workloads": how many scopes stand on the worst rung.
func (s *standing) spread() string {
	kind := string(s.control.Scope)
	worst := s.at[s.rung]
	switch {
	case s.verdicts == 0:
		return "not judged"
	case s.control.Scope == bailey.ScopeCluster || s.control.Scope == bailey.ScopeRepository:
		return kind
	case s.scopes == 0 && s.rung == bailey.RungUnknown:
		return "no " + kind + " seen"
	case s.scopes == 0:
		return "no " + kind + " to judge"
	case worst == 0:
		// The scopes stand higher than what holds them: not all were seen.
		return count(s.scopes, kind) + " seen, not all"
	case worst == s.scopes:
		return count(s.scopes, kind)
	}
	return number(worst) + " of " + count(s.scopes, kind)
}

// where is the spread, and until when the gaps are waived if all are.
func (s *standing) where() string {
	if s.waivedUntil.IsZero() {
		return s.spread()
	}
	return s.spread() + ", waived until " + day(s.waivedUntil)
}

// word is the rung in words: "gap", "gap, waived until 2026-12-31", "provider's".
func (s *standing) word() string {
	if !s.waivedUntil.IsZero() {
		return s.rung.String() + ", waived until " + day(s.waivedUntil)
	}
	if s.rung == bailey.RungUnknown && s.coverage.Provider > 0 && s.coverage.Whole() {
		return "provider's" // all that is unknown
	}
	return s.rung.String()
}

// sign is a symbol of one column for the rung; the word stands beside it.
func sign(r bailey.Rung) string {
	switch r {
	case bailey.RungGap:
		return "✗"
	case bailey.RungSound:
		return "✓"
	case bailey.RungGuarded:
		return "❖"
	case bailey.RungProven:
		return "✦"
	}
	return "?"
}
