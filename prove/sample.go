package prove

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// sample keeps as many of an experiment's units as it wants tried in a window, and says
// of the others that they have their turn later. They come in the order of a hash, so
// that neighbours are not alike. A unit that is skipped anyway needs no turn.
func sample(units []Unit, x *bailey.Experiment, at time.Time) []Unit {
	if x.Sample <= 0 || x.Window <= 0 {
		return units
	}
	var kept, tried []Unit
	for _, u := range units {
		if u.Skipped != "" {
			kept = append(kept, u)
		} else {
			tried = append(tried, u)
		}
	}
	n := len(tried)
	if n <= x.Sample {
		return units
	}
	slices.SortFunc(tried, func(a, b Unit) int { return cmp.Compare(hashOf(a.Scope), hashOf(b.Scope)) })
	window := max(0, at.Unix()) / max(1, int64(x.Window/time.Second))
	first := int(window * int64(x.Sample) % int64(n))
	tried = append(tried[first:], tried[:first]...)
	later := tried[x.Sample]
	later.Probes = nil
	later.Skipped = fmt.Sprintf("this scope and %d more have their turn later: %d of %d are tried every %.0f days", n-x.Sample-1, x.Sample, n, x.Window.Hours()/24)
	return append(append(kept, tried[:x.Sample]...), later)
}

// perRun is for how many scopes one run does an experiment that tries each scope many
// times: 150 namespaces of Pod Security are some 150,000 requests, a quarter of an hour
// at the default rate. More than 7 times that make each run longer, so that daily runs
// come to all within a week.
const perRun = 150

// turns keeps the units whose turn it is where there are more scopes than one run can
// do: those last seen broken first, since only a further run can show them mended, then
// those whose evidence is oldest, and of those that have none any.
func turns(units []Unit, x *bailey.Experiment, evidence map[bailey.Scope]bailey.Evidence) []Unit {
	var kept, tried []Unit
	for _, u := range units {
		if u.Skipped != "" {
			kept = append(kept, u)
		} else {
			tried = append(tried, u)
		}
	}
	n := max(perRun, (len(tried)+6)/7)
	if x.Sample > 0 || acts(x.Danger) || len(tried) <= n {
		return units
	}
	slices.SortFunc(tried, func(a, b Unit) int {
		was, other := evidence[a.Scope], evidence[b.Scope]
		return cmp.Or(-cmp.Compare(was.Total().Broken, other.Total().Broken), was.At.Compare(other.At), cmp.Compare(hashOf(a.Scope), hashOf(b.Scope)))
	})
	later := tried[n]
	later.Probes = nil
	later.Skipped = fmt.Sprintf("this scope and %d more have their turn in other runs, those with the oldest evidence first: one a day comes to all within 7 days", len(tried)-n-1)
	return append(append(kept, tried[:n]...), later)
}

// newest gives the newest evidence of an experiment for each scope.
func newest(all []bailey.Evidence, control *bailey.Control, x *bailey.Experiment) map[bailey.Scope]bailey.Evidence {
	of := map[bailey.Scope]bailey.Evidence{}
	for _, e := range all {
		if e.Control == control.ID && e.Experiment == x.Name && !e.Interrupted && !e.At.Before(of[e.Scope].At) {
			of[e.Scope] = e
		}
	}
	return of
}

func hashOf(s bailey.Scope) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.String())) // never fails
	return h.Sum64()
}
