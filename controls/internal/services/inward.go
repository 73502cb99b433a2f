// Package services makes patches of Services that several controls ask for.
package services

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
)

// Inward gives the patch that makes a Service one of type ClusterIP. The API server
// refuses such a one with fields of other types, so they are taken out.
func Inward(s *corev1.Service) []bailey.PatchOp {
	patch := []bailey.PatchOp{{Op: "replace", Path: "/spec/type", Value: string(corev1.ServiceTypeClusterIP)}}
	remove := func(is bool, pointer string) {
		if is {
			patch = append(patch, bailey.PatchOp{Op: "remove", Path: pointer})
		}
	}
	for i := range s.Spec.Ports {
		remove(s.Spec.Ports[i].NodePort != 0, "/spec/ports/"+strconv.Itoa(i)+"/nodePort")
	}
	remove(s.Spec.ExternalTrafficPolicy != "", "/spec/externalTrafficPolicy")
	remove(s.Spec.HealthCheckNodePort != 0, "/spec/healthCheckNodePort")
	remove(s.Spec.AllocateLoadBalancerNodePorts != nil, "/spec/allocateLoadBalancerNodePorts")
	remove(s.Spec.LoadBalancerClass != nil, "/spec/loadBalancerClass")
	remove(len(s.Spec.LoadBalancerSourceRanges) > 0, "/spec/loadBalancerSourceRanges")
	return patch
}
