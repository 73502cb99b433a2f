package compute

import (
	"reflect"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var nodeIsolationRules = []*bailey.Rule{openControlPlane, toleratesAll}

var taints = ref.Kubernetes("concepts/scheduling-eviction/taint-and-toleration/", "Taints and Tolerations")

// controlPlaneLabel marks the nodes that run the control plane.
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// keepsPodsOff reports whether a node has a taint that keeps ordinary pods off it.
func keepsPodsOff(n *corev1.Node) bool {
	for i := range n.Spec.Taints {
		if effect := n.Spec.Taints[i].Effect; effect == corev1.TaintEffectNoSchedule || effect == corev1.TaintEffectNoExecute {
			return true
		}
	}
	return n.Spec.Unschedulable
}

var openControlPlane = &bailey.Rule{
	Name:  "control-plane-schedulable",
	Title: "Ordinary pods may run beside the control plane",
	Doc: `Reads Nodes with the label node-role.kubernetes.io/control-plane and no taint that keeps pods off: who breaks out of a
pod there has the API server's keys and etcd. Where every node of the cluster runs the control plane there is no other
place, and nothing is found.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{taints, ref.Kubernetes("concepts/security/security-checklist/", "Security Checklist"),
		ref.NSA("Worker node segmentation"), ref.NIST("SC-39"), ref.ATTACK("T1611")},
	On:    []bailey.Kind{bailey.KindNode},
	Needs: []bailey.Kind{bailey.KindNode},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		node, ok := bailey.As[*corev1.Node](f)
		if _, runs := f.Labels[controlPlaneLabel]; !ok || !runs || keepsPodsOff(node) {
			return nil
		}
		for _, other := range v.List(bailey.KindNode, "") {
			if _, runs := other.Labels[controlPlaneLabel]; !runs {
				return []bailey.Finding{{Field: "spec.taints", Message: "runs the control plane, and ordinary pods may run beside it"}}
			}
		}
		return nil
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		node, ok := bailey.As[*corev1.Node](f)
		if !ok {
			return nil
		}
		taint := map[string]any{"key": controlPlaneLabel, "effect": string(corev1.TaintEffectNoSchedule)}
		op := bailey.PatchOp{Op: "add", Path: "/spec/taints", Value: []any{taint}}
		switch {
		case len(node.Spec.Taints) > 0:
			op = bailey.PatchOp{Op: "add", Path: "/spec/taints/-", Value: taint}
		case reflect.DeepEqual(node.Spec, corev1.NodeSpec{}): // a file may leave spec out
			op = bailey.PatchOp{Op: "add", Path: "/spec", Value: map[string]any{"taints": []any{taint}}}
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Note: "pods that run there already stay until they are made anew", Patch: []bailey.PatchOp{op}}}
	},
	Bad: []string{`apiVersion: v1
kind: Node
metadata: {name: cp-1, labels: {node-role.kubernetes.io/control-plane: ""}}
---
apiVersion: v1
kind: Node
metadata: {name: worker-1}
`},
}

// isForAll reports whether a toleration lets a pod be scheduled past every taint.
func isForAll(t *corev1.Toleration) bool {
	return t.Operator == corev1.TolerationOpExists && t.Key == "" && t.Effect != corev1.TaintEffectNoExecute && t.Effect != corev1.TaintEffectPreferNoSchedule
}

var toleratesAll = &bailey.Rule{
	Name:  "tolerates-everything",
	Title: "Workload may run on every node, tainted or not",
	Doc: `Reads pod templates for a toleration of every taint (operator Exists without a key) that is for scheduling too: the pod
may land beside the control plane, and on nodes that were set apart for others. What must run on every node is a
DaemonSet, which is let be, with its pods; so are pods of kube-system.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{taints, ref.NIST("SC-39"), ref.ATTACK("T1610")},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok || f.Kind == bailey.KindDaemonSet || f.Owner.Kind == bailey.KindDaemonSet || f.Owner.Kind == bailey.KindNode || f.Namespace == "kube-system" {
			return nil
		}
		for i := range w.Spec.Tolerations {
			if isForAll(&w.Spec.Tolerations[i]) {
				return []bailey.Finding{{Field: w.Path + ".tolerations[" + strconv.Itoa(i) + "]", Message: "tolerates every taint: it may run beside the control plane, and on nodes that were set apart"}}
			}
		}
		return nil
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		w, ok := workload.Of(f)
		if !ok || w.Immutable() {
			return nil
		}
		for i := range w.Spec.Tolerations {
			if isForAll(&w.Spec.Tolerations[i]) {
				return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Note: "name the taints that it must tolerate",
					Patch: []bailey.PatchOp{{Op: "remove", Path: w.Pointer + "/tolerations/" + strconv.Itoa(i)}}}}
			}
		}
		return nil
	},
	Bad: []string{`apiVersion: apps/v1
kind: Deployment
metadata: {name: bad, namespace: shop}
spec: {template: {spec: {tolerations: [{operator: Exists}], containers: [{name: c, image: "example.com/c:1"}]}}}
`, `apiVersion: apps/v1
kind: Deployment
metadata: {name: bad, namespace: shop}
spec: {template: {spec: {tolerations: [{operator: Exists, effect: NoExecute}, {operator: Exists}], containers: [{name: c, image: "example.com/c:1"}]}}}
`},
}
