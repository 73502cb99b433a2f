package gate

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// isolation lets in to the webhooks and the metrics, and out to DNS and by TCP. The API server has no label that could be named, and
// asks from outside the pods' network in most clusters; registries are at any port. A namespace whose default is to deny, such as
// the one that the chart makes, would otherwise cut the gate off, and with it all that it judges.
func (i *Install) isolation() *networkingv1.NetworkPolicy {
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	webhooks, health, dns := intstr.FromInt32(webhookPort), intstr.FromInt32(healthPort), intstr.FromInt32(53)
	return &networkingv1.NetworkPolicy{TypeMeta: typeMeta("networking.k8s.io/v1", "NetworkPolicy"), ObjectMeta: i.meta(imagegate.Name), Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: selector},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &webhooks}, {Protocol: &tcp, Port: &health}}}},
		Egress:      []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}, {Protocol: &tcp}}}},
	}}
}
