package deploy

import (
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/rbac"
)

// maxIdentities bounds how many identities are tried in one domain.
const maxIdentities = 6

// podMakers are the controllers by which whoever may create a Deployment, a Job
// or the like has pods made.
var podMakers = []string{
	"system:serviceaccount:kube-system:replicaset-controller", "system:serviceaccount:kube-system:job-controller",
	"system:serviceaccount:kube-system:daemon-set-controller", "system:serviceaccount:kube-system:statefulset-controller",
}

// literal is a string literal of CEL.
var literal = regexp.MustCompile(`'([^'\\]*)'|"([^"\\]*)"`)

// identities gives whom the domain's policies are tried as, beside the prober: if
// one of them reads who asks, the users that its text names, and the controllers
// that make pods; of these, those that may create pods in the namespace. Others
// would be refused by RBAC, which shows nothing.
func (t *trial) identities(namespace string) []bailey.Identity {
	var names []string
	reading := false
	for _, c := range t.d.claims {
		if c.policy == nil || !reads(c.policy, "userInfo") && !reads(c.policy, "authorizer") {
			continue
		}
		reading = true
		for _, text := range append(expressions(c.policy), conditions(c.policy)...) {
			if !strings.Contains(text, "username") && !strings.Contains(text, "userInfo") {
				continue
			}
			for _, match := range literal.FindAllStringSubmatch(text, -1) {
				names = append(names, match[1]+match[2])
			}
		}
	}
	if !reading {
		return nil
	}
	names = append(names, podMakers...)
	index := rbac.From(t.v)
	var all []bailey.Identity
	for _, name := range names {
		if name == "" || strings.HasPrefix(name, "system:node:") || slices.ContainsFunc(all, func(i bailey.Identity) bool { return i.User == name }) {
			continue
		}
		who := bailey.Identity{User: name, Groups: []string{"system:authenticated"}}
		subject := rbac.SubjectOf(&rbacv1.Subject{Kind: rbacv1.UserKind, Name: name}, "")
		if subject.Kind == rbacv1.ServiceAccountKind {
			who.Groups = append(who.Groups, "system:serviceaccounts", "system:serviceaccounts:"+subject.Namespace)
		}
		if mayCreatePods(t.v, index, subject, namespace) && len(all) < maxIdentities {
			all = append(all, who)
		}
	}
	return all
}

// mayCreatePods reports whether a binding that names the subject itself lets it
// create pods in the namespace.
func mayCreatePods(v *bailey.View, index *rbac.Index, s rbac.Subject, namespace string) bool {
	for _, g := range index.Of(s) {
		if g.Binding.Kind == bailey.KindRoleBinding && g.Binding.Namespace != namespace {
			continue
		}
		rules, _ := rbac.RulesGiven(v, g.Role)
		for i := range rules {
			r := &rules[i]
			if holdsAny(r.Verbs, "create") && holdsAny(r.APIGroups, "") && holdsAny(r.Resources, "pods") && len(r.ResourceNames) == 0 {
				return true
			}
		}
	}
	return false
}

func holdsAny(list []string, item string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, item)
}
