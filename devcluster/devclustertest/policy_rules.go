package devclustertest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// noRules removes the table: it is made first so that it is there to be deleted.
const noRules = "table inet bailey_policy {}\ndelete table inet bailey_policy\n"

// world is all that decides who may connect to whom.
type world struct {
	namespaces corev1.NamespaceList
	pods       corev1.PodList
	policies   networkingv1.NetworkPolicyList
}

// rules returns the input of nft that enforces the policies on the pods of a node. What a
// node itself sends to its pods (a kubelet's probes) is never refused, as everywhere.
func (w *world) rules(node string, gaps Gaps) (string, error) {
	var chains, forward, input strings.Builder
	for i := range w.pods.Items {
		pod := &w.pods.Items[i]
		if pod.Spec.NodeName != node || !networked(pod) || gaps.Pod != nil && gaps.Pod(pod) {
			continue
		}
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
			ingress := direction == networkingv1.PolicyTypeIngress
			if ingress && gaps.Ingress || !ingress && gaps.Egress {
				continue
			}
			allowed, isolated, err := w.allowed(pod, direction, gaps)
			if err != nil {
				return "", err
			}
			if !isolated {
				continue
			}
			chain := fmt.Sprintf("%s_%s", strings.ToLower(string(direction)), strings.ReplaceAll(pod.Status.PodIP, ".", "_"))
			fmt.Fprintf(&chains, "\tchain %s {\n", chain)
			if gaps.Port != 0 {
				fmt.Fprintf(&chains, "\t\ttcp dport %d return\n", gaps.Port)
			}
			for _, match := range allowed {
				fmt.Fprintf(&chains, "\t\t%s return\n", match)
			}
			fmt.Fprintf(&chains, "\t\tdrop\n\t}\n")
			if ingress {
				fmt.Fprintf(&forward, "\t\tip daddr %s jump %s\n", pod.Status.PodIP, chain)
				continue
			}
			fmt.Fprintf(&forward, "\t\tip saddr %s jump %s\n", pod.Status.PodIP, chain)
			fmt.Fprintf(&input, "\t\tip saddr %s jump %s\n", pod.Status.PodIP, chain)
		}
	}
	base := func(hook, jumps string) string {
		return fmt.Sprintf("\tchain %[1]s {\n\t\ttype filter hook %[1]s priority 0; policy accept;\n\t\tct state established,related accept\n%[2]s\t}\n", hook, jumps)
	}
	return noRules + "table inet bailey_policy {\n" + chains.String() + base("forward", forward.String()) + base("input", input.String()) + "}\n", nil
}

// networked says whether a pod has an address of its own now.
func networked(pod *corev1.Pod) bool {
	return pod.Status.PodIP != "" && !pod.Spec.HostNetwork && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// allowed returns what the policies that select a pod let pass in one direction, and
// whether there are any.
func (w *world) allowed(pod *corev1.Pod, direction networkingv1.PolicyType, gaps Gaps) (matches []string, isolated bool, err error) {
	for i := range w.policies.Items {
		policy := &w.policies.Items[i]
		if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, direction) || gaps.Policy != nil && gaps.Policy(policy) {
			continue
		}
		selected, err := selects(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			return nil, false, err
		}
		if !selected {
			continue
		}
		isolated = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				peers, err := w.peers(policy.Namespace, rule.From, "saddr")
				if err != nil {
					return nil, false, err
				}
				for _, peer := range peers {
					matches = append(matches, withPorts(peer.match, rule.Ports, pod)...)
				}
			}
			continue
		}
		for _, rule := range policy.Spec.Egress {
			peers, err := w.peers(policy.Namespace, rule.To, "daddr")
			if err != nil {
				return nil, false, err
			}
			for _, peer := range peers {
				matches = append(matches, withPorts(peer.match, rule.Ports, peer.pod)...)
			}
		}
	}
	return matches, isolated, nil
}

// peer is the other end of a connection: a pod, a block of addresses, or anybody.
type peer struct {
	match string // nft; empty for anybody
	pod   *corev1.Pod
}

func (w *world) peers(namespace string, peers []networkingv1.NetworkPolicyPeer, address string) ([]peer, error) {
	if len(peers) == 0 {
		return []peer{{}}, nil
	}
	var found []peer
	for _, p := range peers {
		if block := p.IPBlock; block != nil {
			match := fmt.Sprintf("ip %s %s", address, block.CIDR)
			if len(block.Except) > 0 {
				match += fmt.Sprintf(" ip %s != { %s }", address, strings.Join(block.Except, ", "))
			}
			found = append(found, peer{match: match})
			continue
		}
		for i := range w.pods.Items {
			pod := &w.pods.Items[i]
			if !networked(pod) {
				continue
			}
			in, err := w.inNamespace(pod.Namespace, namespace, p.NamespaceSelector)
			if err != nil {
				return nil, err
			}
			selected := true
			if p.PodSelector != nil {
				if selected, err = selects(p.PodSelector, pod.Labels); err != nil {
					return nil, err
				}
			}
			if in && selected {
				found = append(found, peer{fmt.Sprintf("ip %s %s", address, pod.Status.PodIP), pod})
			}
		}
	}
	return found, nil
}

// inNamespace says whether a namespace is one that the peer means: without a selector,
// the policy's own.
func (w *world) inNamespace(name, own string, selector *metav1.LabelSelector) (bool, error) {
	if selector == nil {
		return name == own, nil
	}
	for i := range w.namespaces.Items {
		if w.namespaces.Items[i].Name == name {
			return selects(selector, w.namespaces.Items[i].Labels)
		}
	}
	return false, nil
}

func selects(selector *metav1.LabelSelector, of map[string]string) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return s.Matches(labels.Set(of)), nil
}

// withPorts adds to a match each port of a rule. server is the pod in which a named port
// is looked up; where there is none, nobody has such a port.
func withPorts(match string, ports []networkingv1.NetworkPolicyPort, server *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{match}
	}
	var matches []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		name := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			matches = append(matches, match+" meta l4proto "+name)
		case port.Port.Type == intstr.Int && port.EndPort != nil:
			matches = append(matches, fmt.Sprintf("%s %s dport %d-%d", match, name, port.Port.IntVal, *port.EndPort))
		case port.Port.Type == intstr.Int:
			matches = append(matches, fmt.Sprintf("%s %s dport %d", match, name, port.Port.IntVal))
		case server != nil:
			for _, container := range server.Spec.Containers {
				for _, p := range container.Ports {
					if p.Name == port.Port.StrVal && p.Protocol == protocol {
						matches = append(matches, fmt.Sprintf("%s %s dport %d", match, name, p.ContainerPort))
					}
				}
			}
		}
	}
	return matches
}
