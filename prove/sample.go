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
// at the default rate.
const perRun = 150

// turns keeps the units whose turn it is where there are more scopes than one run can
// do. Within a window of a week each has its turn, whether runs come by the hour or by
// the day. More than 7 times perRun make each run longer.
func turns(units []Unit, x *bailey.Experiment, at time.Time) []Unit {
	if x.Sample > 0 || acts(x.Danger) || len(units) <= perRun {
		return units
	}
	slices.SortFunc(units, func(a, b Unit) int { return cmp.Compare(hashOf(a.Scope), hashOf(b.Scope)) })
	parts := 7
	if len(units) <= 5*perRun {
		parts = 5
	}
	turn := turnOf(at, parts)
	var kept []Unit
	var later *Unit
	left := 0
	for i := range units {
		if u := &units[i]; u.Skipped != "" || i%parts == turn {
			kept = append(kept, *u)
			continue
		}
		left++
		if later == nil {
			later = &units[i]
		}
	}
	if later != nil {
		later.Probes = nil
		later.Skipped = fmt.Sprintf("this scope and %d more have their turn in other runs: one a day comes to all within %d days", left-1, parts)
		kept = append(kept, *later)
	}
	return kept
}

// turnOf is the part whose turn it is. The day counts twice beside the hour, so that no
// usual interval comes back to the same part.
func turnOf(at time.Time, parts int) int {
	hours := max(0, at.Unix()) / 3600
	return int((hours + 2*(hours/24)) % int64(parts))
}

func hashOf(s bailey.Scope) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.String())) // never fails
	return h.Sum64()
}
