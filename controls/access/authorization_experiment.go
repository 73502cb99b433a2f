package access

import (
	"github.com/baileyhq/bailey"
)

// authorizationExperiments ask about rights, and try some.
var authorizationExperiments = []*bailey.Experiment{closedEdges, mintedIdentity}

var mintedIdentity = &bailey.Experiment{
	Name:  "minted-identity",
	Title: "A ServiceAccount can do what its role gives, and nothing beside it",
	Doc: `In a namespace of its own Bailey makes a ServiceAccount, a Role that lets it read and write ConfigMaps and write
roles there, a binding and a token of 10 minutes. With the token it tries the neighbours of what it may do:
Secrets in the place of ConfigMaps, another verb, another namespace, a pod, a webhook, the labels of its
namespace, a volume, a certificate, a token, another user's name, a binding to cluster-admin. Authorization must
refuse each. Then it tries to write roles and bindings that hold more than it holds itself, which the check
against escalation must refuse. Writes are server-side dry-runs, and reads ask for names only. The twin is a
request with the same token that the role allows. Everything that was made is removed.

It shows how the API server treats one ordinary identity, not what the roles of the cluster give to others: that
is access/authorization's other experiment. Entering pods and proxies to nodes have no dry-run, and are asked
about there.`,
	Hypothesis: "A ServiceAccount with one role can do what the role gives, and nothing beside it.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1098.006",
	Detections: []string{"forbidden-burst", "admission-change", "impersonation"},
	Scope:      bailey.ScopeCluster,
	Window:     evidenceWindow,
	Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
		namespace := probeNamespace("minted")
		me := bailey.Identity{Token: "${token}"}
		list := func(resource, in string) bailey.Request {
			return bailey.Request{Verb: "list", APIVersion: "v1", Resource: resource, Namespace: in}
		}
		allowedList := list("configmaps", namespace)
		allowedCreate := create("v1", "configmaps", namespace, object("v1", "ConfigMap", namespace, "twin", nil))
		configMaps := rule("", []string{"configmaps"}, []string{"get", "list", "create", "patch"})
		secrets := rule("", []string{"secrets"}, []string{"list"})
		setup := []bailey.Step{
			makeNamespace(namespace),
			makeAccount(namespace, "ordinary"),
			makeReal(rbacVersion, "roles", namespace, role(namespace, "granted", configMaps,
				rule(rbacGroup, []string{"roles", "rolebindings"}, []string{"create", "patch"}))),
			makeReal(rbacVersion, "rolebindings", namespace, roleBinding(namespace, "granted", "Role", "granted", "ordinary")),
			mint(bailey.Identity{}, namespace, "ordinary", "token", nil),
			awaited(request(me, allowedList)),
			forgeRequest("asked", "bailey-probe"),
		}
		var probes []bailey.Probe
		add := func(by bailey.Refuser, name, path string, twin, try bailey.Step) {
			try.Refusers = []bailey.Refuser{by}
			probes = append(probes, bailey.Probe{Name: name, Path: path, Setup: setup, Twin: twin, Try: try})
		}
		closed := func(name, path string, twin, try bailey.Request) {
			add(bailey.RefuserAuthorization, name, path, request(me, twin), request(me, try))
		}
		closed("Secrets beside the ConfigMaps it may list", "list secrets", allowedList, list("secrets", namespace))
		closed("ConfigMaps of another namespace", "list configmaps in kube-system", allowedList, list("configmaps", "kube-system"))
		closed("Secrets of kube-system", "list secrets in kube-system", allowedList, list("secrets", "kube-system"))
		closed("all nodes", "list nodes", allowedList, list("nodes", ""))
		closed("another verb", "delete configmaps",
			bailey.Request{Verb: "get", APIVersion: "v1", Resource: "configmaps", Namespace: namespace, Name: "kube-root-ca.crt"},
			bailey.Request{Verb: "delete", APIVersion: "v1", Resource: "configmaps", Namespace: namespace, Name: "kube-root-ca.crt"})
		closed("a pod", "create pods", allowedCreate, create("v1", "pods", namespace, object("v1", "Pod", namespace, "try", map[string]any{
			"spec": map[string]any{"containers": []any{map[string]any{"name": "try", "image": "bailey.invalid/try"}}}})))
		closed("the labels of its namespace", "patch namespaces", allowedCreate, bailey.Request{Verb: "patch", APIVersion: "v1", Resource: "namespaces",
			Name: namespace, Object: map[string]any{"metadata": map[string]any{"labels": map[string]any{"pod-security.kubernetes.io/enforce": "privileged"}}}})
		closed("a volume that reaches a node", "create persistentvolumes", allowedCreate, create("v1", "persistentvolumes", "",
			object("v1", "PersistentVolume", "", "bailey-probe-try", map[string]any{"spec": map[string]any{"accessModes": []any{"ReadWriteOnce"},
				"capacity": map[string]any{"storage": "1Mi"}, "hostPath": map[string]any{"path": "/"}}})))
		closed("cluster-admin for itself", "create clusterrolebindings", allowedCreate, create(rbacVersion, "clusterrolebindings", "",
			object(rbacVersion, "ClusterRoleBinding", "", "bailey-probe-try", map[string]any{
				"roleRef":  map[string]any{"apiGroup": rbacGroup, "kind": "ClusterRole", "name": "cluster-admin"},
				"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": namespace, "name": "ordinary"}}})))
		closed("a webhook that sees every request", "create mutatingwebhookconfigurations", allowedCreate,
			create("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "", object("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "bailey-probe-try", nil)))
		closed("a certificate", "create certificatesigningrequests", allowedCreate,
			create(certificatesVersion, "certificatesigningrequests", "", signingRequest("bailey-probe-try", clientSigner, "${asked}")))
		add(bailey.RefuserAuthorization, "a token", "create serviceaccounts/token", request(me, allowedCreate), mint(me, namespace, "default", "", nil))
		somebody := bailey.Identity{Token: "${token}", User: "kubernetes-admin", Groups: []string{"system:masters"}}
		add(bailey.RefuserAuthorization, "another user's name", "impersonate", request(me, allowedList), request(somebody, allowedList))

		escalates := func(name, path string, twin, try bailey.Request) {
			add(bailey.RefuserEscalation, name, path, request(me, twin), request(me, try))
		}
		escalates("a role that holds more than it does", "create roles",
			create(rbacVersion, "roles", namespace, role(namespace, "try", configMaps)),
			create(rbacVersion, "roles", namespace, role(namespace, "try", secrets)))
		widen := func(r map[string]any) bailey.Request {
			return bailey.Request{Verb: "patch", APIVersion: rbacVersion, Resource: "roles", Namespace: namespace, Name: "granted",
				Object: map[string]any{"rules": []any{r}}}
		}
		escalates("more in its own role", "patch roles", widen(configMaps), widen(secrets))
		bind := func(kind, name string) bailey.Request {
			return create(rbacVersion, "rolebindings", namespace, roleBinding(namespace, "try", kind, name, "ordinary"))
		}
		escalates("a role that it does not hold", "create rolebindings", bind("Role", "granted"), bind("ClusterRole", "admin"))
		return probes
	},
}
