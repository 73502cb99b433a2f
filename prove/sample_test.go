package prove

import (
	"fmt"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// TestTurns wants every scope of a large cluster to have its turn within a week,
// whatever the interval between runs is, and no run to do more than its share.
func TestTurns(t *testing.T) {
	x := &bailey.Experiment{Name: "x", Danger: bailey.DangerDryRun, Scope: bailey.ScopeNamespace, Window: 7 * 24 * time.Hour}
	for _, n := range []int{100, 700, 1000} {
		for _, every := range []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 24} {
			seen := map[string]bool{}
			begin := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
			for at := begin; at.Sub(begin) < x.Window; at = at.Add(time.Duration(every) * time.Hour) {
				units := make([]Unit, n)
				for i := range units {
					units[i] = Unit{Experiment: x, Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("n%d", i)}},
						Probes: []bailey.Probe{{Name: "p"}}}
				}
				tried, told := 0, 0
				for _, u := range turns(units, x, at) {
					if u.Skipped != "" {
						told++
						continue
					}
					tried++
					seen[u.Scope.String()] = true
				}
				if tried > perRun || told != min(1, n-tried) {
					t.Fatalf("%d scopes: %d are tried at once, %d told of", n, tried, told)
				}
			}
			if len(seen) != n {
				t.Errorf("every %d hours: %d of %d scopes had their turn within a week", every, len(seen), n)
			}
		}
	}
}
