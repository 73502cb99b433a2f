// Package rbac answers who is bound to which role, and what a role amounts to.
package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/baileyhq/bailey"
)

// Subject is an identity that a binding can name. A ServiceAccount is held as
// such even where the binding names its user.
type Subject struct {
	// Kind is rbacv1.ServiceAccountKind, UserKind or GroupKind.
	Kind string
	// Namespace is a ServiceAccount's, and empty for the others.
	Namespace, Name string
}

// Grant is one binding that names a subject.
type Grant struct {
	Binding bailey.Ref
	// Role is the Role or ClusterRole that the binding gives.
	Role bailey.Ref
}

// Index finds the bindings of a subject.
type Index struct{ grants map[Subject][]Grant }

// Bindings is the *Index of every RoleBinding and ClusterRoleBinding that was
// seen. It makes no claim to be complete: a rule that concludes from what it
// does not hold must also call Complete.
var Bindings = &bailey.Derivation{
	Name:    "bindings",
	Needs:   []bailey.Kind{bailey.KindRoleBinding, bailey.KindClusterRoleBinding},
	Compute: func(v *bailey.View) any { return newIndex(v) },
}

// From gives the index, or an empty one where the caller did not declare it.
func From(v *bailey.View) *Index {
	if x, ok := v.Derived(Bindings).(*Index); ok {
		return x
	}
	return &Index{}
}

// Complete makes the verdict depend on all bindings: if not every one was
// seen, it is unknown. The caller declares both kinds among its needs.
func Complete(v *bailey.View) {
	v.List(bailey.KindRoleBinding, "")
	v.List(bailey.KindClusterRoleBinding, "")
}

func newIndex(v *bailey.View) *Index {
	x := &Index{grants: map[Subject][]Grant{}}
	for _, f := range v.Known(bailey.KindRoleBinding, "") {
		if b, ok := bailey.As[*rbacv1.RoleBinding](f); ok {
			x.add(f.Ref, b.RoleRef, b.Subjects)
		}
	}
	for _, f := range v.Known(bailey.KindClusterRoleBinding, "") {
		if b, ok := bailey.As[*rbacv1.ClusterRoleBinding](f); ok {
			x.add(f.Ref, b.RoleRef, b.Subjects)
		}
	}
	return x
}

func (x *Index) add(binding bailey.Ref, role rbacv1.RoleRef, subjects []rbacv1.Subject) {
	for i := range subjects {
		s := SubjectOf(&subjects[i], binding.Namespace)
		g := Grant{binding, RoleOf(role, binding.Namespace)}
		// A binding may name one subject twice.
		if list := x.grants[s]; len(list) == 0 || list[len(list)-1] != g {
			x.grants[s] = append(list, g)
		}
	}
}

// Of gives the bindings that name the subject itself, in the order of the
// snapshot; those of its groups are theirs. The slice must not be changed.
func (x *Index) Of(s Subject) []Grant { return x.grants[s] }

// OfServiceAccount is Of for a ServiceAccount.
func (x *Index) OfServiceAccount(namespace, name string) []Grant {
	return x.grants[Subject{rbacv1.ServiceAccountKind, namespace, name}]
}

const serviceAccountUser = "system:serviceaccount:"

// SubjectOf reads a subject of a binding in the namespace. The user name of a
// ServiceAccount is that ServiceAccount. A ServiceAccount without a namespace,
// which the API server refuses, is taken for one of the binding's.
func SubjectOf(s *rbacv1.Subject, namespace string) Subject {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return Subject{rbacv1.ServiceAccountKind, namespace, s.Name}
	case rbacv1.UserKind:
		if rest, ok := strings.CutPrefix(s.Name, serviceAccountUser); ok {
			if ns, name, ok := strings.Cut(rest, ":"); ok {
				return Subject{rbacv1.ServiceAccountKind, ns, name}
			}
		}
	}
	return Subject{s.Kind, "", s.Name}
}

// RoleOf gives the role that a reference of a binding in the namespace means.
func RoleOf(r rbacv1.RoleRef, namespace string) bailey.Ref {
	if r.Kind == "Role" {
		return bailey.Ref{Kind: bailey.KindRole, Namespace: namespace, Name: r.Name}
	}
	return bailey.Ref{Kind: bailey.KindClusterRole, Name: r.Name}
}

