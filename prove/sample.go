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

func hashOf(s bailey.Scope) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.String())) // never fails
	return h.Sum64()
}
