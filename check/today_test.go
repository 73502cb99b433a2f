package check_test

import (
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// TestToday: a proof is of what would be tried today, under what decides today.
func TestToday(t *testing.T) {
	guard := &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicy, Name: "new"}, APIVersion: "admissionregistration.k8s.io/v1", Object: map[string]any{}}
	anew := namespaceFact("a", true)
	anew.UID = "of another"
	idle := func(c *bailey.Control, danger bailey.Danger) *bailey.Control {
		c.Experiments = append(c.Experiments, &bailey.Experiment{Name: "idle", Danger: danger, Scope: bailey.ScopeNamespace, Window: 7 * day,
			Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return nil }})
		return c
	}
	untold := evidenceOf(1, held("p1", 16))
	untold.Untold = []string{"p2"}
	both := []bailey.Evidence{evidenceOf(1, held("p1", 16), held("p2", 16))}
	for name, c := range map[string]struct {
		control  *bailey.Control
		evidence []bailey.Evidence
		facts    []*bailey.Fact
		missing  []bailey.Missing
		want     bailey.Rung
	}{
		"as it was":                       {triedControl("p1", "p2"), both, nil, nil, bailey.RungProven},
		"one path is no longer there":     {triedControl("p1"), both, nil, nil, bailey.RungProven},
		"one path is new":                 {triedControl("p1", "p2", "p3"), both, nil, nil, bailey.RungSound},
		"nothing is left to try":          {triedControl(), both, nil, nil, bailey.RungSound},
		"a guard came":                    {triedControl("p1", "p2"), both, []*bailey.Fact{guard}, nil, bailey.RungSound},
		"the namespace was made anew":     {triedControl("p1", "p2"), both, []*bailey.Fact{anew}, nil, bailey.RungSound},
		"guards were not seen":            {triedControl("p1", "p2"), both, []*bailey.Fact{guard}, []bailey.Missing{{Kind: bailey.KindValidatingAdmissionPolicy}}, bailey.RungSound},
		"another has nothing to try":      {idle(triedControl("p1", "p2"), bailey.DangerDryRun), both, nil, nil, bailey.RungProven},
		"none has anything to try":        {idle(triedControl(), bailey.DangerDryRun), both, nil, nil, bailey.RungSound},
		"it cannot be told who refuses":   {triedControl("p1", "p2"), []bailey.Evidence{untold}, nil, nil, bailey.RungProven},
		"that is no claim that was lost":  {triedControl("p1", "p2"), append([]bailey.Evidence{evidenceOf(2, held("p1", 16), held("p2", 16))}, untold), nil, nil, bailey.RungProven},
		"what the plan needs is not seen": {triedControl("p1", "p2"), both, nil, []bailey.Missing{{Kind: bailey.KindPod, Namespace: "b"}}, bailey.RungSound},
	} {
		facts := append([]*bailey.Fact{podFact("a", "web", false), namespaceFact("a", true)}, c.facts...)
		r := judge(t, snapshot(c.missing, facts...), []*bailey.Control{c.control}, check.Options{Evidence: c.evidence})
		if v := verdict(t, r, "test/tried", inNamespace("a")); v.Rung != c.want {
			t.Errorf("%s: %s, want %s: %+v", name, v.Rung, c.want, v.Proof)
		}
	}
}

// TestLostClaims: a run that finds a claim gone says so only of what was refused shortly
// before, or was broken and not put right, in the same experiment and scope.
func TestLostClaims(t *testing.T) {
	x := triedControl("p1", "p2").Experiments[0]
	elsewhere := evidenceOf(1, held("p1", 16))
	elsewhere.Scope = inNamespace("b")
	for name, c := range map[string]struct {
		earlier []bailey.Evidence
		want    int
	}{
		"it was refused":                {[]bailey.Evidence{evidenceOf(1, held("p1", 16))}, 1},
		"it was refused in another":     {[]bailey.Evidence{elsewhere}, 0},
		"it was refused long ago":       {[]bailey.Evidence{evidenceOf(30, held("p1", 16))}, 0},
		"it was broken":                 {[]bailey.Evidence{evidenceOf(1, broken("p1"))}, 1},
		"nobody ever claimed it":        {[]bailey.Evidence{unclaimed(evidenceOf(1), "p1")}, 0},
		"there is nothing from earlier": {nil, 0},
	} {
		if lost := check.LostClaims(x, c.earlier, unclaimed(evidenceOf(0, held("p2", 16)), "p1")); len(lost) != c.want {
			t.Errorf("%s: %q, want %d", name, lost, c.want)
		}
	}
}