// RulesOf gives the rules of a fact that is a Role or ClusterRole, and whether
// it is one.
func RulesOf(f *bailey.Fact) ([]rbacv1.PolicyRule, bool) {
	if r, ok := bailey.As[*rbacv1.Role](f); ok {
		return r.Rules, true
	}
	if r, ok := bailey.As[*rbacv1.ClusterRole](f); ok {
		return r.Rules, true
	}
	return nil, false
}

// RulesGiven gives the rules that a role gives, and whether it is there. An
// aggregated ClusterRole that nobody has filled in yet, as one in a file, gives
// those of the ClusterRoles that it selects. The caller needs both role kinds.
func RulesGiven(v *bailey.View, role bailey.Ref) ([]rbacv1.PolicyRule, bool) {
	f := v.Get(role.Kind, role.Namespace, role.Name)
	r, ok := bailey.As[*rbacv1.ClusterRole](f)
	if !ok || r.AggregationRule == nil || len(r.Rules) > 0 {
		return RulesOf(f)
	}
	var rules []rbacv1.PolicyRule
	for _, other := range v.Known(bailey.KindClusterRole, "") {
		part, ok := bailey.As[*rbacv1.ClusterRole](other)
		if ok && slices.ContainsFunc(r.AggregationRule.ClusterRoleSelectors, func(s metav1.LabelSelector) bool {
			selector, err := metav1.LabelSelectorAsSelector(&s)
			return err == nil && selector.Matches(labels.Set(other.Labels))
		}) {
			rules = append(rules, part.Rules...)
		}
	}
	if !AllowsEverything(rules) {
		v.List(bailey.KindClusterRole, "") // one that was not seen may add to it
	}
	return rules, true
}

// ClusterAdmin is the ClusterRole that every API server makes and that allows
// everything, whatever is written under its name: the server mends it.
const ClusterAdmin = "cluster-admin"

// everyVerb are the verbs that together do what "*" does to an object.
var everyVerb = [...]string{"get", "list", "watch", "create", "update", "patch", "delete"}

// AllowsEverything reports whether one of the rules allows every verb, or all
// that read and write, on every resource of every API group.
func AllowsEverything(rules []rbacv1.PolicyRule) bool {
	for i := range rules {
		r := &rules[i]
		if len(r.ResourceNames) > 0 || !slices.Contains(r.APIGroups, rbacv1.APIGroupAll) || !slices.Contains(r.Resources, rbacv1.ResourceAll) {
			continue
		}
		if slices.Contains(r.Verbs, rbacv1.VerbAll) {
			return true
		}
		all := true
		for _, verb := range everyVerb {
			all = all && slices.Contains(r.Verbs, verb)
		}
		if all {
			return true
		}
	}
	return false
}

// OnlyReads reports whether the rules allow no more than to read resources
// that hold no credentials and cannot be used to reach further, to ask about
// oneself, and to read paths that are no resources.
func OnlyReads(rules []rbacv1.PolicyRule) bool {
	for i := range rules {
		r := &rules[i]
		for _, verb := range r.Verbs {
			switch verb {
			case "get", "list", "watch", "head", "options":
			case "use": // of a PodSecurityPolicy, which does nothing since 1.25
				if len(r.Resources) != 1 || r.Resources[0] != "podsecuritypolicies" {
					return false
				}
			case "create":
				if !aboutOneself(r) {
					return false
				}
			default:
				return false
			}
		}
		for _, resource := range r.Resources {
			main, sub, _ := strings.Cut(resource, "/")
			switch {
			case main == rbacv1.ResourceAll, main == "secrets", sub == rbacv1.ResourceAll,
				// Reading these runs commands or passes traffic on.
				sub == "proxy", sub == "exec", sub == "attach", sub == "portforward",
				// Logs hold what applications print.
				sub == "log":
				return false
			}
		}
	}
	return true
}

func aboutOneself(r *rbacv1.PolicyRule) bool {
	for _, resource := range r.Resources {
		switch resource {
		case "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews":
		default:
			return false
		}
	}
	return true
}
