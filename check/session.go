package check

import (
	"context"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// Session keeps what was judged, and judges again only what a change can
// affect: the changed object, and the objects whose rules read it. A Session
// belongs to one goroutine.
type Session struct {
	plan    *plan
	snap    *bailey.Snapshot
	options Options
	judged  map[bailey.Ref]*outcome
	shared  *pool
}

// NewSession judges the snapshot whole and keeps the result. It fails only
// when ctx ends.
func NewSession(ctx context.Context, s *bailey.Snapshot, controls []*bailey.Control, o Options) (*Session, error) {
	p := newPlan(controls)
	shared := newPool()
	results, err := p.evaluateAll(ctx, s, o.Workers, shared)
	if err != nil {
		return nil, err
	}
	n := &Session{plan: p, snap: s, options: o, judged: make(map[bailey.Ref]*outcome, len(results)), shared: shared}
	for _, j := range results {
		n.keep(j)
	}
	return n, nil
}

// Snapshot is the one that the session stands at.
func (n *Session) Snapshot() *bailey.Snapshot { return n.snap }

// Update replaces, adds and removes objects, judges again what read them, and
// gives the objects that were judged again, sorted.
func (n *Session) Update(facts []*bailey.Fact, gone []bailey.Ref) []bailey.Ref {
	old, next := n.snap, n.snap.Overlay(facts...)
	if len(gone) > 0 {
		next = next.Without(gone...)
	}
	n.snap = next
	e := newEvaluator(n.plan, next, n.shared)
	again := map[bailey.Ref]struct{}{}
	for _, f := range facts {
		again[f.Ref] = struct{}{}
		n.addReaders(again, old, f.Ref)
	}
	for _, ref := range gone {
		n.forget(ref)
		n.addReaders(again, old, ref)
	}
	done := make([]bailey.Ref, 0, len(again))
	for ref := range again {
		n.forget(ref)
		if f := next.Get(ref); f != nil {
			if !f.Dormant && len(n.plan.byKind[f.Kind]) > 0 {
				n.keep(e.evaluate(f))
			}
			done = append(done, ref)
		}
	}
	slices.SortFunc(done, bailey.Ref.Compare)
	return done
}

// Findings gives what is wrong with one object now, with the waivers and the
// baseline applied, folded with nothing.
func (n *Session) Findings(ref bailey.Ref) []bailey.Finding {
	o, known := n.judged[ref]
	if !known {
		return nil
	}
	found := n.plan.gather(n.snap, []judged{{fact: n.snap.Get(ref), outcome: o}}, n.options.Weigher).findings
	// What follows the object's own are expired waivers, which are not its.
	return sortFindings(n.plan.accept(found, n.snap.Meta.At, n.options)[:len(found)])
}

// Report gives the whole report as it stands, the same as Judge would.
func (n *Session) Report() *bailey.Report { return n.Freeze()() }

// Freeze keeps what stands now, and gives the function that makes the report of it. Any
// goroutine may call that, while the session goes on.
func (n *Session) Freeze() func() *bailey.Report {
	snap, options := n.snap, n.options
	results := make([]judged, 0, len(n.judged))
	for _, k := range snap.Kinds() {
		for _, f := range snap.List(k, "") {
			if o, known := n.judged[f.Ref]; known {
				results = append(results, judged{fact: f, outcome: o})
			}
		}
	}
	return func() *bailey.Report { return n.plan.report(snap, results, options) }
}

// Advance moves the session to a later moment, at which evidence and waivers are weighed
// anew. What rules said stays of the moment they said it, until their object is judged again.
func (n *Session) Advance(at time.Time) {
	next := n.snap.Overlay()
	next.Meta.At = at
	n.snap = next
}

// Accept replaces the waivers, the baseline and the evidence.
func (n *Session) Accept(waivers []bailey.Waiver, baseline Baseline, evidence []bailey.Evidence) {
	n.options.Waivers, n.options.Baseline, n.options.Evidence = waivers, baseline, evidence
}

func (n *Session) addReaders(again map[bailey.Ref]struct{}, old *bailey.Snapshot, ref bailey.Ref) {
	for _, read := range []bailey.Read{
		{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name},
		{Kind: ref.Kind, Namespace: ref.Namespace},
		{Kind: ref.Kind},
	} {
		if r := n.shared.readings[read]; r != nil {
			r.addTo(again)
		}
	}
	for d, r := range n.shared.derived {
		if old.DerivedTouched(d, ref) {
			r.addTo(again)
		}
	}
}

func (n *Session) keep(j judged) {
	n.judged[j.fact.Ref] = j.outcome
	n.shared.hold(j.outcome, j.fact.Ref)
}

func (n *Session) forget(ref bailey.Ref) {
	if o, known := n.judged[ref]; known {
		delete(n.judged, ref)
		n.shared.release(o, ref)
	}
}
