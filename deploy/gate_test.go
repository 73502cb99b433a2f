package deploy_test

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/enforce/gate"
)

// gateObjects are the manifests of a gate beside the chart.
func gateObjects(t *testing.T) []runtime.Object {
	t.Helper()
	gates := &gate.Install{Config: imagegate.Config{Namespace: "bailey", Service: "bailey-gate", Rules: true}, Image: image, Replicas: 2, Policy: map[string][]byte{"trust.yaml": []byte("x")}, PolicyFile: "trust.yaml"}
	objects, err := gates.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestGateIsNotCutOff: in the chart's namespace, whose default is to deny, the API server reaches each port of a gate, and the gate what it
// asks; the server's own pods are not opened by that.
func TestGateIsNotCutOff(t *testing.T) {
	_, _, own := bounds(t, map[string]any{})
	kept := slices.Collect(maps.Values(policies(t, map[string]any{"image": image})))
	var beside *appsv1.Deployment
	for _, o := range gateObjects(t) {
		switch o := o.(type) {
		case *networkingv1.NetworkPolicy:
			kept = append(kept, o)
		case *appsv1.Deployment:
			beside = o
		}
	}
	// let tells whether anybody may reach a port of pods, or they a port of anybody.
	let := func(d *appsv1.Deployment, way network.Direction, port int32) bool {
		for _, p := range kept {
			if p.Namespace != "bailey" || !network.Selects(p, d.Spec.Template.Labels) {
				continue
			}
			for _, rule := range p.Spec.Ingress {
				if way == network.Ingress && len(rule.From) == 0 && network.AllowsPort(rule.Ports, port) {
					return true
				}
			}
			for _, rule := range p.Spec.Egress {
				if way == network.Egress && len(rule.To) == 0 && network.AllowsPort(rule.Ports, port) {
					return true
				}
			}
		}
		return false
	}
	ports := beside.Spec.Template.Spec.Containers[0].Ports
	if len(ports) == 0 {
		t.Fatal("the gate has no ports")
	}
	for _, port := range ports {
		if !let(beside, network.Ingress, port.ContainerPort) {
			t.Errorf("nobody reaches port %s of the gate", port.Name)
		}
		if let(own, network.Ingress, port.ContainerPort) {
			t.Errorf("port %d of the server is open as the gate's is", port.ContainerPort)
		}
	}
	if !slices.ContainsFunc(kept, func(p *networkingv1.NetworkPolicy) bool {
		return network.Selects(p, beside.Spec.Template.Labels) && slices.ContainsFunc(p.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
			return len(rule.To) == 0 && slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return *p.Protocol == corev1.ProtocolUDP && p.Port == nil })
		})
	}) {
		t.Error("the gate reaches no DNS, whose pods may be at any port")
	}
	for _, port := range []int32{53, 443, 6443, 5000} {
		if !let(beside, network.Egress, port) {
			t.Errorf("the gate reaches nothing at port %d", port)
		}
	}
	if let(own, network.Egress, 5000) || let(beside, network.Ingress, 22) || let(beside, network.Egress, 80) {
		t.Error("more is let by than is asked for")
	}
}
