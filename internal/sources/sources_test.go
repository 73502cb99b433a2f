package sources_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/internal/sources"
)

// deciders gives every name that an item may be decided by, and the rules among them.
func deciders(t *testing.T) (all map[string]bool, rules map[string]*bailey.Rule) {
	t.Helper()
	all, rules = map[string]bool{}, map[string]*bailey.Rule{}
	add := func(name string) {
		if all[name] {
			t.Errorf("two things are called %s: a row cannot tell which decides it", name)
		}
		all[name] = true
	}
	for _, c := range controls.All() {
		for _, r := range c.Rules {
			add(c.RuleID(r))
			rules[c.RuleID(r)] = r
		}
		for _, x := range c.Experiments {
			add(c.ID + "/" + x.Name)
		}
	}
	for _, d := range detect.All() {
		add(d.Name)
	}
	return all, rules
}

// items is how many things each source asks for, counted in the source.
var items = map[string]int{
	"Kubernetes security checklist":             35,
	"Kubernetes application security checklist": 24,
	"Good practices for RBAC":                   21,
	"API server bypass risks":                   15,
	"Good practices for Secrets":                16,
	"Linux kernel security constraints":         12,
	"Hardening guide: scheduler":                12,
	"Hardening guide: authentication":           14,
	"Hardening guide: authorization":            12,
	"Hardening guide: resource limits":          6,
	"Hardening guide: device allocation":        5,
	"Multi-tenancy":                             25,
	"Good practices for mutating webhooks":      30,
	"CIS Kubernetes Benchmark":                  131,
	"NSA/CISA Kubernetes Hardening Guide":       41,
	"CNCF controls catalogue":                   205,
}

// TestEveryItemIsAnswered: no item is missing, none has no answer or two, and what is named exists.
func TestEveryItemIsAnswered(t *testing.T) {
	known, _ := deciders(t)
	if len(sources.All()) != len(items) {
		t.Errorf("%d sources, want %d", len(sources.All()), len(items))
	}
	for _, s := range sources.All() {
		if len(s.Items) != items[s.Name] {
			t.Errorf("%s has %d items here, and asks for %d", s.Name, len(s.Items), items[s.Name])
		}
		seen := map[string]bool{}
		for i := range s.Items {
			item := &s.Items[i]
			if seen[item.ID] || item.ID == "" || item.Title == "" {
				t.Errorf("%s %q: want an ID of its own and a title", s.Name, item.ID)
			}
			seen[item.ID] = true
			answers := 0
			for _, is := range []bool{len(item.By) > 0, item.Unasked != "", item.Reason != "", item.Lacking != ""} {
				if is {
					answers++
				}
			}
			if answers != 1 || item.Left != "" && len(item.By) == 0 {
				t.Errorf("%s %s has %d answers, want 1", s.Name, item.ID, answers)
			}
			for k, name := range item.By {
				if !known[name] || slices.Contains(item.By[:k], name) {
					t.Errorf("%s %s is decided by %s, which is no rule, experiment or detection, or is named twice", s.Name, item.ID, name)
				}
			}
		}
	}
}

// TestStates: what a rule reads in part, or a component's flags show and no rule asks for, does
// not go as decided or as beyond a machine.
func TestStates(t *testing.T) {
	want := map[string]map[string]sources.State{
		bailey.SourceCIS: {"1.1.12": sources.Partly, "1.2.9": sources.NotAsked, "1.2.25": sources.NotAsked, "1.3.4": sources.NotAsked,
			"1.3.5": sources.NotAsked, "4.2.7": sources.NotAsked, "5.1.2": sources.Partly, "5.1.4": sources.Partly},
		"Good practices for RBAC":            {"escalation 11": sources.Partly},
		"Hardening guide: device allocation": {"admin access 1": sources.Partly},
		"Hardening guide: scheduler":         {"authentication-tolerate-lookup-failure": sources.NotAsked, "requestheader-client-ca-file": sources.NotAsked},
	}
	for _, s := range sources.All() {
		for i := range s.Items {
			item := &s.Items[i]
			if state, named := want[s.Name][item.ID]; named && item.State() != state {
				t.Errorf("%s %s is %s, want %s", s.Name, item.ID, item.State(), state)
			}
			delete(want[s.Name], item.ID)
		}
	}
	for name, left := range want {
		for id := range left {
			t.Errorf("%s has no %s", name, id)
		}
	}
}

// TestReferencesAgree: a rule that bears the number of a CIS recommendation is named in its
// row, and a rule that a row names bears the number.
func TestReferencesAgree(t *testing.T) {
	_, rules := deciders(t)
	var cis *sources.Source
	for _, s := range sources.All() {
		if s.Name == bailey.SourceCIS {
			cis = s
		}
	}
	borne := map[string][]string{}
	for name, r := range rules {
		for _, ref := range r.Refs {
			if number, found := strings.CutPrefix(ref.ID, "v1.12 "); ref.Source == bailey.SourceCIS && found {
				borne[number] = append(borne[number], name)
			}
		}
	}
	for i := range cis.Items {
		item := &cis.Items[i]
		for _, name := range borne[item.ID] {
			if !slices.Contains(item.By, name) {
				t.Errorf("%s refers to CIS %s, whose row does not name it", name, item.ID)
			}
		}
		for _, name := range item.By {
			if rules[name] != nil && !slices.Contains(borne[item.ID], name) {
				t.Errorf("CIS %s is decided by %s, which does not refer to it", item.ID, name)
			}
		}
		delete(borne, item.ID)
	}
	for number, names := range borne {
		t.Errorf("%v refer to CIS %s, which is no recommendation", names, number)
	}
}
