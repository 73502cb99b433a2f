package posture

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
)

// exposure is who can reach what from outside, as Services, Ingresses, Gateways and
// routes say.
func exposure(f *bailey.Fact) []trait {
	var all []trait
	add := func(key, text, field string, gain bailey.Severity) {
		all = append(all, trait{class: bailey.EffectExposure, object: f.Ref, key: key, text: text, gain: gain, source: f.Source.At(field)})
	}
	switch o := f.Object.(type) {
	case *corev1.Service:
		ofService(o, add)
	case *networkingv1.Ingress:
		secured := map[string]bool{}
		for _, t := range o.Spec.TLS {
			for _, host := range t.Hosts {
				secured[host] = true
			}
		}
		if o.Spec.DefaultBackend != nil {
			add("default", "routes everything that matches nothing else from outside", "spec.defaultBackend", bailey.SeverityMedium)
		}
		for i, r := range o.Spec.Rules {
			host := r.Host
			if host == "" {
				host = "*"
			}
			if !secured[host] && len(o.Spec.TLS) == 0 {
				add("plain "+host, "serves "+host+" without TLS", fmt.Sprintf("spec.rules[%d]", i), bailey.SeverityMedium)
			}
			if r.HTTP == nil {
				continue
			}
			for j, p := range r.HTTP.Paths {
				to := "a resource"
				if s := p.Backend.Service; s != nil {
					to = "Service " + s.Name
				}
				add("route "+host+p.Path+" "+to, fmt.Sprintf("routes %s%s from outside to %s", host, p.Path, to), fmt.Sprintf("spec.rules[%d].http.paths[%d]", i, j), bailey.SeverityMedium)
			}
		}
	case map[string]any:
		ofGateway(f.Kind, o, add)
	}
	return all
}

type adder func(key, text, field string, gain bailey.Severity)

func ofService(o *corev1.Service, add adder) {
	gain, by, from := bailey.SeverityHigh, "a load balancer", "anybody"
	switch o.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		from, gain = network.BalancedFrom(o)
	case corev1.ServiceTypeNodePort:
		gain, by = bailey.SeverityMedium, "every node"
	case corev1.ServiceTypeExternalName:
		add("external name "+o.Spec.ExternalName, "stands for the name "+o.Spec.ExternalName+" outside", "spec.externalName", bailey.SeverityLow)
		return
	default:
		by = ""
	}
	for i, p := range o.Spec.Ports {
		protocol := string(p.Protocol)
		if protocol == "" {
			protocol = "TCP"
		}
		if by != "" {
			add(fmt.Sprintf("%s %d/%s %s", by, p.Port, protocol, from), fmt.Sprintf("port %d/%s is reached through %s, from %s", p.Port, protocol, by, from),
				fmt.Sprintf("spec.ports[%d]", i), gain)
		}
	}
	for _, address := range o.Spec.ExternalIPs {
		add("external IP "+address, "takes traffic to "+address+" (externalIPs)", "spec.externalIPs", bailey.SeverityHigh)
	}
}

// ofGateway reads Gateway API objects, which have no Go type here.
func ofGateway(kind bailey.Kind, o map[string]any, add adder) {
	spec, _ := o["spec"].(map[string]any)
	switch {
	case kind == bailey.KindGateway:
		for i, l := range objectsOf(spec["listeners"]) {
			host, _ := l["hostname"].(string)
			add(fmt.Sprintf("listener %v %v %s", l["protocol"], l["port"], host), strings.TrimSpace(fmt.Sprintf("listens on %v port %v %s", l["protocol"], l["port"], host)),
				fmt.Sprintf("spec.listeners[%d]", i), bailey.SeverityMedium)
		}
	case strings.HasSuffix(string(kind), "Route.gateway.networking.k8s.io"):
		hosts := []string{"*"}
		if list, _ := spec["hostnames"].([]any); len(list) > 0 {
			hosts = hosts[:0]
			for _, h := range list {
				hosts = append(hosts, fmt.Sprint(h))
			}
		}
		for i, rule := range objectsOf(spec["rules"]) {
			for _, backend := range objectsOf(rule["backendRefs"]) {
				for _, host := range hosts {
					paths := []string{""}
					if matches := objectsOf(rule["matches"]); len(matches) > 0 {
						paths = paths[:0]
						for _, m := range matches {
							path, _ := m["path"].(map[string]any)
							value, _ := path["value"].(string)
							paths = append(paths, value)
						}
					}
					for _, path := range paths {
						add(fmt.Sprintf("route %s%s %v", host, path, backend["name"]), fmt.Sprintf("routes %s%s from outside to %v", host, path, backend["name"]),
							fmt.Sprintf("spec.rules[%d]", i), bailey.SeverityMedium)
					}
				}
			}
		}
	}
}

