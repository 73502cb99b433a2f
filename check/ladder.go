package check

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// standing gathers what one control has for one scope, before it is a verdict.
type standing struct {
	scope        bailey.Scope
	findings     int
	waived       int
	waivedUntil  time.Time
	seen, needed int
	provider     int // of those that were not seen
	missing      []bailey.Missing
	// worstChild is the lowest rung below; children says whether there is any.
	worstChild bailey.Rung
	children   bool
	// objects is the number of objects judged here, and not in a child.
	objects int
	rung    bailey.Rung
	// broken tells that an experiment was, here or below.
	broken bool
	proof  *bailey.Proof
}

// missingLimit bounds how many missing facts a verdict names; all are counted.
const missingLimit = 20

func (st *standing) miss(missing []bailey.Missing) {
	for _, m := range missing {
		if len(st.missing) >= missingLimit {
			return
		}
		st.missing = addMissing(st.missing, m)
	}
}

// ladder computes one control's verdicts, the cluster's first.
type ladder struct {
	plan     *plan
	snap     *bailey.Snapshot
	control  *bailey.Control
	view     *bailey.View
	scopes   map[bailey.Scope]*standing
	proofs   map[bailey.Scope][]counted
	counting []bailey.Evidence // what proofs rest on
	present  map[*bailey.Guard]map[bailey.Ref]bool
	todays   map[plannedFor]planned
}

func newLadder(p *plan, s *bailey.Snapshot, c *bailey.Control, evidence []bailey.Evidence) *ladder {
	l := &ladder{plan: p, snap: s, control: c, view: bailey.NewView(s), scopes: map[bailey.Scope]*standing{}, proofs: map[bailey.Scope][]counted{},
		present: map[*bailey.Guard]map[bailey.Ref]bool{}, todays: map[plannedFor]planned{}}
	l.takeEvidence(evidence)
	l.at(bailey.Scope{Kind: bailey.ScopeCluster})
	return l
}

func (l *ladder) at(s bailey.Scope) *standing {
	st := l.scopes[s]
	if st == nil {
		st = &standing{scope: s, worstChild: bailey.RungProven}
		l.scopes[s] = st
	}
	return st
}

// addLists counts, for the cluster and every namespace, whether the objects
// that the control's rules judge were seen at all: a control is not sound for
// a place whose objects nobody could list.
func (l *ladder) addLists(namespaces []string) {
	kinds := map[bailey.Kind]bool{}
	for _, r := range l.control.Rules {
		if r.FilesOnly && l.snap.Meta.Medium == "cluster" {
			continue
		}
		for _, k := range r.On {
			kinds[k] = true
		}
	}
	byNamespace := l.control.Scope == bailey.ScopeNamespace || l.control.Scope == bailey.ScopeWorkload
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		l.addList(l.at(bailey.Scope{Kind: bailey.ScopeCluster}), l.snap.Unseen(k, "", ""))
		if !byNamespace {
			continue
		}
		for _, ns := range namespaces {
			if k == bailey.KindNamespace {
				l.addList(l.at(namespaceScope(ns)), l.snap.Unseen(k, "", ns))
			} else if l.isNamespaced(k) {
				l.addList(l.at(namespaceScope(ns)), l.snap.Unseen(k, ns, ""))
			}
		}
	}
}

func (l *ladder) addList(st *standing, unseen *bailey.Missing) {
	st.needed++
	if unseen == nil {
		st.seen++
	} else {
		st.miss([]bailey.Missing{*unseen})
		st.provider += providers([]bailey.Missing{*unseen})
	}
}

// isNamespaced reports whether objects of the kind live in namespaces, as far
// as the facts show; a kind without facts counts as namespaced unless it is
// known not to be.
func (l *ladder) isNamespaced(k bailey.Kind) bool {
	if facts := l.snap.List(k, ""); len(facts) > 0 {
		return facts[0].Namespace != ""
	}
	return !k.IsClusterWide()
}

// order gives what is counted for each scope, parents before what is in them.
func (l *ladder) order() []*standing {
	all := make([]*standing, 0, len(l.scopes))
	for _, st := range l.scopes {
		all = append(all, st)
	}
	for _, st := range all { // every scope has all its parents
		for s, more := parentOf(st.scope); more; s, more = parentOf(s) {
			if l.scopes[s] == nil {
				all = append(all, l.at(s))
			}
		}
	}
	slices.SortFunc(all, func(a, b *standing) int { return compareScopes(a.scope, b.scope) })
	return all
}

// close computes the verdicts of what was counted, in its order, from the smallest scope to the cluster.
func (l *ladder) close(all []*standing, verdicts []bailey.Verdict) {
	for i := len(all) - 1; i >= 0; i-- { // children sort after their parents
		st := all[i]
		st.rung = l.rung(st)
		if parent, more := parentOf(st.scope); more {
			p := l.scopes[parent]
			p.children = true
			p.worstChild = min(p.worstChild, st.rung)
			p.broken = p.broken || st.broken
			p.findings += st.findings
			p.waived += st.waived
			p.seen += st.seen
			p.needed += st.needed
			p.provider += st.provider
			p.miss(st.missing)
			if p.waivedUntil.IsZero() || !st.waivedUntil.IsZero() && st.waivedUntil.Before(p.waivedUntil) {
				p.waivedUntil = st.waivedUntil
			}
		}
		verdicts[i] = l.verdict(st)
	}
}

