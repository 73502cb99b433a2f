package network

import (
	"strings"

	"github.com/baileyhq/bailey"
)

// WideKinds are the kinds, beside NetworkPolicy, whose objects can deny by
// default: those of network-policy-api, Cilium and Calico.
var WideKinds = []bailey.Kind{
	bailey.KindClusterNetworkPolicy, bailey.KindAdminNetworkPolicy, bailey.KindBaselineAdminNetworkPolicy,
	"CiliumClusterwideNetworkPolicy.cilium.io", "CiliumNetworkPolicy.cilium.io",
	"GlobalNetworkPolicy.projectcalico.org", "NetworkPolicy.projectcalico.org", "Tier.projectcalico.org",
	"GlobalNetworkPolicy.crd.projectcalico.org", "NetworkPolicy.crd.projectcalico.org", "Tier.crd.projectcalico.org",
}

// WideIndex is the derived fact that holds a *Wide.
var WideIndex = &bailey.Derivation{Name: "network policies of other kinds", Needs: WideKinds, Compute: func(v *bailey.View) any { return newWide(v) }}

// Wide knows the policies of WideKinds that deny by default.
type Wide struct {
	everywhere []wideRule
	in         map[string][]wideRule
}

// wideRule is one policy's denial by default.
type wideRule struct {
	ingress, egress bool
	// selects reports whether the policy is about the pod.
	selects func(*Pod) bool
}

// Pod is what selectors can ask of a pod.
type Pod struct {
	Namespace      string
	Labels         map[string]string
	ServiceAccount string
	// NamespaceLabels is called only if a policy asks for more than the name.
	NamespaceLabels func() map[string]string
}

// Empty reports whether there is no policy at all.
func (w *Wide) Empty() bool { return len(w.everywhere) == 0 && len(w.in) == 0 }

// Covers reports whether one of the policies denies by default, for the pod and
// in the direction.
//
// A policy of network-policy-api does if its first rule for everybody denies;
// those of Cilium and Calico deny what no rule allows once they select a pod. A
// selector that cannot be read, or that asks for the labels of a
// ServiceAccount, covers nothing.
func (w *Wide) Covers(p *Pod, d Direction) bool {
	return covers(w.everywhere, p, d) || covers(w.in[p.Namespace], p, d)
}

func covers(rules []wideRule, p *Pod, d Direction) bool {
	for i := range rules {
		r := &rules[i]
		if (d == Ingress && r.ingress || d == Egress && r.egress) && r.selects(p) {
			return true
		}
	}
	return false
}

func newWide(v *bailey.View) *Wide {
	w := &Wide{in: map[string][]wideRule{}}
	passing := map[string]bool{"adminnetworkpolicy": true, "baselineadminnetworkpolicy": true, "kube-admin": true, "kube-baseline": true}
	for _, k := range [...]bailey.Kind{"Tier.projectcalico.org", "Tier.crd.projectcalico.org"} {
		for _, f := range v.Held(k, "") {
			if m, ok := f.Object.(map[string]any); ok && textAt(m, "spec", "defaultAction") == "Pass" {
				passing[f.Name] = true
			}
		}
	}
	for _, k := range WideKinds {
		if k.Short() == "Tier" {
			continue
		}
		for _, f := range v.Held(k, "") {
			m, ok := f.Object.(map[string]any)
			if !ok {
				continue
			}
			spec := mapAt(m, "spec")
			switch _, group := k.Split(); group {
			case "policy.networking.k8s.io":
				w.add("", adminRule(spec))
			case "cilium.io":
				w.add(f.Namespace, ciliumRule(spec))
				for _, other := range listAt(m, "specs") {
					w.add(f.Namespace, ciliumRule(other))
				}
			default:
				if !passing[textAt(spec, "tier")] {
					w.add(f.Namespace, calicoRule(spec))
				}
			}
		}
	}
	return w
}

func (w *Wide) add(namespace string, r wideRule) {
	switch {
	case r.selects == nil || !r.ingress && !r.egress:
	case namespace == "":
		w.everywhere = append(w.everywhere, r)
	default:
		w.in[namespace] = append(w.in[namespace], r)
	}
}

// adminRule reads an AdminNetworkPolicy, a BaselineAdminNetworkPolicy or a
// ClusterNetworkPolicy.
func adminRule(spec map[string]any) wideRule {
	r := wideRule{ingress: deniesAll(listAt(spec, "ingress"), "from"), egress: deniesAll(listAt(spec, "egress"), "to")}
	subject := mapAt(spec, "subject")
	if pods := mapAt(subject, "pods"); pods != nil {
		namespaces, names := selectorOrAll(pods["namespaceSelector"]), selectorOrAll(pods["podSelector"])
		r.selects = func(p *Pod) bool { return namespaces(p.namespaceLabel) && names(p.label) }
	} else if subject["namespaces"] != nil {
		namespaces := selectorOf(subject["namespaces"])
		r.selects = func(p *Pod) bool { return namespaces(p.namespaceLabel) }
	}
	return r
}

