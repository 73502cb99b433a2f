// Package enforce turns guards into changes of a cluster: what would be put in
// place, what that would refuse, and how it is put there and taken back.
package enforce

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
)

// Plan is what would be put in place.
type Plan struct {
	// Changes are sorted: policies before their bindings, then by object.
	Changes []Change
	// Settings are what components should be started with and are not, as far as was
	// seen: files and flags, which no API applies.
	Settings []Setting
	// Static are the admission policies that an API server can read from files, where
	// Settings ask for that.
	Static []StaticPolicy
	// InPlace counts the guards that are in place, each for each scope.
	InPlace int
	// Standings say of each guard, for each scope that it is planned for, whether it is in place.
	Standings []Standing
	// Unknown names the facts for want of which a guard could plan nothing.
	Unknown []bailey.Missing
}

// Change is what is done to one object for the sake of one guard or several.
type Change struct {
	Object     bailey.Ref
	APIVersion string
	// Creates tells that the object is not there yet.
	Creates bool
	// Apply is what server-side apply is given: of an object that is there, the
	// fields that change and no others.
	Apply map[string]any
	// Differs are the fields of Apply that the object does not hold; empty for one that
	// is not there.
	Differs []Field
	// Notes say what a person must decide first.
	Notes []string
	For   []Guarded
	// Managed says who owns the object's source ("Argo CD", "Flux", "Helm"): it is
	// changed there, never in the cluster. Empty where nobody is known to.
	Managed string
}

// Guarded is a guard, and the scopes that it would be put in place for.
type Guarded struct {
	Control *bailey.Control
	Guard   *bailey.Guard
	Scopes  []bailey.Ref
}

// Standing is whether a guard is in place for one scope.
type Standing struct {
	Control *bailey.Control
	Guard   *bailey.Guard
	Scope   bailey.Ref // zero for the cluster
	InPlace bool
	// Why names what is there or what is lacking.
	Why string
	// Missing are the facts for want of which that is not known.
	Missing []bailey.Missing
}

