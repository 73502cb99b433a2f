package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

const day = 24 * time.Hour

// days gives the moment so many days before the scan.
func days(n float64) time.Time { return now.Add(-time.Duration(n * float64(day))) }

// evidenceOf is a run of the experiment "try" in namespace a, that many days ago.
func evidenceOf(ago float64, paths ...bailey.Tally) bailey.Evidence {
	return bailey.Evidence{Control: "test/tried", Experiment: "try", Scope: inNamespace("a"), At: days(ago), Paths: paths}
}

func held(path string, n int) bailey.Tally {
	return bailey.Tally{Path: path, Conditions: conditionsOf(path), Tried: n, Held: n}
}

// conditionsOf are those of the path in namespace a, as long as nothing changes.
func conditionsOf(path string) string {
	s := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion}).Snapshot()
	return bailey.PathConditions(s, bailey.Ref{}, []bailey.Probe{{Name: path}})[path]
}

func broken(path string) bailey.Tally {
	return bailey.Tally{Path: path, Tried: 1, Broken: 1, Why: []string{"the API server accepted it"}}
}

// unclaimed adds paths that nobody claimed to refuse.
func unclaimed(e bailey.Evidence, paths ...string) bailey.Evidence {
	e.Unclaimed = paths
	return e
}

// triedControl has one experiment, whose plan today has a probe for each path.
func triedControl(paths ...string) *bailey.Control {
	x := &bailey.Experiment{Name: "try", Danger: bailey.DangerDryRun, Scope: bailey.ScopeNamespace, Window: 7 * day, Needs: []bailey.Kind{bailey.KindPod},
		Plan: func(v *bailey.View, _ bailey.Ref) (probes []bailey.Probe) {
			v.List(bailey.KindPod, "")
			for _, p := range paths {
				probes = append(probes, bailey.Probe{Name: p})
			}
			return probes
		}}
	return &bailey.Control{ID: "test/tried", Scope: bailey.ScopeWorkload, Rules: []*bailey.Rule{badPod}, Experiments: []*bailey.Experiment{x}}
}

