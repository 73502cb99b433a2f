package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// brokenLimit bounds how many broken paths of one experiment a proof names.
const brokenLimit = 5

// takeEvidence replays what the control's experiments showed, and keeps what
// counts at the snapshot's moment: what is within its window, and what was broken
// and not put right. What has gone since does not count: it cannot be tried again.
func (l *ladder) takeEvidence(evidence []bailey.Evidence) {
	type key struct {
		experiment string
		scope      bailey.Scope
	}
	at := l.snap.Meta.At
	var own []bailey.Evidence
	for _, e := range evidence {
		// The moment of a snapshot is in whole seconds: what was proven within the same
		// second came before.
		if e.Control == l.control.ID && !e.At.Truncate(time.Second).After(at) {
			own = append(own, e)
		}
	}
	sortEvidence(own)
	histories := map[key]*history{}
	var order []*history
	for _, e := range own {
		k := key{e.Experiment, e.Scope}
		h, known := histories[k]
		if !known {
			if x := experimentOf(l.control, e.Experiment); x != nil && !l.gone(e.Scope) {
				h = newHistory(x, e.Scope)
				order = append(order, h)
			}
			histories[k] = h
		}
		if h != nil {
			h.add(e, at.Sub(e.At) <= h.experiment.Window)
		}
	}
	for _, h := range order {
		today := l.today(h.experiment, h.scope)
		standing := h.standing(at, today)
		if h.fresh == 0 && len(standing) == 0 {
			continue
		}
		l.proofs[h.scope] = append(l.proofs[h.scope], count(h, today, standing))
		l.counting = append(l.counting, h.counting(standing)...)
		if len(standing) > 0 {
			l.at(h.scope) // it counts even where the rules have nothing to judge
		}
	}
}

// LostClaims says of each path that nobody claims to refuse any more, by the newest
// evidence, why that is a break: it was refused not long before, or it was broken and
// never put right. Earlier evidence may be of anything; only what is of the same
// experiment and scope counts.
func LostClaims(x *bailey.Experiment, earlier []bailey.Evidence, newest bailey.Evidence) (lost []string) {
	var own []bailey.Evidence
	for _, e := range earlier {
		if e.Control == newest.Control && e.Experiment == newest.Experiment && e.Scope == newest.Scope {
			own = append(own, e)
		}
	}
	sortEvidence(own)
	h := newHistory(x, newest.Scope)
	for _, e := range append(own, newest) {
		h.add(e, true)
	}
	for _, name := range newest.Unclaimed {
		if p := h.paths[name]; p.broken != "" {
			lost = append(lost, p.broken)
		}
	}
	return lost
}

// gone reports whether the scope's object is seen not to be there.
func (l *ladder) gone(s bailey.Scope) bool {
	ref := s.Object
	return ref.Name != "" && l.snap.Get(ref) == nil && l.snap.Unseen(ref.Kind, ref.Namespace, ref.Name) == nil
}

// proof adds up what the control's experiments showed for the scope or a
// larger one. It is nil where there is no evidence. Every experiment can break the
// control; to prove it those that are needed have to hold.
func (l *ladder) proof(scope bailey.Scope) (p *bailey.Proof, proven bool) {
	p = &bailey.Proof{}
	held := map[string]bool{}
	bounded := false // whether Least is of any experiment yet
	for at, more := scope, true; more; at, more = parentOf(at) {
		for i := range l.proofs[at] {
			h := &l.proofs[at][i]
			p.Held += h.held
			p.Tried += h.held
			if h.experiment.IsNeeded() && (!bounded || h.least < p.Least) {
				p.Least, bounded = h.least, true
			}
			if newest := h.evidence[len(h.evidence)-1].At; newest.After(p.At) {
				p.At = newest
			}
			for _, name := range h.standing[:min(len(h.standing), brokenLimit)] {
				p.Broken = append(p.Broken, h.experiment.Name+": "+h.path(name).broken)
			}
			held[h.experiment.Name] = held[h.experiment.Name] || h.proven
		}
	}
	if p.At.IsZero() {
		return nil, false
	}
	slices.Sort(p.Broken)
	for _, x := range l.control.Experiments {
		if !x.IsNeeded() {
			continue
		}
		if held[x.Name] {
			p.Experiments++
		} else if l.nothingToTry(x, scope) {
			continue
		}
		p.Needed++
	}
	return p, len(p.Broken) == 0 && p.Needed > 0 && p.Experiments == p.Needed
}

func sortEvidence(all []bailey.Evidence) {
	slices.SortStableFunc(all, func(a, b bailey.Evidence) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Run, b.Run))
	})
}
