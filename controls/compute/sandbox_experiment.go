package compute

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"

	"github.com/baileyhq/bailey"
)

// sandboxExperiments look at the walls from inside.
var sandboxExperiments = []*bailey.Experiment{kernelOfItsOwn}

var kernelOfItsOwn = &bailey.Experiment{
	Name:  "kernel-of-its-own",
	Title: "A sandbox shows its pods another kernel than the node's",
	Doc: `For each RuntimeClass whose handler is no plain runtime (runc, crun, youki, nvidia), a pod of Bailey's own reads
on a node which kernel it sees (uname), without the class and with it. With the class it must be another: that
of the virtual machine, or the one that the sandbox plays. Two nodes of each class are tried, the first by name
that are ready and that the class's own node selector allows. The pods run in a namespace of Bailey's own and
are removed with it.

A sandbox that shows the very text of the node's kernel is called broken, and a plain runtime that lies about
its kernel is not found out. That workloads which need the class have it, the rules judge.`,
	Hypothesis: "A pod under a RuntimeClass for sandboxes does not share the kernel of its node.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1611",
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindRuntimeClass, bailey.KindNode},
	Places:     []bailey.Place{bailey.PlaceNode},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		var probes []bailey.Probe
		for _, f := range v.List(bailey.KindRuntimeClass, "") {
			class, ok := f.Object.(*nodev1.RuntimeClass)
			if !ok || plainRuntime(class.Handler) {
				continue
			}
			var selector map[string]string
			var tolerations []corev1.Toleration
			if s := class.Scheduling; s != nil {
				selector, tolerations = s.NodeSelector, s.Tolerations
			}
			for _, node := range readyNodes(v, selector, tolerations, 2) {
				probes = append(probes, sandboxProbe(class.Name, node, tolerations))
			}
		}
		return probes
	},
}

func sandboxProbe(class, node string, tolerations []corev1.Toleration) bailey.Probe {
	namespace := probeNamespace("sandbox")
	look := func(name, expected string, spec map[string]any) bailey.Step {
		return bailey.Step{Task: &bailey.Task{Kernel: &expected, In: &bailey.ProbePod{Namespace: namespace, Name: name, Spec: spec}}}
	}
	plain, classed := onNode(node, tolerations), onNode(node, tolerations)
	classed["runtimeClassName"] = class
	first := look("node", "", plain)
	first.Bind = map[string]string{"kernel": "kernel"}
	try := look("sandbox", "${kernel}", classed)
	try.Refusers = []bailey.Refuser{bailey.RefuserKernel}
	return bailey.Probe{Name: "the node's kernel under RuntimeClass " + class, Path: "pod on node " + node,
		Setup: []bailey.Step{makeNamespace(namespace), first}, Twin: look("plain", "${kernel}", plain), Try: try}
}

// probeNamespace names a namespace of the run's own.
func probeNamespace(purpose string) string { return bailey.ProbePrefix + "${run}-" + purpose }

// makeNamespace is the step that makes it. It admits restricted pods only.
func makeNamespace(name string) bailey.Step {
	labels := map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}
	return bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "namespaces", Real: true,
		Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": labels}}}}
}

// onNode is the part of a pod's spec that brings it to the node.
func onNode(node string, tolerations []corev1.Toleration) map[string]any {
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

// readyNodes gives the host names of nodes on which pods with these tolerations
// start: Linux, ready, not cordoned, chosen by the selector; the first by name.
func readyNodes(v *bailey.View, selector map[string]string, tolerations []corev1.Toleration, most int) []string {
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
