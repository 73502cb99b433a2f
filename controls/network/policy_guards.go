package network

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
)

var policyGuards = []*bailey.Guard{denyIngressGuard, denyEgressGuard}

var denyIngressGuard = &bailey.Guard{
	Name:  "default-deny-ingress",
	Title: "A NetworkPolicy refuses what is not allowed to come in",
	Doc: `One policy per namespace that selects every pod, those to come included, and allows nothing. A
workload that is added later is closed until a policy opens it.`,
	Covers: []*bailey.Rule{noIngressPolicy},
	Scope:  bailey.ScopeNamespace,
	Needs:  []bailey.Kind{bailey.KindNetworkPolicy},
	Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
		if deniesByDefault(v, scope.Name, network.Ingress).InPlace {
			return nil
		}
		return []bailey.Change{denyByDefault(v, scope.Name, "default-deny-ingress", "Ingress",
			"First add a policy for each connection that is needed: this refuses all others, to every pod of the namespace.")}
	},
	Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
		return deniesByDefault(v, scope.Name, network.Ingress)
	},
}

var denyEgressGuard = &bailey.Guard{
	Name:  "default-deny-egress",
	Title: "A NetworkPolicy refuses what is not allowed to go out",
	Doc: `One policy per namespace that selects every pod and allows nothing out, and one beside it that lets
every pod ask the cluster's DNS.`,
	Covers: []*bailey.Rule{noEgressPolicy},
	Scope:  bailey.ScopeNamespace,
	Needs:  []bailey.Kind{bailey.KindNetworkPolicy},
	Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
		if deniesByDefault(v, scope.Name, network.Egress).InPlace {
			return nil
		}
		dns := policyChange(v, scope.Name, "allow-dns", map[string]any{
			"podSelector": map[string]any{},
			"policyTypes": []any{"Egress"},
			"egress": []any{map[string]any{
				"to": []any{map[string]any{
					"namespaceSelector": map[string]any{"matchLabels": map[string]any{network.NameLabel: "kube-system"}},
					"podSelector":       map[string]any{"matchLabels": map[string]any{"k8s-app": "kube-dns"}},
				}},
				"ports": []any{
					map[string]any{"protocol": "UDP", "port": int64(53)},
					map[string]any{"protocol": "TCP", "port": int64(53)},
				},
			}},
		}, "If DNS is answered elsewhere (a cache on the node, another namespace), name that place instead.")
		return []bailey.Change{dns, denyByDefault(v, scope.Name, "default-deny-egress", "Egress",
			"First add a policy for each connection that is needed: this refuses all others, from every pod of the namespace.")}
	},
	Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
		return deniesByDefault(v, scope.Name, network.Egress)
	},
}

// deniesByDefault looks for a policy that isolates every pod of the namespace
// in the direction and allows nothing itself.
func deniesByDefault(v *bailey.View, namespace string, d network.Direction) bailey.Presence {
	for _, f := range v.List(bailey.KindNetworkPolicy, namespace) {
		p, ok := f.Object.(*networkingv1.NetworkPolicy)
		if !ok || !network.IsEmpty(&p.Spec.PodSelector) || !network.Isolates(p, d) {
			continue
		}
		if d == network.Ingress && len(p.Spec.Ingress) == 0 || d == network.Egress && len(p.Spec.Egress) == 0 {
			return bailey.Presence{InPlace: true, Why: f.Ref.String() + " selects every pod and allows no " + string(d)}
		}
	}
	return bailey.Presence{Why: "no NetworkPolicy of the namespace selects every pod and allows no " + string(d)}
}

// denyByDefault creates a policy that isolates every pod of the namespace.
func denyByDefault(v *bailey.View, namespace, name, policyType, note string) bailey.Change {
	return policyChange(v, namespace, name, map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{policyType}}, note)
}

// policyChange creates a NetworkPolicy under the name, or under one that is
// free and begins like it.
func policyChange(v *bailey.View, namespace, name string, spec map[string]any, note string) bailey.Change {
	policies := v.List(bailey.KindNetworkPolicy, namespace)
	for slices.ContainsFunc(policies, func(f *bailey.Fact) bool { return f.Name == name }) {
		name += "-bailey"
	}
	return bailey.Change{
		Object:     bailey.Ref{Kind: bailey.KindNetworkPolicy, Namespace: namespace, Name: name},
		APIVersion: "networking.k8s.io/v1",
		Content: map[string]any{
			"apiVersion": "networking.k8s.io/v1",
			"kind":       "NetworkPolicy",
			"metadata":   map[string]any{"name": name, "namespace": namespace},
			"spec":       spec,
		},
		Note: note,
	}
}
