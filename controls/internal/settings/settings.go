// Package settings makes guards that are flags and configuration files of the
// platform's components: what they should be, and whether they are. It is pure.
package settings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// Guard is a guard that is settings.
type Guard struct {
	Name, Title, Doc string
	Tried            []*bailey.Experiment
	Parts            []Part
}

// Part is what one component should be started with.
type Part struct {
	// Kind is the component's.
	Kind bailey.Kind
	// Wants gives the settings, for the Kubernetes version. The component is one that
	// was seen, whose other values are kept, or nil.
	Wants func(seen *bailey.Component, version bailey.Version) []Want
}

// Want is a setting, and what else is as good.
type Want struct {
	bailey.Setting
	// Holds tells whether the component, which was seen, has what the setting is for.
	// Nil wants the value itself, and of a flag that names a file does not hold, since
	// the file was not seen.
	Holds func(c *bailey.Component) bool
	// Look tells that nothing is written in the place of a file, since its content was
	// not seen whole.
	Look bool
}

// New makes the guard.
func New(g Guard) *bailey.Guard {
	var needs []bailey.Kind
	for _, p := range g.Parts {
		needs = append(needs, p.Kind)
	}
	return &bailey.Guard{
		Name: g.Name, Title: g.Title, Doc: g.Doc, Tried: g.Tried, Scope: bailey.ScopeCluster, Needs: needs,
		Settings: func(v *bailey.View) []bailey.Setting {
			var all []bailey.Setting
			for _, p := range g.Parts {
				all = append(all, p.lacking(v)...)
			}
			return all
		},
		Present: func(v *bailey.View, _ bailey.Ref) bailey.Presence {
			for _, p := range g.Parts {
				if presence := p.present(v); !presence.InPlace {
					return presence
				}
			}
			return bailey.Presence{InPlace: true, Why: g.Title}
		},
	}
}

// lacking gives the settings that a component lacks, and, where no component was seen
// whole, all of them. Where one of several must not be given a file, none is.
func (p *Part) lacking(v *bailey.View) []bailey.Setting {
	facts, unseen := p.components(v)
	if len(facts) == 0 {
		var all []bailey.Setting
		for _, w := range p.Wants(nil, v.Version()) {
			w.Component = p.Kind.Program()
			all = append(all, w.Setting)
		}
		return all
	}
	var order []string
	byName := map[string][]asked{}
	for _, f := range facts {
		c, _ := bailey.As[*bailey.Component](f)
		for _, w := range p.Wants(c, v.Version()) {
			name := w.Name()
			if byName[name] == nil {
				order = append(order, name)
			}
			byName[name] = append(byName[name], asked{by: nameOf(f), setting: w.Setting, holds: w.holds(c), seen: seen(c, &w.Setting)})
		}
	}
	var all []bailey.Setting
	for _, name := range order {
		if unseen != "" || slices.ContainsFunc(byName[name], func(a asked) bool { return !a.holds }) {
			s := together(byName[name])
			s.Component = p.Kind.Program()
			all = append(all, s)
		}
	}
	return all
}

func (p *Part) present(v *bailey.View) bailey.Presence {
	facts, unseen := p.components(v)
	if unseen != "" {
		return bailey.Presence{Why: unseen}
	}
	for _, f := range facts {
		c, _ := bailey.As[*bailey.Component](f)
		for _, w := range p.Wants(c, v.Version()) {
			if w.holds(c) {
				continue
			}
			value := seen(c, &w.Setting)
			switch {
			case value == "":
				value = "is not set"
			case c.Files[w.Flag] != nil:
				value = "names a file that says otherwise"
			case w.File != nil || w.Look:
				value = "names a file that was not seen"
			default:
				value = "is " + value
			}
			return bailey.Presence{Why: fmt.Sprintf("%s: %s %s", nameOf(f), w.Name(), value)}
		}
	}
	return bailey.Presence{InPlace: true}
}

// components gives those that were seen with their settings, and says where that is not
// all of them.
func (p *Part) components(v *bailey.View) (facts []*bailey.Fact, unseen string) {
	missing := len(v.Missing())
	for _, f := range v.List(p.Kind, "") {
		c, isComponent := bailey.As[*bailey.Component](f)
		// A kubelet that was seen as a pod shows flags, and not its configuration.
		if isComponent && (p.Kind != bailey.KindKubelet || c.Config != nil) {
			facts = append(facts, f)
		}
	}
	switch {
	case len(facts) == 0:
		return nil, "no " + p.Kind.Program() + " was seen"
	case len(v.Missing()) > missing:
		return facts, "not every " + p.Kind.Program() + " was seen"
	}
	return facts, ""
}

// nameOf is a component's name for people: "kube-apiserver@cp-1".
func nameOf(f *bailey.Fact) string { return f.Kind.Program() + "@" + f.Name }

func (w *Want) holds(c *bailey.Component) bool {
	switch {
	case w.Holds != nil:
		return w.Holds(c)
	case w.File != nil:
		return false
	case w.Flag != "":
		return c.Flags[w.Flag] == w.Value
	}
	return Text(Field(c.Config, w.Setting.Field)) == Text(w.Value)
}

func seen(c *bailey.Component, s *bailey.Setting) string {
	if s.Flag != "" {
		return c.Flags[s.Flag]
	}
	return Text(Field(c.Config, s.Field))
}

// Field reads a field by its path ("authentication.anonymous.enabled"); nil if absent.
func Field(config map[string]any, path string) any {
	var value any = config
	for name := range strings.SplitSeq(path, ".") {
		m, isMap := value.(map[string]any)
		if !isMap {
			return nil
		}
		value = m[name]
	}
	return value
}

// Map is a value as a map of fields; nil if it is none.
func Map(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

// Text is a value as JSON, a string without quotes; empty for nil.
func Text(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(b)
}

// List gives the parts of a flag that is a list.
func List(c *bailey.Component, flag string) []string {
	if c == nil || c.Flags[flag] == "" {
		return nil
	}
	return strings.Split(c.Flags[flag], ",")
}

// Flag wants a flag to have a value.
func Flag(name, value, why string) Want {
	return Want{Setting: bailey.Setting{Flag: name, Value: value, Why: why}}
}
