package access

import (
	"fmt"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/rbac"
)

const (
	// accountSample is how many ServiceAccounts are asked about, and
	// techniqueSample how many closed edges of each. Strangers and ordinary users
	// are asked about all.
	accountSample   = 12
	techniqueSample = 8
)

var closedEdges = &bailey.Experiment{
	Name:  "closed-edges",
	Title: "What RBAC gives to nobody, the authorizer gives to nobody",
	Doc: `Bailey reads all roles and bindings, and works out what they leave closed: reading Secrets, running and entering
pods, minting tokens, becoming somebody else, giving oneself roles, signing certificates, changing webhooks,
policies and namespaces, making volumes that reach a node, deleting events. It asks the API server by
SubjectAccessReview whether these are closed: all of them for a stranger and for a user of no group, and 8 each
for 12 ServiceAccounts spread over the cluster, every time the same. Nothing is done. The twin asks for the same
identity about something that everybody may do.

An answer "yes" means that the roles have changed since they were read, or that something beside RBAC grants
rights: a webhook, an ABAC file, an authorizer of the cloud. Users and groups that bindings name are not asked
about: what else they are members of cannot be seen from inside.`,
	Hypothesis: "The API server's authorizer allows no identity what no role gives it.",
	Danger:     bailey.DangerNone,
	Technique:  "T1078",
	Scope:      bailey.ScopeCluster,
	Needs: []bailey.Kind{bailey.KindServiceAccount, bailey.KindRole, bailey.KindRoleBinding,
		bailey.KindClusterRole, bailey.KindClusterRoleBinding},
	Derives: []*bailey.Derivation{rbac.Bindings},
	Window:  evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		var probes []bailey.Probe
		add := func(who identity, from, most int) {
			var closed []technique
			for _, t := range techniques(who.namespace) {
				if !rbac.Allowed(v, who.subjects, t.request) {
					closed = append(closed, t)
				}
			}
			twin := who.twin(v)
			for i := range min(most, len(closed)) {
				t := closed[(from+i)%len(closed)]
				probes = append(probes, bailey.Probe{
					Name: t.name + ", " + who.says, Path: pathOf(t.request), Twin: twin,
					Try: who.review(t.request, bailey.RefuserAuthorization),
				})
			}
		}
		all := len(techniques(""))
		add(stranger, 0, all)
		add(anyUser, 0, all)
		accounts := v.List(bailey.KindServiceAccount, "")
		n := min(accountSample, len(accounts))
		for i := range n {
			f := accounts[i*len(accounts)/n]
			add(accountIdentity(f.Namespace, f.Name), i*techniqueSample, techniqueSample)
		}
		return probes
	},
}

// identity is one that the authorizer is asked about.
type identity struct {
	says, user string
	groups     []string
	namespace  string // its own, or the one that it is tried in
	subjects   []rbac.Subject
}

func (i identity) review(r rbac.Request, refusers ...bailey.Refuser) bailey.Step {
	return bailey.Step{Refusers: refusers, Review: &bailey.Review{User: i.user, Groups: i.groups, Verb: r.Verb, Group: r.Group,
		Resource: r.Resource, Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name, Path: r.Path}}
}

