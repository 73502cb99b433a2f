package access

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/rbac"
)

var kubeletsNotForAll = &bailey.Experiment{
	Name:  "kubelets-not-for-all",
	Title: "Nobody reaches kubelets by belonging to everybody",
	Doc: `Bailey asks the API server by SubjectAccessReview whether those may use the API of kubelets who have done nothing
for it: a stranger, a user who is merely authenticated, a ServiceAccount of a namespace that does not exist, and the
ServiceAccount "default" of up to 12 namespaces spread over the cluster, every time the same. It asks for nodes/proxy,
which is to run commands in every container of a node past admission and audit, by get (a WebSocket) and by create;
for log files and checkpoints of memory; and for the node's pods, which kubelets of 1.36 and newer ask for by
themselves. Each must be no, whatever the roles say. Nothing is done. The twin asks for the same identity about
something that everybody may do.

It does not ask about other ServiceAccounts, users and groups: what RBAC gives them by name is for rules to judge, and
access/authorization asks whether something beside RBAC gives more. What counts at the kubelet is that it asks the API
server at all (authorization mode Webhook); that, closed-to-pods tries.`,
	Hypothesis: "No identity may use the API of kubelets for the mere reason that it is one.",
	Danger:     bailey.DangerNone,
	Technique:  "T1609",
	Scope:      bailey.ScopeCluster,
	Needs: []bailey.Kind{bailey.KindServiceAccount, bailey.KindRole, bailey.KindRoleBinding,
		bailey.KindClusterRole, bailey.KindClusterRoleBinding},
	Derives: []*bailey.Derivation{rbac.Bindings},
	Window:  evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		var probes []bailey.Probe
		add := func(who identity) {
			twin := who.twin(v)
			for _, t := range kubeletTechniques {
				probes = append(probes, bailey.Probe{Name: t.name + ", " + who.says, Path: pathOf(t.request), Twin: twin,
					Try: who.review(t.request, bailey.RefuserAuthorization)})
			}
		}
		add(stranger)
		add(anyUser)
		nobody := accountIdentity("bailey-probe-none", "default")
		nobody.says = "any ServiceAccount"
		add(nobody)
		var defaults []*bailey.Fact
		for _, f := range v.List(bailey.KindServiceAccount, "") {
			if f.Name == "default" {
				defaults = append(defaults, f)
			}
		}
		n := min(accountSample, len(defaults))
		for i := range n {
			f := defaults[i*len(defaults)/n]
			add(accountIdentity(f.Namespace, f.Name))
		}
		return probes
	},
}

// kubeletTechniques are what the API of kubelets offers an intruder.
var kubeletTechniques = []technique{
	{"enter containers by a WebSocket", rbac.Request{Verb: "get", Resource: "nodes", Subresource: "proxy"}},
	{"enter containers", rbac.Request{Verb: "create", Resource: "nodes", Subresource: "proxy"}},
	{"read the pods of a node", rbac.Request{Verb: "get", Resource: "nodes", Subresource: "pods"}},
	{"read the log files of a node", rbac.Request{Verb: "get", Resource: "nodes", Subresource: "log"}},
	{"dump the memory of a container", rbac.Request{Verb: "create", Resource: "nodes", Subresource: "checkpoint"}},
}

// Those who have nothing but what everybody has.
var (
	stranger = identity{says: "a stranger", user: "system:anonymous", groups: []string{"system:unauthenticated"}, namespace: "default",
		subjects: []rbac.Subject{{Kind: rbacv1.UserKind, Name: "system:anonymous"}, {Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}}}
	anyUser = identity{says: "a user of no group", user: "bailey-probe-user", groups: []string{"system:authenticated"}, namespace: "default",
		subjects: []rbac.Subject{{Kind: rbacv1.UserKind, Name: "bailey-probe-user"}, {Kind: rbacv1.GroupKind, Name: "system:authenticated"}}}
)

// accountIdentity is a ServiceAccount with the groups that it is in.
func accountIdentity(namespace, name string) identity {
	return identity{
		says: "ServiceAccount " + namespace + "/" + name, user: "system:serviceaccount:" + namespace + ":" + name, namespace: namespace,
		groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
		subjects: rbac.SubjectsOf(namespace, name),
	}
}
