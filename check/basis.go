package check

import (
	"sort"
	"time"

	"github.com/baileyhq/bailey"
)

// basis finds which runs that are no longer within their window still matter: what
// was broken in them and not put right, and what was tried of it since. Without
// the others the replay comes to the same.
type basis struct {
	runs []bailey.Evidence // oldest first
	n    int               // how many of them, from the oldest on, may be left out
	// broken gives, of the paths that a run names, those that are broken after it, and
	// the run in which that was seen.
	broken []map[string]int
	// reset names the paths of which a run, by its conditions, set the tries since
	// their break back to none.
	reset []map[string]bool
	keep  []bool
	todo  []int // kept, and their other paths not looked at yet
}

// basis replays the history, of which the first n runs may be left out.
func (h *history) basis(n int) *basis {
	b := &basis{runs: h.evidence, n: n, broken: make([]map[string]int, n), reset: make([]map[string]bool, n), keep: make([]bool, n)}
	replay := newHistory(h.experiment, h.scope)
	for i, e := range b.runs[:n] {
		if !e.Interrupted && e.Conditions != replay.conditions {
			for name, p := range replay.paths {
				if p.broken != "" && p.since > 0 {
					b.reset[i] = with(b.reset[i], name, true)
				}
			}
		}
		replay.add(e, false)
		for name := range names(&e) {
			if p := replay.paths[name]; p.broken != "" {
				b.broken[i] = with(b.broken[i], name, b.at(p.at))
			}
		}
	}
	return b
}

// at is the first run that is not before a moment.
func (b *basis) at(moment time.Time) int {
	return sort.Search(len(b.runs), func(i int) bool { return !b.runs[i].At.Before(moment) })
}

// of keeps what a path's break rests on that was seen at that moment: the runs that
// name the path, and those that set it back, until it was put right.
func (b *basis) of(path string, at time.Time) { b.from(path, b.at(at)) }

// follow looks at what the runs that are kept say of other paths: where they leave
// them broken, what put those right must stay as well.
func (b *basis) follow() {
	for len(b.todo) > 0 {
		i := b.todo[len(b.todo)-1]
		b.todo = b.todo[:len(b.todo)-1]
		for name, first := range b.broken[i] {
			b.from(name, first)
		}
	}
}

func (b *basis) from(path string, first int) {
	was := false
	for i := first; i < b.n; i++ {
		named := names(&b.runs[i])[path]
		if named || b.reset[i][path] {
			b.mark(i)
		}
		if _, is := b.broken[i][path]; named && is {
			was = true
		} else if named && was {
			return // put right
		}
	}
}

func (b *basis) mark(i int) {
	if !b.keep[i] {
		b.keep[i] = true
		b.todo = append(b.todo, i)
	}
}

// names is the set of paths of which a run says something.
func names(e *bailey.Evidence) map[string]bool {
	set := make(map[string]bool, len(e.Paths)+len(e.Unclaimed))
	for i := range e.Paths {
		set[e.Paths[i].Path] = true
	}
	for _, list := range [][]string{e.Unclaimed, e.Untold} {
		for _, name := range list {
			set[name] = true
		}
	}
	return set
}

func with[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}
