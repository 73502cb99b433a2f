package check

import (
	"context"
	"slices"

	"github.com/baileyhq/bailey"
)

// Laid is what an object brings that is laid over a session's snapshot.
type Laid struct {
	// Added are the findings, on whatever object, that were not there before, or were less
	// severe; with their fixes, the worst first.
	Added []bailey.Finding
	// Unjudged are the controls that did not see all they need to judge the object.
	Unjudged []Unjudged
}

// Unjudged is a control that could not judge an object, and the first thing that it lacked.
type Unjudged struct {
	Control string
	Missing bailey.Missing
}

// Lay judges what an object adds: the snapshot with after in it, against the snapshot with
// before in its place, which is nil where there was no such object. The session stays as it
// is: many goroutines may call Lay, as long as none calls Update. It fails only when ctx ends,
// which is looked at between objects.
func (n *Session) Lay(ctx context.Context, before, after *bailey.Fact) (Laid, error) {
	base := n.snap
	switch {
	case before != nil:
		base = n.snap.Overlay(before)
	case n.snap.Get(after.Ref) != nil:
		base = n.snap.Without(after.Ref) // it has gone since
	}
	next := base.Overlay(after)
	affected := map[bailey.Ref]struct{}{after.Ref: {}}
	n.addReaders(affected, n.snap, after.Ref)

	there := map[string]bailey.Severity{}
	var laid Laid
	old, now := newEvaluator(n.plan, base, nil), newEvaluator(n.plan, next, nil)
	remedy := n.plan.remedy(next)
	for ref := range affected {
		if ctx.Err() != nil {
			return Laid{}, context.Cause(ctx)
		}
		if f := base.Get(ref); n.judges(f) {
			o, known := n.judged[ref]
			j := judged{fact: f, outcome: o}
			if !known || base != n.snap {
				j = old.evaluate(f)
			}
			for _, finding := range n.plan.gather(base, []judged{j}, n.options.Weigher).findings {
				there[finding.ID] = max(there[finding.ID], finding.Severity)
			}
		}
		f := next.Get(ref)
		if !n.judges(f) {
			continue
		}
		j := now.evaluate(f)
		laid.Added = append(laid.Added, n.plan.gather(next, []judged{j}, n.options.Weigher).findings...)
		if ref != after.Ref {
			continue
		}
		for _, run := range j.runs {
			if run.missing != nil {
				laid.Unjudged = append(laid.Unjudged, Unjudged{n.plan.controls[run.control].ID, (*run.missing)[0]})
			}
		}
	}
	laid.Added = sortFindings(slices.DeleteFunc(laid.Added, func(f bailey.Finding) bool {
		severity, was := there[f.ID]
		return was && severity >= f.Severity
	}))
	for i := range laid.Added {
		laid.Added[i].Fix = remedy(&laid.Added[i])
	}
	return laid, nil
}

// judges reports whether a rule looks at the object, which may be nil.
func (n *Session) judges(f *bailey.Fact) bool {
	return f != nil && !f.Dormant && len(n.plan.byKind[f.Kind]) > 0
}