func objectsOf(v any) []map[string]any {
	list, _ := v.([]any)
	var all []map[string]any
	for _, item := range list {
		if m, is := item.(map[string]any); is {
			all = append(all, m)
		}
	}
	return all
}

// protection is what holds attackers back: network policies, the Pod Security level of
// a namespace, admission policies.
func protection(f *bailey.Fact) []trait {
	var all []trait
	add := func(t trait) {
		t.object = f.Ref
		if t.source.File == "" {
			t.source = f.Source
		}
		all = append(all, t)
	}
	switch o := f.Object.(type) {
	case *networkingv1.NetworkPolicy:
		ofNetworkPolicy(o, f.Source, add)
	case *corev1.Namespace:
		const label = "pod-security.kubernetes.io/enforce"
		if level := o.Labels[label]; level != "" && level != "privileged" {
			add(trait{class: bailey.EffectProtection, key: label, value: level, text: "enforces Pod Security " + level, gain: bailey.SeverityHigh,
				changed: func(before string) (string, bailey.Severity, bool) {
					return "enforces Pod Security " + level + ", and enforced " + before, bailey.SeverityHigh, level == "restricted"
				}})
		}
	default:
		switch f.Kind {
		case bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding, bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding,
			bailey.KindValidatingWebhookConfiguration, bailey.KindMutatingWebhookConfiguration:
			ofAdmission(f, add)
		case bailey.KindResourceQuota, bailey.KindLimitRange, bailey.KindAdminNetworkPolicy, bailey.KindBaselineAdminNetworkPolicy, bailey.KindClusterNetworkPolicy:
			content, err := json.Marshal(specOf(f.Object))
			if err != nil {
				return nil
			}
			gain := bailey.SeverityHigh
			if f.Kind == bailey.KindResourceQuota || f.Kind == bailey.KindLimitRange {
				gain = bailey.SeverityMedium
			}
			add(trait{class: bailey.EffectProtection, key: "object", value: string(content), text: "is in place", gain: gain,
				changed: func(string) (string, bailey.Severity, bool) { return somethingElse, bailey.SeverityMedium, false }})
		}
	}
	return all
}

// somethingElse is said of what changed in a way that is not judged further.
const somethingElse = "says something else than before: see whether it still holds back what it did"

// specOf is what an object says beside its metadata.
func specOf(o any) any {
	data, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	var m map[string]any
	if json.Unmarshal(data, &m) != nil {
		return nil
	}
	delete(m, "metadata")
	delete(m, "status")
	return m
}

func ofNetworkPolicy(o *networkingv1.NetworkPolicy, source bailey.Source, add func(trait)) {
	selector, err := json.Marshal(o.Spec.PodSelector)
	if err != nil {
		return
	}
	pods := "pods " + string(selector)
	if network.IsEmpty(&o.Spec.PodSelector) {
		pods = "all pods"
	}
	for _, d := range []network.Direction{network.Ingress, network.Egress} {
		if !network.Isolates(o, d) {
			continue
		}
		word, field := "ingress", "spec.ingress"
		if d == network.Egress {
			word, field = "egress", "spec.egress"
		}
		add(trait{class: bailey.EffectProtection, key: word, value: string(selector), text: "isolates the " + word + " of " + pods, gain: bailey.SeverityHigh, source: source,
			changed: func(string) (string, bailey.Severity, bool) {
				return "isolates the " + word + " of other pods than before: " + pods, bailey.SeverityMedium, false
			}})
		rules := make([]string, 0)
		if d == network.Ingress {
			for _, r := range o.Spec.Ingress {
				rules = append(rules, ruleText("from", r.From, r.Ports))
			}
		} else {
			for _, r := range o.Spec.Egress {
				rules = append(rules, ruleText("to", r.To, r.Ports))
			}
		}
		for i, r := range rules {
			add(trait{class: bailey.EffectExposure, key: "lets " + word + " " + r, given: word, text: "lets through " + word + " " + r, gain: bailey.SeverityMedium, source: source.At(fmt.Sprintf("%s[%d]", field, i))})
		}
	}
}

// ruleText is a rule of a network policy in one line.
func ruleText(way string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) string {
	text := way + " anywhere"
	if len(peers) > 0 {
		data, err := json.Marshal(peers)
		if err != nil {
			return way + " what cannot be shown"
		}
		text = way + " " + string(data)
	}
	if len(ports) == 0 {
		return text + ", all ports"
	}
	var named []string
	for _, p := range ports {
		name := "all"
		if p.Port != nil {
			name = p.Port.String()
		}
		if p.EndPort != nil {
			name += fmt.Sprintf("-%d", *p.EndPort)
		}
		if p.Protocol != nil {
			name += "/" + string(*p.Protocol)
		}
		named = append(named, name)
	}
	return text + ", ports " + strings.Join(named, ", ")
}
