package pods

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
)

// ProbeNamespace names a namespace of the run's own.
func ProbeNamespace(purpose string) string { return bailey.ProbePrefix + "${run}-" + purpose }

// MakeNamespace is the step that makes it. It admits pods of this level of the Pod
// Security Standards only.
func MakeNamespace(name, level string) bailey.Step {
	labels := map[string]any{"pod-security.kubernetes.io/enforce": level}
	return bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "namespaces", Real: true,
		Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": labels}}}}
}

// OnNode is the part of a pod's spec that brings it to the node.
func OnNode(node string, tolerations []corev1.Toleration) map[string]any {
	spec := map[string]any{"nodeSelector": map[string]any{corev1.LabelHostname: node}}
	var list []any
	for i := range tolerations {
		t := &tolerations[i]
		one := map[string]any{"key": t.Key, "operator": string(t.Operator), "value": t.Value, "effect": string(t.Effect)}
		for key, value := range one {
			if value == "" {
				delete(one, key)
			}
		}
		list = append(list, one)
	}
	if list != nil {
		spec["tolerations"] = list
	}
	return spec
}

// OnNamedNode is the part of a pod's spec that brings it to the node of this name, which
// may be one that an earlier step bound.
func OnNamedNode(node string) map[string]any {
	named := map[string]any{"key": "metadata.name", "operator": "In", "values": []any{node}}
	return map[string]any{"affinity": map[string]any{"nodeAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{
		"nodeSelectorTerms": []any{map[string]any{"matchFields": []any{named}}}}}}}
}

// ReadyNodes gives the host names of nodes on which pods with these tolerations
// start: Linux, ready, not cordoned, chosen by the selector; the first by name, all of
// them if most is negative.
func ReadyNodes(v *bailey.View, selector map[string]string, tolerations []corev1.Toleration, most int) []string {
	var names []string
	for _, f := range v.List(bailey.KindNode, "") {
		node, ok := f.Object.(*corev1.Node)
		host := f.Labels[corev1.LabelHostname]
		if !ok || host == "" || node.Spec.Unschedulable || f.Labels[corev1.LabelOSStable] == "windows" || len(names) == most {
			continue
		}
		fits := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
		for key, value := range selector {
			fits = fits && f.Labels[key] == value
		}
		for i := range node.Spec.Taints {
			fits = fits && tolerated(&node.Spec.Taints[i], tolerations)
		}
		if fits {
			names = append(names, host)
		}
	}
	return names
}

func tolerated(t *corev1.Taint, tolerations []corev1.Toleration) bool {
	if t.Effect == corev1.TaintEffectPreferNoSchedule {
		return true
	}
	return slices.ContainsFunc(tolerations, func(by corev1.Toleration) bool {
		return (by.Effect == "" || by.Effect == t.Effect) && (by.Key == "" && by.Operator == corev1.TolerationOpExists ||
			by.Key == t.Key && (by.Operator == corev1.TolerationOpExists || by.Value == t.Value))
	})
}
