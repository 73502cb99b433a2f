package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// The laws of the ladder, one by one.

func TestMissingFactIsNeverAPass(t *testing.T) {
	pods := []*bailey.Fact{podFact("shop", "web", false)}
	seen := judge(t, snapshot(nil, append(pods, namespaceFact("shop", true))...), world, check.Options{})
	if v := verdict(t, seen, "test/namespaces", cluster); v.Rung != bailey.RungSound {
		t.Fatalf("with every fact: %+v", v)
	}
	forbidden := bailey.Missing{Kind: bailey.KindNamespace, Reason: bailey.ReasonForbidden, Detail: "list namespaces", Hint: "grant it"}
	r := judge(t, snapshot([]bailey.Missing{forbidden}, pods...), world, check.Options{})
	v := verdict(t, r, "test/namespaces", inNamespace("shop"))
	if v.Rung != bailey.RungUnknown || len(v.Coverage.Missing) == 0 || v.Coverage.Missing[0].Reason != bailey.ReasonForbidden || v.Next != "grant it" {
		t.Errorf("a forbidden read gives %+v", v)
	}
	if v.Coverage.Seen >= v.Coverage.Needed {
		t.Errorf("coverage is %d of %d although a fact is missing", v.Coverage.Seen, v.Coverage.Needed)
	}
	if len(r.Findings) != 0 {
		t.Errorf("a rule that lacked a fact still found %v", r.Findings)
	}
	if v := verdict(t, r, "test/pods", cluster); v.Rung != bailey.RungSound {
		t.Errorf("a control that did not need the fact stands at %s", v.Rung)
	}
}

