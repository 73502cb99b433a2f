package check_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// owned gives a bad pod or Deployment of an owner that is no fact.
func owned(kind bailey.Kind, name string, owner bailey.Ref) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: kind, Namespace: "a", Name: name}, Owner: owner, OwnerUID: "9", Object: &pod{true}}
}

// TestWorkloadsOfOneOwnerAreJudgedApart: two Deployments that one custom
// resource owns are two workloads, each with its gap.
func TestWorkloadsOfOneOwnerAreJudgedApart(t *testing.T) {
	shop := bailey.Ref{Kind: "Shop.example.com", Namespace: "a", Name: "shop"}
	one, two := owned(bailey.KindDeployment, "one", shop), owned(bailey.KindDeployment, "two", shop)
	r := judge(t, snapshot(nil, one, two), []*bailey.Control{podControl}, check.Options{})
	if len(r.Findings) != 2 {
		t.Errorf("%d findings for two Deployments", len(r.Findings))
	}
	for _, f := range []*bailey.Fact{one, two} {
		if v := verdict(t, r, "test/pods", workloadScope(f.Ref)); v.Rung != bailey.RungGap {
			t.Errorf("%s stands at %s", f.Ref, v.Rung)
		}
	}
}

// TestPodsOfUnseenOwner: pods whose owner was not seen are one workload, named
// after the owner, with one finding and one gap.
func TestPodsOfUnseenOwner(t *testing.T) {
	replicas := bailey.Ref{Kind: bailey.KindReplicaSet, Namespace: "a", Name: "web-1"}
	var facts []*bailey.Fact
	for i := range 3 {
		facts = append(facts, owned(bailey.KindPod, fmt.Sprintf("web-1-%d", i), replicas))
	}
	missing := []bailey.Missing{{Kind: bailey.KindReplicaSet, Reason: bailey.ReasonForbidden}}
	r := judge(t, snapshot(missing, facts...), []*bailey.Control{podControl}, check.Options{})
	if len(r.Findings) != 1 || len(r.Findings[0].Related) != 2 {
		t.Errorf("findings %v", r.Findings)
	}
	if v := verdict(t, r, "test/pods", workloadScope(replicas)); v.Rung != bailey.RungGap {
		t.Errorf("%+v", v)
	}
	for _, v := range r.Verdicts {
		if v.Scope.Kind == bailey.ScopeWorkload && v.Rung != bailey.RungGap {
			t.Errorf("%s stands at %s", v.Scope, v.Rung)
		}
	}
}

// TestWorseFindingIsNotFolded: a pod that is worse than its Deployment is not
// hidden behind it.
func TestWorseFindingIsNotFolded(t *testing.T) {
	graded := &bailey.Rule{Name: "graded", On: bailey.PodBearing, Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		if f.Kind == bailey.KindPod {
			return []bailey.Finding{{Field: "spec.x", Severity: bailey.SeverityCritical}}
		}
		return []bailey.Finding{{Field: "spec.template.spec.x", Severity: bailey.SeverityLow}}
	}}
	web := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindDeployment, Namespace: "a", Name: "web"}, UID: "9"}
	control := &bailey.Control{ID: "test/graded", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{graded}}
	r := judge(t, snapshot(nil, web, owned(bailey.KindPod, "web-1", web.Ref)), []*bailey.Control{control}, check.Options{})
	if len(r.Findings) != 2 || r.Findings[0].Severity != bailey.SeverityCritical {
		t.Errorf("findings %v", r.Findings)
	}
}

// TestUnlistedKindWithoutFacts: what could not be listed anywhere is missing in
// each namespace too, unless it lives outside of namespaces.
func TestUnlistedKindWithoutFacts(t *testing.T) {
	for kind, want := range map[bailey.Kind]bailey.Rung{bailey.KindService: bailey.RungUnknown, bailey.KindClusterRoleBinding: bailey.RungSound} {
		none := &bailey.Rule{Name: "none", On: []bailey.Kind{kind}, Check: func(*bailey.View, *bailey.Fact) []bailey.Finding { return nil }}
		control := &bailey.Control{ID: "test/pods", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod, none}}
		s := snapshot([]bailey.Missing{{Kind: kind, Reason: bailey.ReasonForbidden}}, podFact("a", "web", false))
		if v := verdict(t, judge(t, s, []*bailey.Control{control}, check.Options{}), "test/pods", inNamespace("a")); v.Rung != want {
			t.Errorf("no %s could be listed, and the namespace stands at %s, want %s", kind, v.Rung, want)
		}
	}
}

