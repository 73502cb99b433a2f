package prove

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// OptedIn is the value of bailey.OptInLabel by which a namespace lets scheduled
// experiments act upon it.
const OptedIn = "allowed"

// Schedule says that nobody watches a run: what is isolated or disruptive is then done
// within the window only, and upon no namespace that has not opted in.
type Schedule struct {
	Window *Window // nil for never
	At     time.Time
}

// closed says why nothing that acts is done at all; empty if it may be.
func (s *Schedule) closed() string {
	if s.Window == nil {
		return "acts, and the schedule has no window: --window 22:00-06:00 gives it one"
	}
	if _, open := s.Window.Open(s.At); !open {
		return fmt.Sprintf("acts, and the window (%s) is closed", s.Window)
	}
	return ""
}

// until is when what acts must have ended.
func (s *Schedule) until() time.Time {
	if s.Window == nil {
		return s.At
	}
	end, _ := s.Window.Open(s.At)
	return end
}

// refuses says why a unit that acts may not: upon which namespace, and what that lacks.
func (s *Schedule) refuses(seen *bailey.Snapshot, u *Unit) string {
	for _, name := range actsUpon(u) {
		if strings.Contains(name, "${") {
			return fmt.Sprintf("acts upon a namespace that is not known beforehand (%s)", name)
		}
		namespace := seen.Get(bailey.Ref{Kind: bailey.KindNamespace, Name: name})
		if namespace == nil {
			return fmt.Sprintf("acts upon namespace %s, which was not seen: whether it opts in is not known", name)
		}
		if namespace.Labels[bailey.OptInLabel] != OptedIn {
			return fmt.Sprintf("acts upon namespace %s, which has not opted in: kubectl label namespace %s %s=%s", name, name, bailey.OptInLabel, OptedIn)
		}
	}
	return ""
}

// actsUpon names the namespaces that a unit acts upon, beside its own: those that its
// scope and its probes' scopes lie in, and those that a step changes.
func actsUpon(u *Unit) []string {
	var names []string
	add := func(name string) {
		if name != "" && !strings.HasPrefix(name, bailey.ProbePrefix) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	scope := func(s bailey.Scope) {
		if s.Kind == bailey.ScopeNamespace {
			add(s.Object.Name)
		}
		add(s.Object.Namespace)
	}
	scope(u.Scope)
	for i := range u.Probes {
		p := &u.Probes[i]
		scope(p.Scope)
		for step := range stepsOf(p) {
			switch {
			case step.Request != nil && step.Request.Real && step.Request.Verb != "get" && step.Request.Verb != "list":
				if step.Request.Resource == "namespaces" && step.Request.Verb != "create" {
					add(step.Request.Name)
				}
				add(step.Request.Namespace)
			case step.Task != nil && step.Task.In != nil:
				add(step.Task.In.Namespace)
			case step.Origin != nil:
				add(step.Origin.Namespace)
			}
		}
	}
	return names
}