func (l *ladder) verdict(st *standing) bailey.Verdict {
	v := bailey.Verdict{Control: l.control.ID, Scope: st.scope, Rung: st.rung, Findings: st.findings,
		Coverage: bailey.Coverage{Seen: st.seen, Needed: st.needed, Provider: st.provider, Missing: st.missing}, Proof: st.proof}
	if st.findings > 0 && st.findings == st.waived && !st.broken {
		v.WaivedUntil = st.waivedUntil
	}
	v.Next = l.next(st)
	return v
}

// rung is the ladder. The order of the cases is the laws: a gap beats
// everything, a missing fact is never a pass, proof counts only on what is sound.
func (l *ladder) rung(st *standing) bailey.Rung {
	own := l.ownRung(st)
	switch {
	case !st.children:
		return own
	case st.objects == 0 && own >= bailey.RungSound:
		return st.worstChild // a parent with nothing of its own
	}
	return min(own, st.worstChild)
}

func (l *ladder) ownRung(st *standing) bailey.Rung {
	var proven bool
	st.proof, proven = l.proof(st.scope)
	broken := st.proof != nil && len(st.proof.Broken) > 0
	st.broken = st.broken || broken
	switch {
	case st.findings > 0 || broken:
		return bailey.RungGap
	case len(l.control.Rules) == 0 || len(st.missing) > 0 || st.seen < st.needed || st.needed == 0:
		return bailey.RungUnknown
	case proven:
		return bailey.RungProven
	case l.guarded(st.scope):
		return bailey.RungGuarded
	}
	return bailey.RungSound
}

func experimentOf(c *bailey.Control, name string) *bailey.Experiment {
	for _, x := range c.Experiments {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// guarded reports whether guards that are in place for the scope, or for a
// larger one, cover every rule that judges objects of the scope itself. What
// judges the guard's own object (a namespace's labels) no label can cover: there
// the namespace stays sound while its workloads are guarded.
func (l *ladder) guarded(s bailey.Scope) bool {
	covered := map[*bailey.Rule]bool{}
	for _, g := range l.control.Guards {
		for at, more := s, true; more; at, more = parentOf(at) {
			if at.Kind == g.Scope && l.inPlace(g, at.Object) {
				for _, r := range g.Covers {
					covered[r] = true
				}
			}
		}
	}
	needed := rulesOf(l.control, s.Kind == bailey.ScopeWorkload)
	if len(needed) == 0 {
		needed = l.control.Rules
	}
	return !slices.ContainsFunc(needed, func(r *bailey.Rule) bool { return !covered[r] })
}

// rulesOf gives the rules that judge pods and their templates, or the others.
func rulesOf(c *bailey.Control, podBearing bool) []*bailey.Rule {
	var rules []*bailey.Rule
	for _, r := range c.Rules {
		if slices.ContainsFunc(r.On, bailey.Kind.IsPodBearing) == podBearing {
			rules = append(rules, r)
		}
	}
	return rules
}

func (l *ladder) inPlace(g *bailey.Guard, scope bailey.Ref) bool {
	if in, known := l.present[g][scope]; known {
		return in
	}
	in := l.isPresent(g, scope)
	if l.present[g] == nil {
		l.present[g] = map[bailey.Ref]bool{}
	}
	l.present[g][scope] = in
	return in
}

// isPresent asks the guard. One that fails is not in place: a guard's defect
// must not cost the user the report.
func (l *ladder) isPresent(g *bailey.Guard, scope bailey.Ref) (in bool) {
	defer func() {
		if recover() != nil {
			in = false
		}
	}()
	l.view.Allow(nil, g.Needs, g.Derives)
	return g.Present(l.view, scope).InPlace && len(l.view.Missing()) == 0
}

// compareScopes puts the cluster first, then each namespace followed by what
// is in it, so that parents come before their children.
func compareScopes(a, b bailey.Scope) int {
	namespace := func(s bailey.Scope) string {
		if s.Kind == bailey.ScopeNamespace {
			return s.Object.Name
		}
		return s.Object.Namespace
	}
	rank := func(s bailey.Scope) int {
		switch s.Kind {
		case bailey.ScopeCluster:
			return 0
		case bailey.ScopeNamespace:
			return 1
		}
		return 2
	}
	if (rank(a) == 0) != (rank(b) == 0) {
		return cmp.Compare(rank(a), rank(b))
	}
	if c := cmp.Compare(namespace(a), namespace(b)); c != 0 {
		return c
	}
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	return a.Object.Compare(b.Object)
}
