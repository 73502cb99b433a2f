package access

import (
	"time"

	"github.com/baileyhq/bailey"
)

const (
	// bindingLag is how long the authorizer may take to learn of a new binding.
	bindingLag = 20 * time.Second
	// tokenSeconds is the shortest lifetime that the API server gives a token.
	tokenSeconds = 600
	rbacGroup    = "rbac.authorization.k8s.io"
	rbacVersion  = rbacGroup + "/v1"
)

// object is a Kubernetes object as a step carries it.
func object(apiVersion, kind, namespace, name string, fields map[string]any) map[string]any {
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

// create is a request that makes the object.
func create(apiVersion, resource, namespace string, o map[string]any) bailey.Request {
	return bailey.Request{Verb: "create", APIVersion: apiVersion, Resource: resource, Namespace: namespace, Object: o}
}

// makeReal is a step of the setup by which the prober makes an object for real.
func makeReal(apiVersion, resource, namespace string, o map[string]any) bailey.Step {
	r := create(apiVersion, resource, namespace, o)
	r.Real = true
	return request(bailey.Identity{}, r)
}

// probeNamespace is the name of a namespace of the run's own.
func probeNamespace(name string) string { return bailey.ProbePrefix + "${run}-" + name }

func makeNamespace(name string) bailey.Step {
	return makeReal("v1", "namespaces", "", object("v1", "Namespace", "", name, nil))
}

func makeAccount(namespace, name string) bailey.Step {
	return makeReal("v1", "serviceaccounts", namespace, object("v1", "ServiceAccount", namespace, name,
		map[string]any{"automountServiceAccountToken": false}))
}

// mint binds a token of the ServiceAccount by the name given. The fields are
// those of the TokenRequest's spec beside the lifetime.
func mint(as bailey.Identity, namespace, account, bound string, fields map[string]any) bailey.Step {
	spec := map[string]any{"expirationSeconds": tokenSeconds}
	for key, value := range fields {
		spec[key] = value
	}
	step := request(as, bailey.Request{Verb: "create", APIVersion: "v1", Resource: "serviceaccounts", Subresource: "token", Real: true,
		Namespace: namespace, Name: account, Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}})
	if bound != "" {
		step.Bind = map[string]string{bound: "status.token"}
	}
	return step
}

// rule is a rule of a Role, as a step carries it.
func rule(group string, resources, verbs []string) map[string]any {
	return map[string]any{"apiGroups": []any{group}, "resources": anys(resources), "verbs": anys(verbs)}
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

func role(namespace, name string, rules ...any) map[string]any {
	return object(rbacVersion, "Role", namespace, name, map[string]any{"rules": rules})
}

func roleBinding(namespace, name, roleKind, roleName, account string) map[string]any {
	return object(rbacVersion, "RoleBinding", namespace, name, map[string]any{
		"roleRef":  map[string]any{"apiGroup": rbacGroup, "kind": roleKind, "name": roleName},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": namespace, "name": account}},
	})
}

// awaited is a step of the setup that is asked until the authorizer lets it pass.
func awaited(step bailey.Step) bailey.Step {
	step.Refusers, step.Within = nil, bindingLag
	return step
}
