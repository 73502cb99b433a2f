package prove

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// Unit is one experiment planned for one scope.
type Unit struct {
	Control    *bailey.Control
	Experiment *bailey.Experiment
	Scope      bailey.Scope
	Probes     []bailey.Probe
	// Conditions is a digest of the plan, the server's version and the guards that
	// the snapshot holds.
	Conditions string
	// paths has such a digest for each path alone.
	paths map[string]string
	// Skipped says why it will not be run; empty if it will.
	Skipped string
}

// Planned is what a run would do.
type Planned struct {
	Units []Unit
	// Until is when isolated and disruptive experiments must have ended; zero for no end.
	Until time.Time
}

// Options of Plan choose what is planned.
type Choice struct {
	// Worst is the worst danger that is allowed.
	Worst bailey.Danger
	// Places are there to act from.
	Places []bailey.Place
	// Only, if set, are the names of the experiments to plan.
	Only []string
	// Schedule is nil for a run that somebody began by hand.
	Schedule *Schedule
	// Evidence is what there is already: where not all can be tried at once it says
	// whose turn it is.
	Evidence []bailey.Evidence
	// Every plans all that comes to its turn in some run, as the rights of a prober want it that stays.
	Every bool
}

// Plan plans the controls' experiments on what the snapshot shows. It asks
// nobody and does nothing. An experiment that will not be run is in the plan
// too, with the reason; one that has nothing to try in a scope is not.
func Plan(s *bailey.Snapshot, controls []*bailey.Control, c Choice) Planned {
	var p Planned
	if c.Schedule != nil {
		p.Until = c.Schedule.until()
	}
	for _, control := range controls {
		for _, x := range control.Experiments {
			if len(c.Only) > 0 && !slices.Contains(c.Only, x.Name) {
				continue
			}
			skipped := c.skips(x)
			var units []Unit
			for _, scope := range scopesOf(s, x.Scope) {
				u := Unit{Control: control, Experiment: x, Scope: scope, Skipped: skipped}
				if skipped == "" || x.Danger != bailey.DangerDisruptive {
					u.plan(s)
				}
				if u.Skipped == "" && c.Schedule != nil && acts(x.Danger) {
					u.Skipped = c.Schedule.refuses(s, &u)
				}
				if len(u.Probes) > 0 || u.Skipped != "" {
					units = append(units, u)
				}
				if skipped != "" {
					break // one line says it for all scopes
				}
			}
			if !c.Every {
				units = turns(sample(units, x, s.Meta.At), x, newest(c.Evidence, control, x))
			}
			p.Units = append(p.Units, units...)
		}
	}
	return p
}

func (c Choice) skips(x *bailey.Experiment) string {
	if slices.Index(bailey.Dangers, x.Danger) > slices.Index(bailey.Dangers, c.Worst) {
		switch x.Danger {
		case bailey.DangerIsolated:
			return "makes objects of its own: --isolated allows it"
		case bailey.DangerDisruptive:
			return "may disturb what runs: --allow-disruptive allows it"
		}
		return "is " + string(x.Danger)
	}
	for _, place := range x.Places {
		if !slices.Contains(c.Places, place) {
			switch place {
			case bailey.PlaceNode:
				return "runs pods of Bailey's own: --probe-image names their image"
			case bailey.PlaceEtcd:
				return "acts upon etcd: --etcd with its certificates names it; for one that only reads, --etcd-snapshot FILE does"
			case bailey.PlaceAuditLog:
				return "asks the API server's audit log: --audit-log FILE names it"
			}
			return "needs " + string(place)
		}
	}
	if c.Schedule != nil && acts(x.Danger) {
		return c.Schedule.closed()
	}
	return ""
}

// plan asks the experiment for its probes. A plan that read what was not seen, or
// that failed, is skipped and says so.
func (u *Unit) plan(s *bailey.Snapshot) {
	defer func() {
		if reason := recover(); reason != nil {
			u.Probes, u.Skipped = nil, fmt.Sprintf("its plan failed: %v", reason)
		}
	}()
	view := bailey.NewView(s)
	view.Allow(nil, u.Experiment.Needs, u.Experiment.Derives)
	u.Probes = u.Experiment.Plan(view, u.Scope.Object)
	if missing := view.Missing(); len(missing) > 0 {
		u.Probes, u.Skipped = nil, fmt.Sprintf("%s was not seen (%s)", missing[0].Kind, missing[0].Reason)
		if missing[0].Hint != "" {
			u.Skipped += ": " + missing[0].Hint
		}
		return
	}
	u.paths = bailey.PathConditions(s, u.Scope.Object, u.Probes)
	for i := range u.Probes {
		if u.Probes[i].Scope.Kind == "" {
			u.Probes[i].Scope = u.Scope
		}
	}
	all := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(u.paths)) {
		all.Write([]byte(path + "\x00" + u.paths[path] + "\x00"))
	}
	u.Conditions = hex.EncodeToString(all.Sum(nil)[:12])
}

// scopesOf lists the things of a scope kind that an experiment is planned for.
func scopesOf(s *bailey.Snapshot, kind bailey.ScopeKind) []bailey.Scope {
	var scopes []bailey.Scope
	add := func(kinds ...bailey.Kind) []bailey.Scope {
		for _, k := range kinds {
			for _, f := range s.List(k, "") {
				if !f.Dormant && f.Owner.Name == "" {
					scopes = append(scopes, bailey.Scope{Kind: kind, Object: f.Ref})
				}
			}
		}
		return scopes
	}
	switch kind {
	case bailey.ScopeNamespace:
		return add(bailey.KindNamespace)
	case bailey.ScopeNode:
		return add(bailey.KindNode)
	case bailey.ScopeWorkload:
		return add(bailey.PodBearing...)
	}
	return []bailey.Scope{{Kind: kind}}
}