// TestBreaks: a break belongs to its path, and ends when that path held as many
// tries as a proof asks for.
func TestBreaks(t *testing.T) {
	under := func(conditions string, e bailey.Evidence) bailey.Evidence {
		e.Conditions = conditions
		return e
	}
	interrupted := func(e bailey.Evidence) bailey.Evidence {
		e.Interrupted = true
		return e
	}
	for name, c := range map[string]struct {
		evidence []bailey.Evidence // oldest first
		planned  []string
		want     bailey.Rung
		says     string // a part of what is broken
	}{
		"another path that held is no answer": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16), broken("p2")), evidenceOf(1, held("p1", 16))},
			[]string{"p1", "p2"}, bailey.RungGap, "p2: the API server accepted it"},
		"nor is one whose target has gone, within the window": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16), broken("p2")), evidenceOf(1, held("p1", 16))},
			[]string{"p1"}, bailey.RungGap, "p2"},
		"nothing of it is left to try, and the window is over": {
			[]bailey.Evidence{evidenceOf(9, held("p1", 16), broken("p2")), evidenceOf(1, held("p1", 16))},
			[]string{"p1"}, bailey.RungProven, ""},
		"it is still there to try, however long ago": {
			[]bailey.Evidence{evidenceOf(100, held("p1", 16), broken("p2")), evidenceOf(1, held("p1", 16))},
			[]string{"p1", "p2"}, bailey.RungGap, "p2"},
		"the path itself held since": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16), broken("p2")), evidenceOf(1, held("p1", 16), held("p2", 16))},
			[]string{"p1", "p2"}, bailey.RungProven, ""},
		"each path for itself": {
			[]bailey.Evidence{evidenceOf(3, broken("p1"), broken("p2")), evidenceOf(2, held("p1", 16), broken("p2")), evidenceOf(1, broken("p1"), held("p2", 16))},
			[]string{"p1", "p2"}, bailey.RungGap, "p1"},
		"held in a run that another path broke": {
			[]bailey.Evidence{evidenceOf(3, held("p1", 16), broken("p2")), evidenceOf(2, broken("p1"), held("p2", 16)), evidenceOf(1, held("p1", 16), held("p2", 15))},
			[]string{"p1", "p2"}, bailey.RungSound, ""},
		"what held beside a break proves nothing of what came after": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16), broken("p2")), evidenceOf(1, held("p1", 8), held("p2", 16))},
			[]string{"p1", "p2"}, bailey.RungSound, ""},
		"put right long ago, and not forgotten that it was": {
			[]bailey.Evidence{evidenceOf(30, broken("p1")), evidenceOf(29, held("p1", 16))},
			[]string{"p1"}, bailey.RungSound, ""},
		"put right long ago, and proven since": {
			[]bailey.Evidence{evidenceOf(30, broken("p1")), evidenceOf(29, held("p1", 16)), evidenceOf(1, held("p1", 16))},
			[]string{"p1"}, bailey.RungProven, ""},
		"half put right long ago": {
			[]bailey.Evidence{evidenceOf(30, broken("p1")), evidenceOf(29, held("p1", 8))},
			[]string{"p1"}, bailey.RungGap, "p1"},
		"the other half later": {
			[]bailey.Evidence{evidenceOf(30, broken("p1")), evidenceOf(29, held("p1", 8)), evidenceOf(1, held("p1", 8))},
			[]string{"p1"}, bailey.RungSound, ""},
		"halves under different guards do not add up": {
			[]bailey.Evidence{evidenceOf(30, broken("p1")), under("a", evidenceOf(29, held("p1", 8))), under("b", evidenceOf(1, held("p1", 8)))},
			[]string{"p1"}, bailey.RungGap, "p1"},
		"an interrupted run puts nothing right": {
			[]bailey.Evidence{evidenceOf(2, broken("p1")), interrupted(evidenceOf(1, held("p1", 16)))},
			[]string{"p1"}, bailey.RungGap, "p1"},
		"a claim that is no longer made": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16), held("p2", 16)), unclaimed(evidenceOf(1, held("p1", 16)), "p2")},
			[]string{"p1", "p2"}, bailey.RungGap, "p2: was refused on 2026-11-21, and is accepted now"},
		"nor any of them": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16)), unclaimed(evidenceOf(1), "p1")},
			[]string{"p1"}, bailey.RungGap, "p1: was refused"},
		"a claim that was never made": {
			[]bailey.Evidence{unclaimed(evidenceOf(2, held("p1", 16)), "p2"), unclaimed(evidenceOf(1, held("p1", 16)), "p2")},
			[]string{"p1", "p2"}, bailey.RungProven, ""},
		"a claim that has not been made for a window": {
			[]bailey.Evidence{evidenceOf(9, held("p1", 16), held("p2", 16)), unclaimed(evidenceOf(5, held("p1", 16)), "p2"), unclaimed(evidenceOf(1, held("p1", 16)), "p2")},
			[]string{"p1", "p2"}, bailey.RungProven, ""},
		"a claim of long ago does not spoil what holds now": {
			[]bailey.Evidence{evidenceOf(30, held("p1", 16), held("p2", 16)), unclaimed(evidenceOf(1, held("p1", 16)), "p2")},
			[]string{"p1", "p2"}, bailey.RungProven, ""},
		"a claim that is made again": {
			[]bailey.Evidence{evidenceOf(3, held("p1", 16)), unclaimed(evidenceOf(2), "p1"), evidenceOf(1, held("p1", 16))},
			[]string{"p1"}, bailey.RungProven, ""},
		"a claim lost twice": {
			[]bailey.Evidence{evidenceOf(30, held("p1", 16)), unclaimed(evidenceOf(29), "p1"), evidenceOf(2, held("p1", 3)), unclaimed(evidenceOf(1), "p1")},
			[]string{"p1"}, bailey.RungGap, "p1: was refused on 2026-11-21"},
		"a claim lost before the run was cut off": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16)), interrupted(unclaimed(evidenceOf(1), "p1"))},
			[]string{"p1"}, bailey.RungGap, "p1: was refused"},
		"broken, and then not even claimed": {
			[]bailey.Evidence{evidenceOf(2, held("p1", 16), broken("p2")), unclaimed(evidenceOf(1, held("p1", 16)), "p2")},
			[]string{"p1", "p2"}, bailey.RungGap, "p2: the API server accepted it"},
		"and not claimed for a window": {
			[]bailey.Evidence{evidenceOf(9, held("p1", 16), broken("p2")), unclaimed(evidenceOf(1, held("p1", 16)), "p2")},
			[]string{"p1", "p2"}, bailey.RungProven, ""},
	} {
		r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{triedControl(c.planned...)}, check.Options{Evidence: c.evidence})
		v := verdict(t, r, "test/tried", inNamespace("a"))
		if v.Rung != c.want {
			t.Errorf("%s: it stands at %s, want %s: %+v", name, v.Rung, c.want, v.Proof)
		}
		if c.says != "" && (v.Proof == nil || len(v.Proof.Broken) != 1 || !strings.Contains(v.Proof.Broken[0], "try: "+c.says)) {
			t.Errorf("%s: broken is %+v", name, v.Proof)
		}
	}
}

// TestBreakOfAPlanThatCannotBeTold: whether something is left to try is asked of
// the plan only where all that it reads was seen.
func TestBreakOfAPlanThatCannotBeTold(t *testing.T) {
	missing := []bailey.Missing{{Kind: bailey.KindPod, Namespace: "b", Reason: bailey.ReasonForbidden}}
	old := evidenceOf(100, broken("p2"))
	r := judge(t, snapshot(missing, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{triedControl("p1")}, check.Options{Evidence: []bailey.Evidence{old}})
	if v := verdict(t, r, "test/tried", inNamespace("a")); v.Rung != bailey.RungGap {
		t.Errorf("not every pod was seen, and the break is forgotten: %s", v.Rung)
	}
	fails := triedControl("p1")
	fails.Experiments[0].Plan = func(*bailey.View, bailey.Ref) []bailey.Probe { panic("oh") }
	r = judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{fails}, check.Options{Evidence: []bailey.Evidence{old}})
	if v := verdict(t, r, "test/tried", inNamespace("a")); v.Rung != bailey.RungGap {
		t.Errorf("the plan failed, and the break is forgotten: %s", v.Rung)
	}
}

