package enforce

import (
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
)

// staticSuffix ends the name of an admission policy or binding that an API server reads from
// a file. By the API nobody can make one (k8s.io/apiserver, admission/plugin/manifest).
const staticSuffix = ".static.k8s.io"

// IsStatic reports whether a policy of the name comes from a file of the API server.
func IsStatic(policy string) bool { return strings.HasSuffix(policy, staticSuffix) }

// keeperSuffix ends the name of a policy that refuses to delete the parameter of another
// (controls/internal/vap). As a file it would keep a list for good: only its object can be
// taken away by the API, which `bailey enforce --revert` does.
const keeperSuffix = "-parameter-kept"

// StaticPolicy is an admission policy as a file of the API server.
type StaticPolicy struct {
	// Name is the object's own, with the suffix of such files.
	Name  string
	Title string
	// Denies tells that it refuses. One whose object does not refuse in the cluster yet
	// warns and audits: nobody knows what it would refuse.
	Denies  bool
	objects []map[string]any // the policy, then its binding
}

// text is the file.
func (p *StaticPolicy) text() ([]byte, error) {
	var all []byte
	for i, o := range p.objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			all = append(all, "---\n"...)
		}
		all = append(all, text...)
	}
	return all, nil
}

// staticPolicies gives the guards of the controls that can be such files, in place or not:
// policies without parameters, but those that keep parameters. Those of the settings, which can be nothing else, come first.
func staticPolicies(s *bailey.Snapshot, controls []*bailey.Control, settings []Setting) []StaticPolicy {
	var all []StaticPolicy
	asked := false
	for _, one := range settings {
		if len(one.Policies) > 0 {
			asked = true
			all = append(all, pair(one.Policies, one.Guard.Title, true)...)
		}
	}
	if !asked {
		return nil
	}
	var there []bailey.Ref
	for _, k := range []bailey.Kind{bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding} {
		for _, f := range s.List(k, "") {
			there = append(there, f.Ref)
		}
	}
	bare := bailey.NewView(s.Without(there...)) // in which nothing is in place
	v := bailey.NewView(s)
	for _, c := range controls {
		for _, g := range c.Guards {
			if g.OptIn != "" || g.Objects == nil {
				continue
			}
			var wanted []bailey.Change
			denies := true
			for _, scope := range staticScopes(s, g.Scope) {
				v.Allow(nil, g.Needs, g.Derives)
				denies = g.Present(v, scope).InPlace && len(v.Missing()) == 0 && denies
				bare.Allow(nil, g.Needs, g.Derives)
				for _, change := range g.Objects(bare, scope) {
					if !slices.ContainsFunc(wanted, func(c bailey.Change) bool { return c.Object == change.Object }) {
						wanted = append(wanted, change)
					}
				}
			}
			all = append(all, pair(wanted, g.Title, denies)...)
		}
	}
	return all
}

// staticScopes are those of a guard, and one namespace at least: a policy is about every one.
func staticScopes(s *bailey.Snapshot, kind bailey.ScopeKind) []bailey.Ref {
	all := slices.DeleteFunc(scopes(s, kind), func(scope bailey.Ref) bool {
		return scope.Kind == bailey.KindNamespace && slices.Contains(bailey.SystemNamespaces, scope.Name)
	})
	if len(all) == 0 && kind == bailey.ScopeNamespace {
		all = append(all, bailey.Ref{Kind: bailey.KindNamespace, Name: "default"})
	}
	return all
}

// pair gives the policies among the changes that can be files, each with its binding.
func pair(changes []bailey.Change, title string, denies bool) []StaticPolicy {
	var all []StaticPolicy
	for _, policy := range changes {
		if policy.Object.Kind != bailey.KindValidatingAdmissionPolicy || policy.Content == nil || under(policy.Content, "spec")["paramKind"] != nil ||
			strings.HasSuffix(policy.Object.Name, keeperSuffix) {
			continue
		}
		for _, binding := range changes {
			if binding.Object.Kind != bailey.KindValidatingAdmissionPolicyBinding || under(binding.Content, "spec")["policyName"] != policy.Object.Name {
				continue
			}
			p := StaticPolicy{Name: policy.Object.Name + staticSuffix, Title: title, Denies: denies,
				objects: []map[string]any{renamed(policy.Content, policy.Object.Name), renamed(binding.Content, binding.Object.Name)}}
			spec := under(p.objects[1], "spec")
			spec["policyName"] = p.Name
			if !denies {
				spec["validationActions"] = []any{"Warn", "Audit"}
			}
			all = append(all, p)
		}
	}
	return all
}

// renamed is a copy of an object under the name that a file gives it.
func renamed(content map[string]any, name string) map[string]any {
	object := copied(content).(map[string]any)
	under(object, "metadata")["name"] = name + staticSuffix
	return object
}
