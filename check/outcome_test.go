package check

import (
	"fmt"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestOutcomesAreSharedAndForgotten: objects that are alike share one outcome, and what no
// object has any more is kept nowhere, however long a session goes on.
func TestOutcomesAreSharedAndForgotten(t *testing.T) {
	rule := &bailey.Rule{Name: "named", On: []bailey.Kind{bailey.KindPod}, Needs: []bailey.Kind{bailey.KindService}, Severity: bailey.SeverityLow,
		Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
			v.List(bailey.KindService, f.Namespace)
			return []bailey.Finding{{Message: "it runs " + f.Labels["app"]}}
		}}
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
	b.Saw(bailey.KindPod, "")
	b.Saw(bailey.KindService, "")
	pod := func(i int, app string) *bailey.Fact {
		return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: fmt.Sprint("p", i)}, Labels: map[string]string{"app": app}}
	}
	var refs []bailey.Ref
	for i := range 100 {
		f := pod(i, fmt.Sprint("app", i%4))
		b.Add(f)
		refs = append(refs, f.Ref)
	}
	n, err := NewSession(t.Context(), b.Snapshot(), []*bailey.Control{{ID: "test/named", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{rule}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(n.shared.outcomes); got != 4 {
		t.Errorf("%d outcomes of 100 pods of 4 kinds", got)
	}
	for round := range 50 {
		var facts []*bailey.Fact
		for i := range 100 {
			facts = append(facts, pod(i, fmt.Sprint("round", round, "-", i%7)))
		}
		n.Update(facts, nil)
	}
	if got := len(n.shared.outcomes); got != 7 {
		t.Errorf("%d outcomes after 50 rounds, want 7", got)
	}
	if got := n.Findings(refs[8]); len(got) != 1 || got[0].Message != "it runs round49-1" {
		t.Errorf("findings %v", got)
	}
	service := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindService, Namespace: "shop", Name: "web"}}
	if again := n.Update([]*bailey.Fact{service}, nil); len(again) != 101 {
		t.Errorf("%d objects judged again after a change that all of them read", len(again))
	}
	n.Update(nil, append(refs, service.Ref))
	if p := n.shared; len(p.outcomes)+len(p.readings)+len(p.derived)+len(n.judged) > 0 {
		t.Errorf("nothing is left, and the session keeps %d outcomes and %d reads", len(p.outcomes), len(p.readings))
	}
}