func TestUnlistedKindIsNotSound(t *testing.T) {
	missing := []bailey.Missing{{Kind: bailey.KindDeployment, Reason: bailey.ReasonForbidden}}
	r := judge(t, snapshot(missing, podFact("shop", "web", false), namespaceFact("shop", true)), world, check.Options{})
	for _, scope := range []bailey.Scope{cluster, inNamespace("shop")} {
		if v := verdict(t, r, "test/pods", scope); v.Rung != bailey.RungUnknown {
			t.Errorf("Deployments could not be listed, and %s stands at %s", scope, v.Rung)
		}
	}
	// The pod itself was seen and judged.
	if v := verdict(t, r, "test/pods", workloadScope(bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web"})); v.Rung != bailey.RungSound {
		t.Errorf("the pod stands at %s", v.Rung)
	}
}

func TestGapBeatsUnknown(t *testing.T) {
	missing := []bailey.Missing{{Kind: bailey.KindDeployment, Reason: bailey.ReasonForbidden}}
	r := judge(t, snapshot(missing, podFact("shop", "web", true)), world, check.Options{})
	if v := verdict(t, r, "test/pods", cluster); v.Rung != bailey.RungGap {
		t.Errorf("a finding beside a missing fact gives %s", v.Rung)
	}
}

func TestParentStandsWhereWorstChildDoes(t *testing.T) {
	r := judge(t, snapshot(nil, podFact("a", "good", false), podFact("b", "bad", true)), world, check.Options{})
	for scope, want := range map[bailey.Scope]bailey.Rung{
		inNamespace("a"): bailey.RungSound, inNamespace("b"): bailey.RungGap, cluster: bailey.RungGap,
	} {
		if v := verdict(t, r, "test/pods", scope); v.Rung != want {
			t.Errorf("%s stands at %s, want %s", scope, v.Rung, want)
		}
	}
}

func TestControlWithoutRulesIsUnknown(t *testing.T) {
	r := judge(t, snapshot(nil, podFact("a", "good", false)), world, check.Options{})
	if v := verdict(t, r, "test/empty", cluster); v.Rung != bailey.RungUnknown || !strings.Contains(v.Next, "does not check") {
		t.Errorf("%+v", v)
	}
}

func TestEvidence(t *testing.T) {
	x := &bailey.Experiment{Name: "try", Danger: bailey.DangerDryRun, Window: 24 * time.Hour}
	control := &bailey.Control{ID: "test/tried", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod}, Experiments: []*bailey.Experiment{x}}
	evidence := func(at time.Time, held, broken, inconclusive int) bailey.Evidence {
		return bailey.Evidence{Control: "test/tried", Experiment: "try", Scope: inNamespace("a"), At: at,
			Paths: []bailey.Tally{{Path: "create", Held: held, Broken: broken, Inconclusive: inconclusive, Tried: held + broken + inconclusive}}}
	}
	under := func(conditions string, e bailey.Evidence) bailey.Evidence {
		e.Conditions = conditions
		return e
	}
	interrupted := func(e bailey.Evidence) bailey.Evidence {
		e.Interrupted = true
		return e
	}
	withPath := func(path string, held int, e bailey.Evidence) bailey.Evidence {
		e.Paths = append(e.Paths, bailey.Tally{Path: path, Held: held, Tried: held})
		return e
	}
	earlier := now.Add(-2 * time.Hour)
	hour, week := now.Add(-time.Hour), now.Add(-7*24*time.Hour)
	for name, c := range map[string]struct {
		bad      bool
		evidence []bailey.Evidence
		want     bailey.Rung
	}{
		"held":                                   {false, []bailey.Evidence{evidence(hour, 16, 0, 0)}, bailey.RungProven},
		"no evidence":                            {false, nil, bailey.RungSound},
		"stale":                                  {false, []bailey.Evidence{evidence(week, 16, 0, 0)}, bailey.RungSound},
		"within the second of the scan":          {false, []bailey.Evidence{evidence(now.Add(400*time.Millisecond), 16, 0, 0)}, bailey.RungProven},
		"from the future":                        {false, []bailey.Evidence{evidence(now.Add(time.Hour), 16, 0, 0)}, bailey.RungSound},
		"one try inconclusive":                   {false, []bailey.Evidence{evidence(hour, 15, 0, 1)}, bailey.RungSound},
		"nothing tried":                          {false, []bailey.Evidence{evidence(hour, 0, 0, 0)}, bailey.RungSound},
		"broken outweighs clean rules":           {false, []bailey.Evidence{evidence(hour, 15, 1, 0)}, bailey.RungGap},
		"broken outweighs what held before":      {false, []bailey.Evidence{evidence(hour, 16, 0, 0), evidence(hour, 0, 1, 0)}, bailey.RungGap},
		"broken outweighs a few that held since": {false, []bailey.Evidence{evidence(hour, 15, 0, 0), evidence(earlier, 0, 1, 0)}, bailey.RungGap},
		"put right, it is proven":                {false, []bailey.Evidence{evidence(hour, 16, 0, 0), evidence(earlier, 0, 1, 0)}, bailey.RungProven},
		"tries add up":                           {false, []bailey.Evidence{evidence(hour, 8, 0, 0), evidence(earlier, 8, 0, 0)}, bailey.RungProven},
		"tries before a change do not":           {false, []bailey.Evidence{under("b", evidence(hour, 8, 0, 0)), under("a", evidence(earlier, 8, 0, 0))}, bailey.RungSound},
		"one path was tried too little":          {false, []bailey.Evidence{withPath("update", 15, evidence(hour, 16, 0, 0))}, bailey.RungSound},
		"every path was tried":                   {false, []bailey.Evidence{withPath("update", 16, evidence(hour, 16, 0, 0))}, bailey.RungProven},
		"inconclusive since":                     {false, []bailey.Evidence{evidence(hour, 0, 0, 16), evidence(earlier, 16, 0, 0)}, bailey.RungProven},
		"broken long ago, and not tried since":   {false, []bailey.Evidence{evidence(week, 0, 1, 0)}, bailey.RungGap},
		"a thorough run that could not settle":   {false, []bailey.Evidence{evidence(hour, 16, 0, 43)}, bailey.RungSound},
		"interrupted":                            {false, []bailey.Evidence{interrupted(evidence(hour, 16, 0, 0))}, bailey.RungSound},
		"interrupted after it was broken":        {false, []bailey.Evidence{interrupted(evidence(hour, 3, 1, 0))}, bailey.RungGap},
		"held on what is not sound":              {true, []bailey.Evidence{evidence(hour, 16, 0, 0)}, bailey.RungGap},
	} {
		r := judge(t, snapshot(nil, podFact("a", "web", c.bad), namespaceFact("a", true)), []*bailey.Control{control}, check.Options{Evidence: c.evidence})
		for _, scope := range []bailey.Scope{inNamespace("a"), workloadScope(bailey.Ref{Kind: bailey.KindPod, Namespace: "a", Name: "web"})} {
			if v := verdict(t, r, "test/tried", scope); v.Rung != c.want {
				t.Errorf("%s: %s stands at %s, want %s", name, scope, v.Rung, c.want)
			}
		}
	}
	// An experiment that has not held yet bounds nothing, whatever another one did.
	for range 20 {
		other := &bailey.Experiment{Name: "other", Danger: bailey.DangerDryRun, Window: 24 * time.Hour}
		both := &bailey.Control{ID: "test/tried", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod}, Experiments: []*bailey.Experiment{x, other}}
		late := interrupted(evidence(hour, 3, 0, 0))
		late.Experiment = "other"
		r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{both}, check.Options{Evidence: []bailey.Evidence{evidence(hour, 16, 0, 0), late}})
		if p := verdict(t, r, "test/tried", inNamespace("a")).Proof; p.Least != 0 || p.Experiments != 1 || p.Needed != 2 {
			t.Fatalf("one of two experiments held: %+v", p)
		}
	}
	// The report carries what counts, oldest first, and nothing else.
	other := evidence(hour, 16, 0, 0)
	other.Control = "test/other"
	carried := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{control},
		check.Options{Evidence: []bailey.Evidence{evidence(hour, 16, 0, 0), evidence(week, 16, 0, 0), evidence(now.Add(time.Hour), 16, 0, 0), evidence(earlier, 1, 0, 0), other}}).Evidence
	if len(carried) != 2 || !carried[0].At.Equal(earlier) || !carried[1].At.Equal(hour) {
		t.Errorf("the report carries %+v", carried)
	}
	// Evidence for one namespace says nothing of another.
	r := judge(t, snapshot(nil, podFact("a", "web", false), podFact("b", "web", false), namespaceFact("a", true)), []*bailey.Control{control},
		check.Options{Evidence: []bailey.Evidence{evidence(hour, 16, 0, 0)}})
	if v := verdict(t, r, "test/tried", cluster); v.Rung != bailey.RungSound {
		t.Errorf("half the namespaces proven gives %s for the cluster", v.Rung)
	}
}