// TestEvidenceOfWhatHasGone: the evidence of a namespace or a workload that a
// complete list no longer has counts for nothing.
func TestEvidenceOfWhatHasGone(t *testing.T) {
	gone := []bailey.Scope{inNamespace("gone"), workloadScope(bailey.Ref{Kind: bailey.KindDeployment, Namespace: "a", Name: "gone"})}
	for _, scope := range gone {
		e := evidenceOf(1, broken("p1"))
		e.Scope = scope
		options := check.Options{Evidence: []bailey.Evidence{e}}
		r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{triedControl("p1")}, options)
		if v := verdict(t, r, "test/tried", cluster); v.Rung != bailey.RungSound {
			t.Errorf("%s has gone, and the cluster stands at %s: %s", scope, v.Rung, v.Next)
		}
		if len(r.Evidence) != 0 {
			t.Errorf("%s has gone, and the report rests on its evidence", scope)
		}
		missing := []bailey.Missing{{Kind: scope.Object.Kind, Reason: bailey.ReasonForbidden}}
		r = judge(t, snapshot(missing, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{triedControl("p1")}, options)
		if v := verdict(t, r, "test/tried", cluster); v.Rung != bailey.RungGap {
			t.Errorf("whether %s is there was not seen, and the cluster stands at %s", scope, v.Rung)
		}
	}
}

// TestReportCarriesWhatABreakRestsOn: as long as a break stands, the report holds
// it and what was tried since, and none of what is over.
func TestReportCarriesWhatABreakRestsOn(t *testing.T) {
	carried := func(evidence ...bailey.Evidence) (ago []float64) {
		r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{triedControl("p1")}, check.Options{Evidence: evidence})
		for _, e := range r.Evidence {
			ago = append(ago, now.Sub(e.At).Hours()/24)
		}
		return ago
	}
	if got := carried(evidenceOf(40, held("p1", 16)), evidenceOf(30, broken("p1")), evidenceOf(29, held("p1", 8))); len(got) != 2 || got[0] != 30 || got[1] != 29 {
		t.Errorf("the break stands, and the report carries runs of %v days ago", got)
	}
	if got := carried(evidenceOf(30, broken("p1")), evidenceOf(29, held("p1", 16)), evidenceOf(1, held("p1", 1))); len(got) != 1 || got[0] != 1 {
		t.Errorf("the break was put right, and the report carries runs of %v days ago", got)
	}
}

// TestCopiesAreOneObservation: what was read of one copy counts once, and counts as
// of the copy's own moment.
func TestCopiesAreOneObservation(t *testing.T) {
	of := func(ago ...float64) (all []bailey.Evidence) {
		for _, n := range ago {
			e := evidenceOf(n, held("p1", 1))
			e.Copy = true
			all = append(all, e)
		}
		return all
	}
	var same, apart []float64
	for i := range 16 {
		same, apart = append(same, 1), append(apart, 1+float64(i)/10)
	}
	for name, c := range map[string]struct {
		evidence []bailey.Evidence
		want     bailey.Rung
	}{
		"one copy, read 16 times": {of(same...), bailey.RungSound},
		"16 copies":               {of(apart...), bailey.RungProven},
	} {
		r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{triedControl("p1")}, check.Options{Evidence: c.evidence})
		if v := verdict(t, r, "test/tried", inNamespace("a")); v.Rung != c.want {
			t.Errorf("%s: it stands at %s, want %s", name, v.Rung, c.want)
		}
	}
}

// TestExtraExperiments: an experiment that most platforms give no place for can
// break a control, and is not needed to prove it.
func TestExtraExperiments(t *testing.T) {
	control := triedControl("p1")
	control.Experiments = append(control.Experiments, &bailey.Experiment{Name: "extra", Extra: true, Danger: bailey.DangerNone, Window: 7 * day})
	extra := evidenceOf(1, broken("p9"))
	extra.Experiment = "extra"
	for want, evidence := range map[bailey.Rung][]bailey.Evidence{
		bailey.RungProven: {evidenceOf(1, held("p1", 16))},
		bailey.RungGap:    {evidenceOf(1, held("p1", 16)), extra},
	} {
		r := judge(t, snapshot(nil, podFact("a", "web", false), namespaceFact("a", true)), []*bailey.Control{control}, check.Options{Evidence: evidence})
		if v := verdict(t, r, "test/tried", inNamespace("a")); v.Rung != want {
			t.Errorf("it stands at %s, want %s", v.Rung, want)
		}
	}
}
