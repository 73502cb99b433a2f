package network

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// InternalBalancer reports whether a Service of type LoadBalancer asks its cloud for an
// address of the cloud's own network, by its class or an annotation.
func InternalBalancer(s *corev1.Service) bool {
	if c := s.Spec.LoadBalancerClass; c != nil && (*c == "tailscale" || strings.HasPrefix(*c, "internal")) {
		return true
	}
	for key, value := range s.Annotations {
		internal := false
		switch key {
		case "networking.gke.io/load-balancer-type", "cloud.google.com/load-balancer-type":
			internal = strings.EqualFold(value, "internal")
		case "service.beta.kubernetes.io/azure-load-balancer-internal",
			"service.beta.kubernetes.io/openstack-internal-load-balancer",
			"service.beta.kubernetes.io/oci-load-balancer-internal",
			"service.beta.kubernetes.io/cce-load-balancer-internal-vpc",
			"tailscale.com/expose":
			internal = strings.EqualFold(value, "true")
		case "service.beta.kubernetes.io/aws-load-balancer-internal": // once "0.0.0.0/0", now "true"
			internal = value != "" && !strings.EqualFold(value, "false")
		case "service.beta.kubernetes.io/aws-load-balancer-scheme":
			internal = value == "internal"
		case "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type":
			internal = value == "private"
		case "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type":
			internal = value == "intranet"
		case "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid":
			internal = true
		}
		if internal {
			return true
		}
	}
	return false
}

// SourceRangesAnnotation holds, as a list with commas, what spec.loadBalancerSourceRanges
// holds otherwise.
const SourceRangesAnnotation = corev1.AnnotationLoadBalancerSourceRangesKey