func TestGuarded(t *testing.T) {
	guard := &bailey.Guard{Name: "label", Scope: bailey.ScopeNamespace, Covers: []*bailey.Rule{badPod}, Needs: []bailey.Kind{bailey.KindNamespace},
		Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
			ns, ok := bailey.As[*namespace](v.Get(bailey.KindNamespace, "", scope.Name))
			return bailey.Presence{InPlace: ok && ns.labelled}
		}}
	control := &bailey.Control{ID: "test/guarded", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod}, Guards: []*bailey.Guard{guard}}
	s := snapshot(nil, podFact("a", "web", false), podFact("b", "web", false), namespaceFact("a", true), namespaceFact("b", false))
	r := judge(t, s, []*bailey.Control{control}, check.Options{})
	for scope, want := range map[bailey.Scope]bailey.Rung{
		inNamespace("a"): bailey.RungGuarded, inNamespace("b"): bailey.RungSound, cluster: bailey.RungSound,
	} {
		if v := verdict(t, r, "test/guarded", scope); v.Rung != want {
			t.Errorf("%s stands at %s, want %s", scope, v.Rung, want)
		}
	}
}

// TestGuardDoesNotCoverItself: a guard that is a label cannot stop its own
// removal, so the namespace stays sound while its workloads are guarded.
func TestGuardDoesNotCoverItself(t *testing.T) {
	label := &bailey.Rule{Name: "label", On: []bailey.Kind{bailey.KindNamespace}, Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if ns, ok := bailey.As[*namespace](f); !ok || !ns.labelled {
			return []bailey.Finding{{Message: "no label"}}
		}
		return nil
	}}
	guard := &bailey.Guard{Name: "label", Scope: bailey.ScopeNamespace, Covers: []*bailey.Rule{badPod},
		Present: func(*bailey.View, bailey.Ref) bailey.Presence { return bailey.Presence{InPlace: true} }}
	control := &bailey.Control{ID: "test/guarded", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod, label}, Guards: []*bailey.Guard{guard}}
	r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{control}, check.Options{})
	if v := verdict(t, r, "test/guarded", workloadScope(bailey.Ref{Kind: bailey.KindPod, Namespace: "a", Name: "web"})); v.Rung != bailey.RungGuarded {
		t.Errorf("the workload stands at %s", v.Rung)
	}
	if v := verdict(t, r, "test/guarded", inNamespace("a")); v.Rung != bailey.RungSound {
		t.Errorf("the namespace stands at %s", v.Rung)
	}
}

func TestDefectOfARuleIsUnknown(t *testing.T) {
	panics := &bailey.Rule{Name: "panics", On: []bailey.Kind{bailey.KindPod}, Check: func(*bailey.View, *bailey.Fact) []bailey.Finding { panic("oh") }}
	sneaks := &bailey.Rule{Name: "sneaks", On: []bailey.Kind{bailey.KindPod}, Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		v.List(bailey.KindService, f.Namespace)
		return nil
	}}
	for _, rule := range []*bailey.Rule{panics, sneaks} {
		control := &bailey.Control{ID: "test/defect", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{rule}}
		r := judge(t, snapshot(nil, podFact("a", "web", false)), []*bailey.Control{control}, check.Options{})
		if v := verdict(t, r, "test/defect", cluster); v.Rung != bailey.RungUnknown {
			t.Errorf("rule %s gives %s", rule.Name, v.Rung)
		}
	}
}

// TestFilesOnly: a cluster scan does not miss what only a folder can hold.
func TestFilesOnly(t *testing.T) {
	rule := *badPod
	rule.FilesOnly = true
	control := &bailey.Control{ID: "test/files", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{&rule}}
	for medium, want := range map[string]bailey.Rung{"cluster": bailey.RungSound, "files": bailey.RungUnknown} {
		b := bailey.NewBuilder(bailey.Meta{At: now, Medium: medium})
		for _, k := range bailey.PodBearing[1:] {
			b.Saw(k, "")
		}
		b.Add(podFact("a", "web", false))
		r := judge(t, b.Snapshot(), []*bailey.Control{control}, check.Options{})
		if v := verdict(t, r, "test/files", workloadScope(bailey.Ref{Kind: bailey.KindPod, Namespace: "a", Name: "web"})); v.Rung != bailey.RungSound {
			t.Errorf("%s: the pod stands at %s", medium, v.Rung)
		}
		if v := verdict(t, r, "test/files", inNamespace("a")); v.Rung != want {
			t.Errorf("%s: the namespace stands at %s, want %s", medium, v.Rung, want)
		}
	}
}
