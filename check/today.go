package check

import (
	"maps"
	"slices"

	"github.com/baileyhq/bailey"
)

// planned is what an experiment would try in a scope today.
type planned struct {
	// paths has, for each path, a digest of what its tries would rest on.
	paths map[string]string
	// told tells that the plan could be made of what was seen.
	told bool
}

// plannedFor is an experiment and the scope that it is planned for.
type plannedFor struct {
	experiment *bailey.Experiment
	scope      bailey.Scope
}

// today gives the experiment's plan for what is there now. Each is made once.
func (l *ladder) today(x *bailey.Experiment, scope bailey.Scope) planned {
	k := plannedFor{x, scope}
	p, known := l.todays[k]
	if !known {
		p = l.planToday(x, scope)
		l.todays[k] = p
	}
	return p
}

func (l *ladder) planToday(x *bailey.Experiment, scope bailey.Scope) (p planned) {
	if x.Plan == nil {
		return p
	}
	for _, k := range x.Needs { // a plan may take what is known for all that there is
		if l.snap.Unseen(k, "", "") != nil {
			return p
		}
	}
	defer func() {
		if recover() != nil {
			p = planned{}
		}
	}()
	l.view.Allow(nil, x.Needs, x.Derives)
	probes := x.Plan(l.view, scope.Object)
	if len(l.view.Missing()) > 0 {
		return planned{}
	}
	return planned{paths: bailey.PathConditions(l.snap, scope.Object, probes), told: true}
}

// nothingToTry reports whether the experiment is seen to have nothing to try for the
// scope, or the larger one for which it is planned.
func (l *ladder) nothingToTry(x *bailey.Experiment, scope bailey.Scope) bool {
	for at, more := scope, true; more; at, more = parentOf(at) {
		if at.Kind == x.Scope {
			p := l.today(x, at)
			return p.told && len(p.paths) == 0
		}
	}
	return false
}

// leftToTry reports whether the plan has the path still. Where that cannot be told, it has.
func (p planned) leftToTry(path string) bool {
	_, has := p.paths[path]
	return has || !p.told
}

// counted is a history that counts for verdicts, as things are today.
type counted struct {
	*history
	today    planned
	standing []string // the paths whose break stands
	held     int      // tries of the paths that a proof needs, under the conditions of today
	least    int      // of the path that was tried least
	proven   bool     // every path was tried often enough, and held
}

// count sets a history beside what would be tried today. What cannot be planned today is
// not known to hold today.
func count(h *history, today planned, standing []string) counted {
	c := counted{history: h, today: today, standing: standing}
	needed := c.needs()
	for i, name := range needed {
		n := c.tries(name)
		c.held += n
		if i == 0 || n < c.least {
			c.least = n
		}
	}
	c.proven = (today.told || h.experiment.Plan == nil) && len(needed) > 0 && c.least >= h.experiment.Danger.Tries()
	return c
}

// needs lists the paths that a proof needs of a history, sorted: those that the
// experiment would try today, and of which somebody claims to refuse it. Where that
// cannot be told, or the experiment has no plan, those of the newest run.
func (c *counted) needs() []string {
	if !c.today.told {
		return c.needed
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.today.paths)) {
		if p := c.paths[name]; p == nil || !p.excused {
			names = append(names, name)
		}
	}
	return names
}

// tries gives how often the path held under the conditions of today.
func (c *counted) tries(name string) int {
	p := c.paths[name]
	if p == nil || c.today.told && p.conditions != c.today.paths[name] {
		return 0
	}
	return p.counted.Held
}
