// Package minted makes the steps by which an experiment has identities of its own: a
// namespace, ServiceAccounts with roles, and their tokens. What it makes is real, lies in
// or is named like what is the run's own, and is removed by the runner.
package minted

import (
	"time"

	"github.com/baileyhq/bailey"
)

const (
	// bindingLag is how long the authorizer may take to learn of a new binding.
	bindingLag = 20 * time.Second
	// TokenSeconds is the shortest lifetime that the API server gives a token.
	TokenSeconds = 600
	RBACGroup    = "rbac.authorization.k8s.io"
	RBACVersion  = RBACGroup + "/v1"
)

// Object is a Kubernetes object as a step carries it.
func Object(apiVersion, kind, namespace, name string, fields map[string]any) map[string]any {
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	for key, value := range fields {
		o[key] = value
	}
	return o
}

// Create is a request that makes the object.
func Create(apiVersion, resource, namespace string, o map[string]any) bailey.Request {
	return bailey.Request{Verb: "create", APIVersion: apiVersion, Resource: resource, Namespace: namespace, Object: o}
}

// MakeReal is a step of the setup by which the prober makes an object for real.
func MakeReal(apiVersion, resource, namespace string, o map[string]any) bailey.Step {
	r := Create(apiVersion, resource, namespace, o)
	r.Real = true
	return Request(bailey.Identity{}, r)
}

// Namespace is the name of a namespace of the run's own.
func Namespace(name string) string { return bailey.ProbePrefix + "${run}-" + name }

func MakeNamespace(name string) bailey.Step {
	return MakeReal("v1", "namespaces", "", Object("v1", "Namespace", "", name, nil))
}

func MakeAccount(namespace, name string) bailey.Step {
	return MakeReal("v1", "serviceaccounts", namespace, Object("v1", "ServiceAccount", namespace, name,
		map[string]any{"automountServiceAccountToken": false}))
}

// Mint binds a token of the ServiceAccount by the name given. The fields are
// those of the TokenRequest's spec beside the lifetime.
func Mint(as bailey.Identity, namespace, account, bound string, fields map[string]any) bailey.Step {
	spec := map[string]any{"expirationSeconds": TokenSeconds}
	for key, value := range fields {
		spec[key] = value
	}
	step := Request(as, bailey.Request{Verb: "create", APIVersion: "v1", Resource: "serviceaccounts", Subresource: "token", Real: true,
		Namespace: namespace, Name: account, Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}})
	if bound != "" {
		step.Bind = map[string]string{bound: "status.token"}
	}
	return step
}

// Rule is a rule of a Role, as a step carries it.
func Rule(group string, resources, verbs []string) map[string]any {
	return map[string]any{"apiGroups": []any{group}, "resources": anys(resources), "verbs": anys(verbs)}
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

func Role(namespace, name string, rules ...any) map[string]any {
	return Object(RBACVersion, "Role", namespace, name, map[string]any{"rules": rules})
}

func RoleBinding(namespace, name, roleKind, roleName, account string) map[string]any {
	return Object(RBACVersion, "RoleBinding", namespace, name, map[string]any{
		"roleRef":  map[string]any{"apiGroup": RBACGroup, "kind": roleKind, "name": roleName},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": namespace, "name": account}},
	})
}

// Awaited is a step of the setup that is asked until the authorizer lets it pass.
func Awaited(step bailey.Step) bailey.Step {
	step.Refusers, step.Within = nil, bindingLag
	return step
}

// Request is a step that makes the request as the identity. Refusers make it a try.
func Request(as bailey.Identity, r bailey.Request, refusers ...bailey.Refuser) bailey.Step {
	r.As = as
	return bailey.Step{Request: &r, Refusers: refusers}
}

// ClusterRole are the steps that make a ClusterRole of the run's own and bind it to the
// ServiceAccount.
func ClusterRole(name, namespace, account string, rules ...any) []bailey.Step {
	return []bailey.Step{
		MakeReal(RBACVersion, "clusterroles", "", Object(RBACVersion, "ClusterRole", "", name, map[string]any{"rules": rules})),
		MakeReal(RBACVersion, "clusterrolebindings", "", Object(RBACVersion, "ClusterRoleBinding", "", name, map[string]any{
			"roleRef":  map[string]any{"apiGroup": RBACGroup, "kind": "ClusterRole", "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": namespace, "name": account}}})),
	}
}