// deniesAll reports whether the first rule for every pod and port denies. What
// comes before it with narrower peers are exceptions.
func deniesAll(rules []map[string]any, peers string) bool {
	for _, r := range rules {
		if len(anyList(r["ports"])) > 0 || len(anyList(r["protocols"])) > 0 {
			continue
		}
		for _, peer := range listAt(r, peers) {
			if isEmptySelector(peer["namespaces"]) || isAllPods(mapAt(peer, "pods")) {
				return textAt(r, "action") == "Deny"
			}
		}
	}
	return false
}

func isAllPods(pods map[string]any) bool {
	return pods != nil && (pods["namespaceSelector"] == nil || isEmptySelector(pods["namespaceSelector"])) &&
		(pods["podSelector"] == nil || isEmptySelector(pods["podSelector"]))
}

// isEmptySelector reports whether a selector is written down and empty.
func isEmptySelector(v any) bool {
	m, ok := v.(map[string]any)
	return ok && len(mapAt(m, "matchLabels")) == 0 && len(anyList(m["matchExpressions"])) == 0
}

func ciliumRule(spec map[string]any) wideRule {
	r := wideRule{
		ingress: len(anyList(spec["ingress"]))+len(anyList(spec["ingressDeny"])) > 0,
		egress:  len(anyList(spec["egress"]))+len(anyList(spec["egressDeny"])) > 0,
	}
	if set := mapAt(spec, "enableDefaultDeny"); set != nil {
		if on, given := set["ingress"].(bool); given {
			r.ingress = on
		}
		if on, given := set["egress"].(bool); given {
			r.egress = on
		}
	}
	if _, given := spec["endpointSelector"].(map[string]any); given {
		pods := selectorOf(spec["endpointSelector"])
		r.selects = func(p *Pod) bool { return pods(p.ciliumLabel) }
	}
	return r
}

func calicoRule(spec map[string]any) wideRule {
	r := wideRule{}
	types := anyList(spec["types"])
	for _, t := range types {
		r.ingress = r.ingress || t == "Ingress"
		r.egress = r.egress || t == "Egress"
	}
	if len(types) == 0 {
		r.egress = len(anyList(spec["egress"])) > 0
		r.ingress = len(anyList(spec["ingress"])) > 0 || !r.egress
	}
	// Policies with these marks are for the interfaces of hosts.
	if spec["doNotTrack"] == true || spec["preDNAT"] == true || textAt(spec, "serviceAccountSelector") != "" {
		return r
	}
	pods, err1 := parseCalico(textAt(spec, "selector"))
	namespaces, err2 := parseCalico(textAt(spec, "namespaceSelector"))
	if err1 == nil && err2 == nil {
		all := strings.TrimSpace(textAt(spec, "namespaceSelector")) == ""
		r.selects = func(p *Pod) bool { return pods(p.calicoLabel) && (all || namespaces(p.calicoNamespaceLabel)) }
	}
	return r
}

func (p *Pod) label(key string) (string, bool) {
	value, found := p.Labels[key]
	return value, found
}

func (p *Pod) namespaceLabel(key string) (string, bool) {
	if key == NameLabel {
		return p.Namespace, true
	}
	if p.NamespaceLabels == nil {
		return "", false
	}
	value, found := p.NamespaceLabels()[key]
	return value, found
}

func (p *Pod) ciliumLabel(key string) (string, bool) {
	for _, source := range [...]string{"k8s:", "any:"} {
		key = strings.TrimPrefix(key, source)
	}
	if name, found := strings.CutPrefix(key, "io.cilium.k8s.namespace.labels."); found {
		return p.namespaceLabel(name)
	}
	switch key {
	case "io.kubernetes.pod.namespace":
		return p.Namespace, true
	case "io.cilium.k8s.policy.serviceaccount":
		return p.ServiceAccount, true
	}
	return p.label(key)
}

func (p *Pod) calicoLabel(key string) (string, bool) {
	switch key {
	case "projectcalico.org/namespace":
		return p.Namespace, true
	case "projectcalico.org/orchestrator":
		return "k8s", true
	case "projectcalico.org/serviceaccount":
		return p.ServiceAccount, true
	}
	return p.label(key)
}

func (p *Pod) calicoNamespaceLabel(key string) (string, bool) {
	if key == "projectcalico.org/name" {
		return p.Namespace, true
	}
	return p.namespaceLabel(key)
}
