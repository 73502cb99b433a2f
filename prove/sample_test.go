package prove

import (
	"fmt"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// TestTurns wants every scope of a large cluster to have its turn within seven runs,
// whatever lies between them, no run to do more than its share, and what was broken
// to be tried in every run until it is not.
func TestTurns(t *testing.T) {
	x := &bailey.Experiment{Name: "x", Danger: bailey.DangerDryRun, Scope: bailey.ScopeNamespace, Window: 7 * 24 * time.Hour}
	control := &bailey.Control{ID: "test/x"}
	scope := func(i int) bailey.Scope {
		return bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("n%d", i)}}
	}
	for _, n := range []int{100, 700, 1000, 3000} {
		seen, broken := map[bailey.Scope]int{}, scope(n/2)
		var evidence []bailey.Evidence
		for run := range 7 {
			units := make([]Unit, n)
			for i := range units {
				units[i] = Unit{Experiment: x, Scope: scope(i), Probes: []bailey.Probe{{Name: "p"}}}
			}
			tried, told, before := 0, 0, seen[broken]
			for _, u := range turns(units, x, newest(evidence, control, x)) {
				if u.Skipped != "" {
					told++
					continue
				}
				tried++
				seen[u.Scope]++
				e := bailey.Evidence{Control: control.ID, Experiment: x.Name, Scope: u.Scope, At: time.Unix(int64(run), 0), Paths: []bailey.Tally{{Path: "p", Tried: 1}}}
				if u.Scope == broken {
					e.Paths[0].Broken = 1
				}
				evidence = append(evidence, e)
			}
			if tried > max(perRun, n/7+1) || told != min(1, n-tried) {
				t.Fatalf("%d scopes: %d are tried at once, %d told of", n, tried, told)
			}
			if before > 0 && seen[broken] == before {
				t.Errorf("%d scopes: the broken one is not tried again in run %d", n, run)
			}
		}
		if len(seen) < n-n/100 {
			t.Errorf("%d of %d scopes had their turn in seven runs", len(seen), n)
		}
	}
}

// TestEvery: the rights of a prober that stays are those of all that has its turn in some run.
func TestEvery(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{At: time.Now()})
	for i := range 2 * perRun {
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("n%d", i)}})
	}
	b.Saw(bailey.KindNamespace, "")
	plan := func(_ *bailey.View, at bailey.Ref) []bailey.Probe {
		step := bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: at.Name}}
		return []bailey.Probe{{Name: "p", Path: "create", Twin: step, Try: step}}
	}
	for _, sampled := range []int{0, 3} {
		control := &bailey.Control{ID: "test/x", Experiments: []*bailey.Experiment{{Name: "x", Danger: bailey.DangerDryRun, Scope: bailey.ScopeNamespace, Sample: sampled, Window: 7 * 24 * time.Hour, Plan: plan}}}
		namespaces := func(every bool) int {
			in := map[string]bool{}
			for _, g := range Grants(Plan(b.Snapshot(), []*bailey.Control{control}, Choice{Worst: bailey.DangerDryRun, Every: every}).Units) {
				if g.Resource == "pods" {
					in[g.Namespace] = true
				}
			}
			return len(in)
		}
		if got := namespaces(true); got != 2*perRun {
			t.Errorf("rights in %d of %d namespaces", got, 2*perRun)
		}
		if got := namespaces(false); got >= 2*perRun || got == 0 {
			t.Errorf("one run acts in %d namespaces", got)
		}
	}
}
