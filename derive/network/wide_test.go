package network

import (
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestWideCovers(t *testing.T) {
	pod := &Pod{Namespace: "shop", Labels: map[string]string{"app": "web"}, ServiceAccount: "web",
		NamespaceLabels: func() map[string]string { return map[string]string{"team": "a"} }}
	for _, c := range []struct {
		name            string
		text            string
		ingress, egress bool
	}{
		{"a baseline that denies all ingress", `
{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: default},
 spec: {subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {matchLabels: {team: b}}}]}, {action: Deny, from: [{namespaces: {}}]}]}}`, true, false},
		{"one for namespaces of another team", `
{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: default},
 spec: {subject: {namespaces: {matchLabels: {team: b}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}}`, false, false},
		{"a cluster policy on pods, both ways", `
{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: deny},
 spec: {tier: Baseline, priority: 1, subject: {pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, podSelector: {matchExpressions: [{key: app, operator: Exists}]}}},
 ingress: [{action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {}}}]}], egress: [{action: Deny, to: [{namespaces: {}}]}]}}`, true, true},
		{"one that accepts before it denies", `
{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: open},
 spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}]}]}}`, false, false},
		{"one that denies a single port", `
{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: port},
 spec: {priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 22}}]}]}}`, false, false},
		{"Cilium, cluster-wide, by namespace label", `
{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: deny},
 spec: {endpointSelector: {matchLabels: {"k8s:io.cilium.k8s.namespace.labels.team": a}}, ingress: [{}]}}`, true, false},
		{"Cilium in the namespace, several rules", `
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: web, namespace: shop},
 specs: [{endpointSelector: {matchLabels: {app: other}}, ingress: [{}]}, {endpointSelector: {matchLabels: {"any:app": web}}, egressDeny: [{toEntities: [world]}]}]}`, false, true},
		{"Cilium that does not deny by default", `
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: web, namespace: shop},
 spec: {endpointSelector: {}, enableDefaultDeny: {ingress: false, egress: true}, ingress: [{fromEntities: [cluster]}]}}`, false, true},
		{"Cilium in another namespace", `
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: web, namespace: bank}, spec: {endpointSelector: {}, ingress: [{}]}}`, false, false},
		{"Cilium for nodes", `
{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: nodes}, spec: {nodeSelector: {}, ingress: [{}]}}`, false, false},
		{"Calico, global, without types", `
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: deny}, spec: {namespaceSelector: "team == 'a'"}}`, true, false},
		{"Calico, global, both", `
{apiVersion: crd.projectcalico.org/v1, kind: GlobalNetworkPolicy, metadata: {name: deny}, spec: {selector: "projectcalico.org/namespace not in {'kube-system'}", types: [Ingress, Egress]}}`, true, true},
		{"Calico, egress rules only", `
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: out, namespace: shop}, spec: {selector: "app == 'web'", egress: [{action: Allow}]}}`, false, true},
		{"Calico in a tier that passes at its end", `
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: in, namespace: shop}, spec: {tier: audit, selector: all()}}
---
{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: audit}, spec: {defaultAction: Pass}}`, false, false},
		{"Calico for hosts", `
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: hosts}, spec: {preDNAT: true, applyOnForward: true, types: [Ingress]}}`, false, false},
		{"Calico that cannot be read", `
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: odd}, spec: {selector: "app = web"}}`, false, false},
		{"wrong shapes", `
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: web, namespace: shop}, spec: {endpointSelector: all, ingress: {}}, specs: [1, null, {endpointSelector: {matchLabels: [], matchExpressions: [1]}}]}`, false, false},
	} {
		b := bailey.NewBuilder(bailey.Meta{})
		b.Add(controltest.Facts(t, []byte(c.text))...)
		v := bailey.NewView(b.Snapshot())
		v.Allow(nil, nil, []*bailey.Derivation{WideIndex})
		w := v.Derived(WideIndex).(*Wide)
		if len(v.Missing()) > 0 {
			t.Errorf("%s: kinds that were not collected make it unknown: %v", c.name, v.Missing())
		}
		if i, e := w.Covers(pod, Ingress), w.Covers(pod, Egress); i != c.ingress || e != c.egress {
			t.Errorf("%s: covers ingress %v, egress %v; want %v, %v", c.name, i, e, c.ingress, c.egress)
		}
	}
}

func TestWideIsUnknownWhereForbidden(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{})
	b.Miss(bailey.Missing{Kind: bailey.KindBaselineAdminNetworkPolicy, Reason: bailey.ReasonForbidden})
	b.Miss(bailey.Missing{Kind: bailey.KindAdminNetworkPolicy, Reason: bailey.ReasonOpenWorld})
	v := bailey.NewView(b.Snapshot())
	v.Allow(nil, nil, []*bailey.Derivation{WideIndex})
	if w := v.Derived(WideIndex).(*Wide); !w.Empty() {
		t.Error("policies out of nothing")
	}
	if m := v.Missing(); len(m) != 1 || m[0].Kind != bailey.KindBaselineAdminNetworkPolicy {
		t.Errorf("missing %v", m)
	}
}

func TestParseCalico(t *testing.T) {
	set := map[string]string{"app": "web", "tier": "front", "empty": "", "a/b.c": "x y"}
	look := func(key string) (string, bool) { value, found := set[key]; return value, found }
	for text, want := range map[string]bool{
		"":                                     true,
		"  ":                                   true,
		"all()":                                true,
		"global()":                             false,
		"app == 'web'":                         true,
		`app == "web"`:                         true,
		"app=='db'":                            false,
		"app != 'db'":                          true,
		"none != 'x'":                          true,
		"none == ''":                           false,
		"empty == ''":                          true,
		"has(app)":                             true,
		"!has(app)":                            false,
		"! has(none)":                          true,
		"app in {'db', 'web'}":                 true,
		"app in { }":                           false,
		"app not in {'db'}":                    true,
		"none not in {'db'}":                   true,
		"app contains 'e'":                     true,
		"app starts with 'we'":                 true,
		"app ends with 'we'":                   false,
		"a/b.c == 'x y'":                       true,
		"has(app) && has(none)":                false,
		"has(app) || has(none)":                true,
		"has(none) && has(none) || has(app)":   true,
		"has(none) && (has(none) || has(app))": false,
		"!(app == 'web' && tier == 'front')":   false,
		"app == 'web' && !(tier in {'a','back'})": true,
	} {
		m, err := parseCalico(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := m(look); got != want {
			t.Errorf("%q is %v", text, got)
		}
	}
	for _, text := range []string{"app", "app = 'web'", "app == web", "app == 'web", "has(app", "(has(app)", "has(app))", "app in 'web'", "app in {'a' 'b'}", "app not 'x'", "app starts 'x'", "== 'x'", "app == 'a' &&", "|| has(a)", "has()"} {
		if _, err := parseCalico(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	deep := make([]byte, 0, 4096)
	for range 2000 {
		deep = append(deep, '(')
	}
	if _, err := parseCalico(string(deep)); err == nil {
		t.Error("2,000 parentheses were taken")
	}
}

func FuzzParseCalico(f *testing.F) {
	for _, text := range []string{"", "all()", "a == 'b' && !has(c) || (d in {'e','f'})", "a not in {}", "x starts with \"y\"", "((("} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseCalico(text)
		if err != nil {
			return
		}
		m(func(key string) (string, bool) { return key, key != "" })
	})
}
