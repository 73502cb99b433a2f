package check

import (
	"maps"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// history is what the evidence of one experiment for one scope adds up to,
// replayed from the oldest on.
type history struct {
	experiment *bailey.Experiment
	scope      bailey.Scope
	evidence   []bailey.Evidence
	fresh      int // how many of them, at the end, are within the window
	paths      map[string]*path
	needed     []string  // the paths of the newest run that came to its end
	conditions string    // of the newest run that came to its end
	copied     time.Time // the moment of the newest copy
}

func newHistory(x *bailey.Experiment, s bailey.Scope) *history {
	return &history{experiment: x, scope: s, paths: map[string]*path{}}
}

// path is what was seen of one path.
type path struct {
	// counted adds up the tries within the window since the conditions changed or
	// anything was broken.
	counted bailey.Tally
	// broken says why, as long as it was not put right; at is when it was seen, or
	// for a claim that is no longer made when it was last seen to be made.
	broken string
	at     time.Time
	// since counts what held since then under the same conditions.
	since int
	// held is when a try was refused last, and unclaimed tells that nobody claimed
	// to refuse it, or that it could not be told, in the newest run that asked.
	held      time.Time
	unclaimed bool
	// excused is unclaimed of the runs within the window: a proof does not need the path.
	excused bool
	// conditions are those of the newest tries.
	conditions string
}

func (h *history) path(name string) *path {
	p := h.paths[name]
	if p == nil {
		p = &path{}
		h.paths[name] = p
	}
	return p
}

// add takes the next run in. Tries add up while guards, plan and versions stay.
// A break belongs to its path: it stands until that path has held as many tries
// as a proof asks for, since one run that holds is no answer to a control that
// fails one time in four, and what held on other paths is none at all. Whatever
// was broken, what any path held before says nothing of what came after.
func (h *history) add(e bailey.Evidence, fresh bool) {
	if e.Copy {
		if e.At.Equal(h.copied) {
			return // the same copy, read again
		}
		h.copied = e.At
	}
	h.evidence = append(h.evidence, e)
	if fresh {
		h.fresh++
	}
	if !e.Interrupted && e.Conditions != h.conditions {
		h.conditions = e.Conditions
		for _, p := range h.paths {
			p.counted, p.since = bailey.Tally{}, 0
		}
	}
	broke := h.breaks(e)
	if broke {
		for _, p := range h.paths {
			p.counted = bailey.Tally{}
		}
	}
	if fresh && !e.Interrupted {
		h.needed = h.needed[:0]
		for _, names := range [][]string{e.Unclaimed, e.Untold} {
			for _, name := range names {
				h.path(name).excused = true
			}
		}
	}
	for _, t := range e.Paths {
		p := h.path(t.Path)
		if t.Held > 0 {
			p.held = e.At
		}
		if e.Interrupted {
			continue
		}
		if fresh {
			p.excused = false
		}
		if fresh && !slices.Contains(h.needed, t.Path) {
			h.needed = append(h.needed, t.Path)
		}
		if t.Broken > 0 || t.Inconclusive > 0 { // a path that a run could not settle gains nothing by that run
			continue
		}
		if p.since += t.Held; p.since >= h.experiment.Danger.Tries() {
			p.broken = ""
		}
		if fresh && !broke {
			if t.Conditions != p.conditions {
				p.counted = bailey.Tally{}
			}
			p.conditions = t.Conditions
			p.counted.Add(t)
		}
	}
}

// breaks notes what a run saw to be let through: what was tried, and what was
// refused within the window before and is not even claimed any more.
func (h *history) breaks(e bailey.Evidence) (broke bool) {
	tried := map[string]bool{}
	for _, t := range e.Paths {
		p := h.path(t.Path)
		tried[t.Path] = true
		p.unclaimed = false
		if t.Broken > 0 {
			p.broken, p.at, p.since, broke = describe(t), e.At, 0, true
		}
	}
	for _, name := range e.Untold {
		h.path(name).unclaimed = !tried[name]
	}
	for _, name := range e.Unclaimed {
		p := h.path(name)
		if tried[name] {
			continue // two probes of one name: one of them is claimed
		}
		p.unclaimed = true
		if p.held.After(p.at) && e.At.Sub(p.held) <= h.experiment.Window {
			p.broken, p.at, p.since, broke = name+": was refused on "+p.held.UTC().Format(time.DateOnly)+", and is accepted now", p.held, 0, true
		}
	}
	return broke
}

func describe(t bailey.Tally) string {
	if len(t.Why) == 0 {
		return t.Path
	}
	return t.Path + ": " + t.Why[0]
}

// standing lists the paths whose break stands at a moment, sorted. What was broken
// does not mend by waiting. But once its window is over it no longer stands where
// nobody claims to refuse it any more, or where nothing of it is left to try.
func (h *history) standing(at time.Time, today planned) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(h.paths)) {
		p := h.paths[name]
		if p.broken != "" && (at.Sub(p.at) <= h.experiment.Window || !p.unclaimed && today.leftToTry(name)) {
			names = append(names, name)
		}
	}
	return names
}

// counting gives the evidence that a proof, or the breaks that stand, rest on.
func (h *history) counting(standing []string) []bailey.Evidence {
	n := len(h.evidence) - h.fresh
	fresh := h.evidence[n:]
	if n == 0 || len(standing) == 0 {
		return fresh
	}
	b := h.basis(n)
	for _, name := range standing {
		b.of(name, h.paths[name].at)
	}
	var all []bailey.Evidence
	for i, keep := range b.keep {
		if keep {
			all = append(all, h.evidence[i])
		}
	}
	return append(all, fresh...)
}
