package check_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// history generates runs of the experiment "try" in namespace a over 60 days: paths
// that break, hold and lose their claim, under conditions that change, cut off
// now and then, of copies, several at once, signed by two keys.
func history(r *rand.Rand) []bailey.Evidence {
	all := make([]bailey.Evidence, r.IntN(25))
	paths := []string{"p1", "p2", "p3", "p4"}[:1+r.IntN(4)]
	changes, signers := 1+r.IntN(3), 1+r.IntN(2)
	for i := range all {
		e := evidenceOf(float64(r.IntN(240)) / 4)
		e.ID, e.Run = fmt.Sprintf("id%d", i), fmt.Sprintf("run%d", r.IntN(100))
		e.Conditions, e.Signer = fmt.Sprint(r.IntN(changes)), fmt.Sprint(r.IntN(signers))
		e.Interrupted, e.Copy = r.IntN(8) == 0, r.IntN(8) == 0
		if !e.Copy { // a copy is read several times; two runs of an experiment end at two moments
			e.At = e.At.Add(time.Duration(1 + i))
		}
		for _, p := range paths {
			switch r.IntN(10) {
			case 0:
				e.Paths = append(e.Paths, broken(p))
			case 1:
				e.Paths = append(e.Paths, bailey.Tally{Path: p, Tried: 3, Held: 2, Inconclusive: 1})
			case 2:
				e.Unclaimed = append(e.Unclaimed, p)
			case 3:
				e.Untold = append(e.Untold, p)
			case 4, 5:
				e.Paths = append(e.Paths, held(p, 8))
			case 6, 7:
				e.Paths = append(e.Paths, held(p, 16))
			}
		}
		all[i] = e
	}
	return all
}

// TestSettledMakesNoDifference: whatever was settled at some moment, and however
// much of it was taken away, every verdict, and what the report says it rests on, is
// the same a day before, then and later, with what was tried since, whichever
// keys are trusted, and where the oldest evidence is no longer read at all.
func TestSettledMakesNoDifference(t *testing.T) {
	world := snapshot(nil, podFact("a", "web", false), namespaceFact("a", true))
	taken, rungs := 0, map[bailey.Rung]int{}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := history(r)
		planned := [][]string{{"p1"}, {"p1", "p2", "p3", "p4"}}[r.IntN(2)]
		controls := []*bailey.Control{triedControl(planned...)}
		at := days(float64(r.IntN(120))/4 - 1) // up to 30 days ago, and the verdict is of now
		var then []bailey.Evidence
		for _, e := range all {
			if !e.At.After(at) {
				then = append(then, e)
			}
		}
		gone := map[string]bool{}
		for _, ids := range check.Settled(controls, slices.Clone(then), at.Add(-day)) {
			for _, id := range ids[:r.IntN(len(ids)+1)] {
				gone[id] = true
			}
		}
		taken += len(gone)
		trusted, horizon := r.IntN(3), days(100)
		if r.IntN(3) == 0 {
			horizon = days(float64(r.IntN(50)))
		}
		var whole, left []bailey.Evidence
		for _, e := range all {
			if trusted < 2 && e.Signer != fmt.Sprint(trusted) || e.At.Before(horizon) {
				continue
			}
			whole = append(whole, e)
			if !gone[e.ID] {
				left = append(left, e)
			}
		}
		before := judge(t, world, controls, check.Options{Evidence: whole})
		after := judge(t, world, controls, check.Options{Evidence: left})
		if !reflect.DeepEqual(before.Verdicts, after.Verdicts) || !reflect.DeepEqual(ids(before), ids(after)) {
			t.Fatalf("seed %d, %s: without %v:\n%s %+v\n%v\nwith them:\n%s %+v\n%v\nof %+v", seed, at, gone,
				verdict(t, after, "test/tried", inNamespace("a")).Rung, verdict(t, after, "test/tried", inNamespace("a")).Proof, ids(after),
				verdict(t, before, "test/tried", inNamespace("a")).Rung, verdict(t, before, "test/tried", inNamespace("a")).Proof, ids(before), whole)
		}
		rungs[verdict(t, before, "test/tried", inNamespace("a")).Rung]++
	}
	t.Logf("%d runs were taken away; rungs: %v", taken, rungs)
	if taken < 3000 || rungs[bailey.RungGap] < 300 || rungs[bailey.RungProven] < 100 || rungs[bailey.RungSound] < 300 {
		t.Errorf("the histories show too little: %d runs were taken away; rungs: %v", taken, rungs)
	}
}

func ids(r *bailey.Report) (all []string) {
	for _, e := range r.Evidence {
		all = append(all, e.ID)
	}
	return all
}

// TestSettled: what stays is what something rests on.
func TestSettled(t *testing.T) {
	named := func(id string, e bailey.Evidence) bailey.Evidence {
		e.ID, e.Signer = id, "k"
		return e
	}
	signedBy := func(k string, e bailey.Evidence) bailey.Evidence {
		e.Signer = k
		return e
	}
	for name, c := range map[string]struct {
		evidence []bailey.Evidence
		want     []string
	}{
		"within the window":         {[]bailey.Evidence{named("a", evidenceOf(3, held("p1", 16)))}, nil},
		"older":                     {[]bailey.Evidence{named("b", evidenceOf(9, held("p1", 16))), named("a", evidenceOf(20, held("p1", 16)))}, []string{"a", "b"}},
		"broken, and not put right": {[]bailey.Evidence{named("a", evidenceOf(30, held("p1", 16), held("p2", 16))), named("b", evidenceOf(20, broken("p2"))), named("c", evidenceOf(15, held("p1", 16))), named("d", evidenceOf(14, held("p2", 3)))}, []string{"a", "c"}},
		"broken, and put right":     {[]bailey.Evidence{named("a", evidenceOf(30, broken("p1"))), named("b", evidenceOf(20, held("p1", 16)))}, []string{"a", "b"}},
		"put right by another key":  {[]bailey.Evidence{named("a", evidenceOf(30, broken("p1"))), signedBy("l", named("b", evidenceOf(20, held("p1", 16))))}, nil},
		"what a lost claim rests on": {[]bailey.Evidence{named("a", evidenceOf(12, held("p1", 16))), named("b", evidenceOf(10, held("p1", 16))), unclaimed(named("c", evidenceOf(5)), "p1")},
			[]string{"a"}},
	} {
		var got []string
		for _, ids := range check.Settled([]*bailey.Control{triedControl("p1")}, c.evidence, now) {
			got = append(got, ids...)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v is settled, want %v", name, got, c.want)
		}
	}
	if got := check.Settled([]*bailey.Control{triedControl("p1")}, []bailey.Evidence{{ID: "x", Control: "test/tried", Experiment: "of another version", At: now.Add(-300 * 24 * time.Hour)}}, now); len(got) != 0 {
		t.Errorf("how long evidence of an unknown experiment counts is not known, and %v is settled", got)
	}
}
