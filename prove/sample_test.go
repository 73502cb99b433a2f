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
