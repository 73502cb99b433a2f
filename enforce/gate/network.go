package gate

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// isolation lets in to the webhooks and the metrics, and out to DNS, the API server and registries. A namespace whose default is to
// deny, such as the one that the chart makes, would otherwise cut the gate off, and with it all that it judges.
//
// No selector can name the API server, and registries are at any port: so all of TCP is open but what is below port 81, where the
// clouds' metadata is (169.254.169.254:80), unless registries are spoken to in plain HTTP. The pods of DNS may have another port
// than its Service.
func (i *Install) isolation() *networkingv1.NetworkPolicy {
	webhooks := networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{ports(corev1.ProtocolTCP, webhookPort, 0)}}
	for _, from := range i.APIServer {
		webhooks.From = append(webhooks.From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: from.String()}})
	}
	out := []networkingv1.NetworkPolicyPort{ports(corev1.ProtocolUDP, 0, 0), ports(corev1.ProtocolTCP, 53, 0), ports(corev1.ProtocolTCP, 81, 65535)}
	if i.PlainHTTP {
		out = []networkingv1.NetworkPolicyPort{ports(corev1.ProtocolUDP, 0, 0), ports(corev1.ProtocolTCP, 0, 0)}
	}
	return &networkingv1.NetworkPolicy{TypeMeta: typeMeta("networking.k8s.io/v1", "NetworkPolicy"), ObjectMeta: i.meta(imagegate.Name), Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: selector},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{webhooks, {Ports: []networkingv1.NetworkPolicyPort{ports(corev1.ProtocolTCP, healthPort, 0)}}},
		Egress:      []networkingv1.NetworkPolicyEgressRule{{Ports: out}},
	}}
}

// ports are one port of a protocol, those up to another if that is given, or all.
func ports(protocol corev1.Protocol, first, last int32) networkingv1.NetworkPolicyPort {
	p := networkingv1.NetworkPolicyPort{Protocol: &protocol}
	if first > 0 {
		port := intstr.FromInt32(first)
		p.Port = &port
	}
	if last > 0 {
		p.EndPort = &last
	}
	return p
}
