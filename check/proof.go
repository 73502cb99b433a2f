package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// brokenLimit bounds how many broken paths a proof names.
const brokenLimit = 5

// stretch is what the evidence of one experiment for one scope adds up to.
type stretch struct {
	paths      map[string]bailey.Tally
	needed     []string // the paths of the newest run
	conditions string
	broken     []string
	newest     bailey.Evidence
}

// held reports whether every path was tried often enough, and held.
func (s *stretch) held(tries int) bool {
	return len(s.needed) > 0 && s.least() >= tries
}

func (s *stretch) least() int {
	least := -1
	for _, path := range s.needed {
		if held := s.paths[path].Held; least < 0 || held < least {
			least = held
		}
	}
	return max(least, 0)
}

// add takes the next run in. Tries add up while guards, plan and versions stay;
// a broken one ends the stretch, and stands until as many tries as a proof asks for
// have held since: one run that holds is no answer to a control that fails one
// time in four.
func (s *stretch) add(e bailey.Evidence, tries int) {
	s.newest = e
	total := e.Total()
	if total.Broken > 0 {
		s.paths, s.broken = nil, nil
		for _, t := range e.Paths {
			if t.Broken > 0 && len(s.broken) < brokenLimit {
				s.broken = append(s.broken, e.Experiment+": "+describe(t))
			}
		}
		return
	}
	if e.Interrupted {
		return
	}
	if s.paths == nil || e.Conditions != s.conditions {
		s.paths = map[string]bailey.Tally{}
		s.conditions = e.Conditions
	}
	s.needed = s.needed[:0]
	for _, t := range e.Paths {
		if t.Inconclusive == 0 { // a path that a run could not settle gains nothing by that run
			sum := s.paths[t.Path]
			sum.Add(t)
			s.paths[t.Path] = sum
		}
		if !slices.Contains(s.needed, t.Path) {
			s.needed = append(s.needed, t.Path)
		}
	}
	if s.held(tries) {
		s.broken = nil
	}
}

func describe(t bailey.Tally) string {
	if len(t.Why) == 0 {
		return t.Path
	}
	return t.Path + ": " + t.Why[0]
}

// proof adds up what the control's experiments showed for the scope or a
// larger one, each within its window. It is nil where there is no evidence.
// Disruptive experiments can break a control, and are not needed to prove
// it: a platform must be provable without being disturbed.
func (l *ladder) proof(scope bailey.Scope) (p *bailey.Proof, proven bool) {
	type key struct {
		experiment string
		scope      bailey.Scope
	}
	groups := map[key]*stretch{}
	for _, e := range l.evidence { // sorted by time
		x := l.experiment(e.Experiment)
		if x == nil || !covers(e.Scope, scope) || !isFresh(e, x.Window, l.snap.Meta.At) {
			continue
		}
		k := key{e.Experiment, e.Scope}
		if groups[k] == nil {
			groups[k] = &stretch{}
		}
		groups[k].add(e, x.Danger.Tries())
	}
	if len(groups) == 0 {
		return nil, false
	}
	p = &bailey.Proof{}
	held := map[string]bool{}
	bounded := false // whether Least is of any experiment yet
	for k, s := range groups {
		x := l.experiment(k.experiment)
		for _, path := range s.needed {
			t := s.paths[path]
			p.Held += t.Held
			p.Tried += t.Held + t.Broken
		}
		if least := s.least(); x.Danger != bailey.DangerDisruptive && (!bounded || least < p.Least) {
			p.Least, bounded = least, true
		}
		if s.newest.At.After(p.At) {
			p.At = s.newest.At
		}
		p.Broken = append(p.Broken, s.broken...)
		held[k.experiment] = held[k.experiment] || s.held(x.Danger.Tries())
	}
	slices.Sort(p.Broken)
	for _, x := range l.control.Experiments {
		if x.Danger == bailey.DangerDisruptive {
			continue
		}
		p.Needed++
		if held[x.Name] {
			p.Experiments++
		}
	}
	return p, len(p.Broken) == 0 && p.Needed > 0 && p.Experiments == p.Needed
}

// isFresh reports whether evidence counts at a moment: taken before it, and no
// longer ago than the window. What was broken does not mend by waiting: it stands
// until it was tried again. The moment of a snapshot is in whole seconds, so that
// what was proven within the same second came before.
func isFresh(e bailey.Evidence, window time.Duration, at time.Time) bool {
	total := e.Total()
	return !e.At.Truncate(time.Second).After(at) && (at.Sub(e.At) <= window || total.Broken > 0)
}

func sortEvidence(all []bailey.Evidence) {
	slices.SortStableFunc(all, func(a, b bailey.Evidence) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Run, b.Run))
	})
}
