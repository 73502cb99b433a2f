package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
)

// Request is what somebody wants to do. Path is given, without the rest but the
// verb, for what is no resource.
type Request struct {
	Verb, Group, Resource, Subresource string
	// Namespace is empty for what is cluster-wide, and for all namespaces.
	Namespace string
	// Name is empty where no one object is meant.
	Name string
	Path string
}

// Allowed reports whether RBAC allows one of the subjects, a user with its groups,
// to make the request: whether the edge is open in the graph of rights. "No" is
// certain only if every binding and role was seen, which makes the verdict
// depend on them; the caller declares all four kinds and Bindings.
func Allowed(v *bailey.View, subjects []Subject, r Request) bool {
	index := From(v)
	for _, s := range subjects {
		for _, g := range index.Of(s) {
			if g.Binding.Namespace != "" && g.Binding.Namespace != r.Namespace {
				continue
			}
			rules, _ := RulesGiven(v, g.Role)
			if r.AllowedBy(rules) {
				return true
			}
		}
	}
	Complete(v)
	return false
}

// SubjectsOf gives the subjects that a ServiceAccount is, its groups included.
func SubjectsOf(namespace, name string) []Subject {
	return []Subject{
		{rbacv1.ServiceAccountKind, namespace, name},
		{rbacv1.GroupKind, "", "system:serviceaccounts"},
		{rbacv1.GroupKind, "", "system:serviceaccounts:" + namespace},
		{rbacv1.GroupKind, "", "system:authenticated"},
	}
}

// AllowedBy reports whether one of the rules allows the request, wherever they hold.
func (r Request) AllowedBy(rules []rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(rules, r.allowedBy)
}

// allowedBy is the RBAC authorizer's comparison of a request with one rule.
func (r Request) allowedBy(rule rbacv1.PolicyRule) bool {
	holds := func(list []string, value string) bool {
		return slices.Contains(list, value) || slices.Contains(list, "*")
	}
	if !holds(rule.Verbs, r.Verb) {
		return false
	}
	if r.Path != "" {
		return slices.ContainsFunc(rule.NonResourceURLs, func(pattern string) bool {
			prefix, open := strings.CutSuffix(pattern, "*")
			return pattern == r.Path || open && strings.HasPrefix(r.Path, prefix)
		})
	}
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	named := slices.Contains(rule.Resources, resource) || slices.Contains(rule.Resources, "*") ||
		r.Subresource != "" && slices.Contains(rule.Resources, "*/"+r.Subresource)
	return named && holds(rule.APIGroups, r.Group) && (len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}