// twin asks about what everybody may do by default, or, where all of that was
// taken away, for the group that may do everything.
func (i identity) twin(v *bailey.View) bailey.Step {
	for _, r := range []rbac.Request{
		{Verb: "create", Group: "authentication.k8s.io", Resource: "selfsubjectreviews"},
		{Verb: "create", Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"},
		{Verb: "get", Path: "/version"},
		{Verb: "get", Path: "/healthz"},
	} {
		if rbac.Allowed(v, i.subjects, r) {
			return i.review(r)
		}
	}
	i.groups = []string{"system:masters"}
	return i.review(rbac.Request{Verb: "list", Resource: "secrets"})
}

// technique is one way to more rights.
type technique struct {
	name    string
	request rbac.Request
}

// techniques lists the edges that must be closed to ordinary identities, with
// those within a namespace for their own and for kube-system.
func techniques(own string) []technique {
	const core, authorization, admission, certificates = "", "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io"
	all := []technique{
		{"dump all Secrets", rbac.Request{Verb: "list", Resource: "secrets"}},
		{"reach kubelets through the API server", rbac.Request{Verb: "get", Resource: "nodes", Subresource: "proxy"}},
		{"command kubelets through the API server", rbac.Request{Verb: "create", Resource: "nodes", Subresource: "proxy"}},
		{"make an admin role", rbac.Request{Verb: "create", Group: authorization, Resource: "clusterroles"}},
		{"escalate a role", rbac.Request{Verb: "escalate", Group: authorization, Resource: "clusterroles"}},
		{"bind cluster-admin", rbac.Request{Verb: "bind", Group: authorization, Resource: "clusterroles", Name: "cluster-admin"}},
		{"become an administrator by a binding", rbac.Request{Verb: "create", Group: authorization, Resource: "clusterrolebindings"}},
		{"become another user", rbac.Request{Verb: "impersonate", Resource: "users", Name: "kubernetes-admin"}},
		{"become a member of system:masters", rbac.Request{Verb: "impersonate", Resource: "groups", Name: "system:masters"}},
		{"approve certificate requests", rbac.Request{Verb: "update", Group: certificates, Resource: "certificatesigningrequests", Subresource: "approval"}},
		{"approve for the signer of client certificates", rbac.Request{Verb: "approve", Group: certificates, Resource: "signers", Name: "kubernetes.io/kube-apiserver-client"}},
		{"sign client certificates", rbac.Request{Verb: "sign", Group: certificates, Resource: "signers", Name: "kubernetes.io/kube-apiserver-client"}},
		{"plant a mutating webhook", rbac.Request{Verb: "create", Group: admission, Resource: "mutatingwebhookconfigurations"}},
		{"take a mutating webhook over", rbac.Request{Verb: "patch", Group: admission, Resource: "mutatingwebhookconfigurations"}},
		{"plant a validating webhook", rbac.Request{Verb: "create", Group: admission, Resource: "validatingwebhookconfigurations"}},
		{"take a validating webhook over", rbac.Request{Verb: "patch", Group: admission, Resource: "validatingwebhookconfigurations"}},
		{"delete an admission policy", rbac.Request{Verb: "delete", Group: admission, Resource: "validatingadmissionpolicies"}},
		{"lower the labels of kube-system", rbac.Request{Verb: "patch", Resource: "namespaces", Name: "kube-system"}},
		{"make a volume that reaches a node", rbac.Request{Verb: "create", Resource: "persistentvolumes"}},
		{"change nodes", rbac.Request{Verb: "patch", Resource: "nodes"}},
		{"answer for the API by an APIService", rbac.Request{Verb: "create", Group: "apiregistration.k8s.io", Resource: "apiservices"}},
		{"delete all events", rbac.Request{Verb: "deletecollection", Resource: "events"}},
	}
	within := []technique{
		{"read Secrets", rbac.Request{Verb: "list", Resource: "secrets"}},
		{"run pods", rbac.Request{Verb: "create", Group: core, Resource: "pods"}},
		{"enter pods by a stream", rbac.Request{Verb: "create", Resource: "pods", Subresource: "exec"}},
		{"enter pods by a WebSocket", rbac.Request{Verb: "get", Resource: "pods", Subresource: "exec"}},
		{"attach to pods", rbac.Request{Verb: "create", Resource: "pods", Subresource: "attach"}},
		{"reach into pods' ports", rbac.Request{Verb: "create", Resource: "pods", Subresource: "portforward"}},
		{"put containers into running pods", rbac.Request{Verb: "patch", Resource: "pods", Subresource: "ephemeralcontainers"}},
		{"mint tokens", rbac.Request{Verb: "create", Resource: "serviceaccounts", Subresource: "token"}},
		{"become a ServiceAccount", rbac.Request{Verb: "impersonate", Resource: "serviceaccounts", Name: "default"}},
		{"give out roles", rbac.Request{Verb: "create", Group: authorization, Resource: "rolebindings"}},
	}
	namespaces := []string{"kube-system"}
	if own != "kube-system" {
		namespaces = append(namespaces, own)
	}
	for _, namespace := range namespaces {
		for _, t := range within {
			t.name += " in " + namespace
			t.request.Namespace = namespace
			all = append(all, t)
		}
	}
	return all
}

// pathOf says what a request asks for: "create pods/exec in kube-system".
func pathOf(r rbac.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Verb, r.Resource)
	if r.Subresource != "" {
		fmt.Fprintf(&b, "/%s", r.Subresource)
	}
	if r.Name != "" {
		fmt.Fprintf(&b, " %s", r.Name)
	}
	if r.Namespace != "" {
		fmt.Fprintf(&b, " in %s", r.Namespace)
	}
	return b.String()
}