// Make plans the guards of the controls for every scope of the snapshot, those that want
// to be asked for only if they are. A change that server-side apply cannot express is an
// error of the guard.
func Make(s *bailey.Snapshot, controls []*bailey.Control, asked ...string) (*Plan, error) {
	p := &Plan{}
	changes := map[bailey.Ref]*merged{}
	places := map[bailey.ScopeKind][]bailey.Ref{} // to look for them reads all objects
	for _, kind := range []bailey.ScopeKind{bailey.ScopeCluster, bailey.ScopeNamespace} {
		places[kind] = scopes(s, kind)
	}
	for _, c := range controls {
		for _, g := range c.Guards {
			if g.OptIn != "" && !slices.Contains(asked, g.OptIn) {
				continue
			}
			for _, scope := range places[g.Scope] {
				if scope.Kind == bailey.KindNamespace && slices.Contains(bailey.SystemNamespaces, scope.Name) {
					continue
				}
				if err := p.add(s, changes, c, g, scope); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, c := range changes {
		if f := s.Get(c.Object); f != nil {
			object, err := contentOf(f)
			if err != nil {
				return nil, err
			}
			c.Creates, c.Managed, c.Differs = false, managedBy(f), differences(object, c.Apply)
			if len(c.Differs) == 0 {
				continue // another object of the guard is what is lacking
			}
		}
		p.Changes = append(p.Changes, c.Change)
	}
	p.Static = staticPolicies(s, controls, p.Settings)
	slices.SortFunc(p.Changes, func(a, b Change) int { return Compare(a.Object, b.Object) })
	return p, nil
}

// Compare is the order in which objects are applied: what others refer to comes first.
func Compare(a, b bailey.Ref) int {
	return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), a.Compare(b))
}

// CompareRevert is the order in which objects are taken away: bindings, then policies, of
// each those last that keep the parameters of others, then what policies read. As soon as
// those are no longer in force, none is that reads a parameter.
func CompareRevert(a, b bailey.Ref) int {
	after := func(k bailey.Kind) int {
		switch rank(k) {
		case policyRank:
			return 1
		case bindingRank:
			return 0
		}
		return 2
	}
	keeps := func(o bailey.Ref) int {
		if after(o.Kind) < 2 && strings.HasSuffix(o.Name, keeperSuffix) {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(after(a.Kind), after(b.Kind)), cmp.Compare(keeps(a), keeps(b)), Compare(b, a))
}

// merged is a change as several scopes, and several guards, ask for it.
type merged struct {
	Change
	content map[string]any // the last that was merged: a guard may ask for the same one for each scope
}

// holds reports whether the content, the very map, was merged last.
func (m *merged) holds(content map[string]any) bool {
	return content != nil && reflect.ValueOf(m.content).Pointer() == reflect.ValueOf(content).Pointer()
}

func (p *Plan) add(s *bailey.Snapshot, changes map[bailey.Ref]*merged, c *bailey.Control, g *bailey.Guard, scope bailey.Ref) error {
	v := bailey.NewView(s)
	v.Allow(nil, g.Needs, g.Derives)
	present := g.Present(v, scope)
	standing := Standing{c, g, scope, present.InPlace && len(v.Missing()) == 0, present.Why, slices.Clone(v.Missing())}
	p.Standings = append(p.Standings, standing)
	if standing.InPlace {
		p.InPlace++
		return nil
	}
	v.Allow(nil, g.Needs, g.Derives)
	if g.Settings != nil {
		for _, asked := range g.Settings(v) {
			p.Settings = append(p.Settings, Setting{Setting: asked, Control: c, Guard: g})
		}
		return nil
	}
	asked := g.Objects(v, scope)
	if len(asked) == 0 {
		for _, m := range v.Missing() {
			if !slices.Contains(p.Unknown, m) {
				p.Unknown = append(p.Unknown, m)
			}
		}
	}
	for _, change := range asked {
		into := changes[change.Object]
		if into == nil || len(change.Patch) > 0 || !into.holds(change.Content) {
			fields, err := Fields(change)
			if err != nil {
				return err
			}
			if into == nil {
				into = &merged{Change: Change{Object: change.Object, APIVersion: change.APIVersion, Creates: len(change.Patch) == 0, Apply: fields}}
				changes[change.Object] = into
			} else {
				merge(into.Apply, fields)
			}
			into.content = change.Content // nil of a patch
		}
		if change.Note != "" && !slices.Contains(into.Notes, change.Note) {
			into.Notes = append(into.Notes, change.Note)
		}
		into.guard(c, g, scope)
	}
	return nil
}

func (c *Change) guard(control *bailey.Control, g *bailey.Guard, scope bailey.Ref) {
	for i := range c.For {
		if c.For[i].Guard == g {
			c.For[i].Scopes = append(c.For[i].Scopes, scope)
			return
		}
	}
	c.For = append(c.For, Guarded{control, g, []bailey.Ref{scope}})
}

// scopes gives the things of a kind that guards can be put in place for. The
// namespaces of a folder that holds none are those that its objects name.
func scopes(s *bailey.Snapshot, kind bailey.ScopeKind) []bailey.Ref {
	switch kind {
	case bailey.ScopeCluster:
		return []bailey.Ref{{}}
	case bailey.ScopeNamespace:
		names := map[string]bool{}
		for _, k := range s.Kinds() {
			for _, f := range s.List(k, "") {
				if k == bailey.KindNamespace {
					names[f.Name] = true
				} else if f.Namespace != "" {
					names[f.Namespace] = true
				}
			}
		}
		var all []bailey.Ref
		for _, name := range slices.Sorted(maps.Keys(names)) {
			all = append(all, bailey.Ref{Kind: bailey.KindNamespace, Name: name})
		}
		return all
	}
	return nil
}

// The ranks of admission policies and of their bindings.
const policyRank, bindingRank = 1, 3

// rank puts what others refer to before them.
func rank(k bailey.Kind) int {
	switch k {
	case bailey.KindNamespace:
		return 0
	case bailey.KindValidatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicy:
		return policyRank
	case bailey.KindValidatingAdmissionPolicyBinding, bailey.KindMutatingAdmissionPolicyBinding:
		return bindingRank
	}
	return 2
}

// merge puts the fields of one map into another, the new ones over the old.
func merge(into, from map[string]any) {
	for key, value := range from {
		child, isMap := value.(map[string]any)
		if old, wasMap := into[key].(map[string]any); isMap && wasMap {
			merge(old, child)
			continue
		}
		into[key] = value
	}
}

// contentOf is the object of a fact as maps, lists and scalars.
func contentOf(f *bailey.Fact) (map[string]any, error) {
	if object, isMap := f.Object.(map[string]any); isMap {
		return object, nil
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(f.Object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Ref, err)
	}
	return object, nil
}

// managedBy says who owns the source of an object, by the marks that they leave.
func managedBy(f *bailey.Fact) string {
	notes := annotationsOf(f)
	switch {
	case notes["argocd.argoproj.io/tracking-id"] != "" || f.Labels["argocd.argoproj.io/instance"] != "":
		return "Argo CD"
	case f.Labels["kustomize.toolkit.fluxcd.io/name"] != "" || f.Labels["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux"
	case notes["meta.helm.sh/release-name"] != "" || strings.EqualFold(f.Labels["app.kubernetes.io/managed-by"], "Helm"):
		return "Helm"
	}
	return ""
}
