package check_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// each gives every object's findings by ID, folded with nothing.
func each(n *check.Session) map[string]bool {
	all := map[string]bool{}
	for _, k := range n.Snapshot().Kinds() {
		for _, f := range n.Snapshot().List(k, "") {
			for _, finding := range n.Findings(f.Ref) {
				all[finding.ID] = true
			}
		}
	}
	return all
}

// TestLay lays pods over worlds at random: what they add is what judging the world again
// with them finds and without them does not, and the session stays as it was.
func TestLay(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for step := range 150 {
		s := snapshot(nil, randomWorld(2+r.IntN(6), uint64(step))...)
		session := func(s *bailey.Snapshot) *check.Session {
			n, err := check.NewSession(t.Context(), s, world, check.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		n := session(s)
		unchanged := n.Report()
		ns, name := fmt.Sprintf("ns%d", r.IntN(6)), fmt.Sprintf("pod%d", r.IntN(9))
		after := podFact(ns, name, r.IntN(2) == 0)
		var before *bailey.Fact
		base := s.Without(after.Ref)
		if r.IntN(2) == 0 {
			before = podFact(ns, name, r.IntN(2) == 0)
			base = s.Overlay(before)
		}
		laid, err := n.Lay(t.Context(), before, after)
		if err != nil || len(laid.Unjudged) > 0 {
			t.Fatal(err, laid.Unjudged)
		}
		var got, want []string
		for _, f := range laid.Added {
			got = append(got, f.ID)
			if f.Rule == "test/pods/bad-pod" && len(f.Fix) != 1 {
				t.Errorf("no fix: %+v", f)
			}
		}
		there := each(session(base))
		for id := range each(session(s.Overlay(after))) {
			if !there[id] {
				want = append(want, id)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("step %d: %s", step, d)
		}
		if d := cmp.Diff(unchanged, n.Report(), comparable); d != "" {
			t.Fatalf("the session changed: %s", d)
		}
	}
}

func TestLaySaysWhatWasNotSeen(t *testing.T) {
	n, err := check.NewSession(t.Context(), bailey.NewBuilder(bailey.Meta{At: now}).Snapshot(), world, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	laid, err := n.Lay(t.Context(), nil, podFact("a", "p", true))
	if err != nil || len(laid.Added) != 1 || laid.Added[0].Rule != "test/pods/bad-pod" {
		t.Errorf("what needs the object alone is judged: %v, %+v", err, laid.Added)
	}
	if len(laid.Unjudged) != 1 || laid.Unjudged[0].Control != "test/namespaces" || laid.Unjudged[0].Missing.Kind != bailey.KindNamespace {
		t.Errorf("%+v", laid.Unjudged)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Lay(ctx, nil, podFact("a", "p", true)); err == nil {
		t.Error("it goes on when its context has ended")
	}
}
