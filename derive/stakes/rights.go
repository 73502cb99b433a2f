package stakes

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/rbac"
	"github.com/baileyhq/bailey/derive/workload"
)

// power is a right by which its holder gets those of others.
// Source: Kubernetes documentation, Role Based Access Control Good Practices, privilege
// escalation risks.
type power struct {
	text     string
	requests []rbac.Request // any of them
}

// clusterWide are resources on which a RoleBinding gives nothing.
var clusterWide = []string{"nodes", "users", "groups"}

// powers are in the order of what they give.
var powers = []power{
	{"give itself any right", requests("rbac.authorization.k8s.io", []string{"escalate", "bind"}, "roles", "clusterroles")},
	{"act as others", requests("", []string{"impersonate"}, "users", "groups", "serviceaccounts")},
	{"command every kubelet", subresource("nodes", "proxy", "create", "get")},
	{"read Secrets", requests("", []string{"list", "get", "watch"}, "secrets")},
	{"make tokens of ServiceAccounts", subresource("serviceaccounts", "token", "create")},
	{"run commands in pods", subresource("pods", "exec", "create", "get")},
	{"make pods", slices.Concat(requests("", []string{"create"}, "pods", "replicationcontrollers"),
		requests("apps", []string{"create", "patch", "update"}, "deployments", "daemonsets", "statefulsets", "replicasets"), requests("batch", []string{"create", "patch", "update"}, "jobs", "cronjobs"))},
}

func requests(group string, verbs []string, resources ...string) []rbac.Request {
	var all []rbac.Request
	for _, resource := range resources {
		for _, verb := range verbs {
			all = append(all, rbac.Request{Verb: verb, Group: group, Resource: resource})
		}
	}
	return all
}

func subresource(resource, sub string, verbs ...string) []rbac.Request {
	var all []rbac.Request
	for _, verb := range verbs {
		all = append(all, rbac.Request{Verb: verb, Resource: resource, Subresource: sub})
	}
	return all
}

// rights finds the first of the powers that the token in the pods has, given everywhere
// rather than in a namespace. What only the group of everybody who logged in holds is not counted: strangers need no pod for it.
func rights(v *bailey.View, w workload.Workload) (bailey.Factor, bool) {
	if !w.MountsToken(v) {
		return bailey.Factor{}, false
	}
	namespace, account := w.Fact.Namespace, w.Account()
	index := rbac.From(v)
	type held struct {
		rules []rbacv1.PolicyRule
		grant rbac.Grant
	}
	var all []held
	for _, s := range rbac.SubjectsOf(namespace, account) {
		if s.Kind == rbacv1.GroupKind && s.Name == "system:authenticated" {
			continue
		}
		for _, g := range index.Of(s) {
			if rules, known := rbac.RulesGiven(v, g.Role); known {
				all = append(all, held{rules, g})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b held) int { // those that hold everywhere first
		return cmp.Compare(min(len(a.grant.Binding.Namespace), 1), min(len(b.grant.Binding.Namespace), 1))
	})
	for _, p := range powers {
		for _, h := range all {
			for _, r := range p.requests {
				if slices.Contains(clusterWide, r.Resource) && h.grant.Binding.Namespace != "" || !r.AllowedBy(h.rules) {
					continue
				}
				where := "everywhere"
				if n := h.grant.Binding.Namespace; n != "" {
					where = "in namespace " + n
				}
				return bailey.Factor{Kind: bailey.FactorRights, Text: "its ServiceAccount " + account + " may " + p.text + " " + where, By: h.grant.Binding}, true
			}
		}
	}
	return bailey.Factor{}, false
}