// TestBrokenExperimentOfAnotherScope: what was broken in a place that the
// rules have nothing to judge in is a gap there, and in the cluster.
func TestBrokenExperimentOfAnotherScope(t *testing.T) {
	x := &bailey.Experiment{Name: "try", Window: time.Hour}
	control := &bailey.Control{ID: "test/tried", Scope: bailey.ScopeCluster, Rules: []*bailey.Rule{badPod}, Experiments: []*bailey.Experiment{x}}
	broken := bailey.Evidence{Control: "test/tried", Experiment: "try", Scope: inNamespace("b"), At: now, Paths: []bailey.Tally{{Path: "create", Broken: 1, Tried: 1}}}
	r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("b", true)), []*bailey.Control{control}, check.Options{Evidence: []bailey.Evidence{broken}})
	for _, scope := range []bailey.Scope{inNamespace("b"), cluster} {
		if v := verdict(t, r, "test/tried", scope); v.Rung != bailey.RungGap || !strings.Contains(v.Next, "an experiment was broken") {
			t.Errorf("%s: %+v", scope, v)
		}
	}
}

// TestBrokenExperimentIsNotWaived: a waiver takes in findings, not what an
// experiment showed.
func TestBrokenExperimentIsNotWaived(t *testing.T) {
	x := &bailey.Experiment{Name: "try", Window: time.Hour}
	control := &bailey.Control{ID: "test/tried", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod}, Experiments: []*bailey.Experiment{x}}
	broken := bailey.Evidence{Control: "test/tried", Experiment: "try", Scope: inNamespace("a"), At: now, Paths: []bailey.Tally{{Path: "create", Broken: 1, Tried: 1}}}
	waiver := bailey.Waiver{Rule: "test/tried", Reason: "r", Owner: "o", Expires: now.Add(time.Hour)}
	r := judge(t, snapshot(nil, podFact("a", "web", true), namespaceFact("a", true)), []*bailey.Control{control},
		check.Options{Evidence: []bailey.Evidence{broken}, Waivers: []bailey.Waiver{waiver}})
	for _, scope := range []bailey.Scope{inNamespace("a"), cluster} {
		if v := verdict(t, r, "test/tried", scope); !v.WaivedUntil.IsZero() || !strings.Contains(v.Next, "an experiment was broken") {
			t.Errorf("%s: %+v", scope, v)
		}
	}
}

// TestParentOfGuardedOnly: a parent in which nothing was judged stands where
// its children do, not below them.
func TestParentOfGuardedOnly(t *testing.T) {
	guard := &bailey.Guard{Name: "label", Scope: bailey.ScopeNamespace, Covers: []*bailey.Rule{badPod},
		Present: func(*bailey.View, bailey.Ref) bailey.Presence { return bailey.Presence{InPlace: true} }}
	control := &bailey.Control{ID: "test/guarded", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod}, Guards: []*bailey.Guard{guard}}
	r := judge(t, snapshot(nil, podFact("a", "web", false)), []*bailey.Control{control}, check.Options{})
	if v := verdict(t, r, "test/guarded", cluster); v.Rung != bailey.RungGuarded {
		t.Errorf("every namespace is guarded, and the cluster stands at %s", v.Rung)
	}
}

// TestDefectOfADerivation: where the computation of a derived fact fails, every
// object that needs it is unknown, not only the first.
func TestDefectOfADerivation(t *testing.T) {
	fails := &bailey.Derivation{Name: "fails", Compute: func(*bailey.View) any { panic("oh") }}
	lenient := &bailey.Rule{Name: "lenient", On: []bailey.Kind{bailey.KindPod}, Derives: []*bailey.Derivation{fails}, Check: func(v *bailey.View, _ *bailey.Fact) []bailey.Finding {
		v.Derived(fails)
		return nil
	}}
	control := &bailey.Control{ID: "test/defect", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{lenient}}
	r := judge(t, snapshot(nil, podFact("a", "one", false), podFact("a", "two", false)), []*bailey.Control{control}, check.Options{})
	for _, name := range []string{"one", "two"} {
		if v := verdict(t, r, "test/defect", workloadScope(bailey.Ref{Kind: bailey.KindPod, Namespace: "a", Name: name})); v.Rung != bailey.RungUnknown {
			t.Errorf("pod %s stands at %s", name, v.Rung)
		}
	}
}

// TestDefectOfAGuardOrFix: a guard that fails is not in place, and a fix that
// fails is none; the report stands.
func TestDefectOfAGuardOrFix(t *testing.T) {
	rule := *badPod
	rule.Fix = func(*bailey.View, *bailey.Fact, bailey.Finding) []bailey.Change { panic("oh") }
	guard := &bailey.Guard{Name: "fails", Scope: bailey.ScopeNamespace, Covers: []*bailey.Rule{&rule},
		Present: func(*bailey.View, bailey.Ref) bailey.Presence { panic("oh") }}
	control := &bailey.Control{ID: "test/defect", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{&rule}, Guards: []*bailey.Guard{guard}}
	r := judge(t, snapshot(nil, podFact("a", "good", false), podFact("b", "bad", true)), []*bailey.Control{control}, check.Options{})
	if v := verdict(t, r, "test/defect", inNamespace("a")); v.Rung != bailey.RungSound {
		t.Errorf("with a guard that fails: %s", v.Rung)
	}
	if len(r.Findings) != 1 || r.FixOf(&r.Findings[0]) != nil {
		t.Errorf("findings %v", r.Findings)
	}
}
