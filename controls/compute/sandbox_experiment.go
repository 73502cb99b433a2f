package compute

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
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
			if !ok || slices.Contains(plainRuntimes, class.Handler) {
				continue
			}
			var selector map[string]string
			var tolerations []corev1.Toleration
			if s := class.Scheduling; s != nil {
				selector, tolerations = s.NodeSelector, s.Tolerations
			}
			for _, node := range pods.ReadyNodes(v, selector, tolerations, 2) {
				probes = append(probes, sandboxProbe(class.Name, node, tolerations))
			}
		}
		return probes
	},
}

func sandboxProbe(class, node string, tolerations []corev1.Toleration) bailey.Probe {
	namespace := pods.ProbeNamespace("sandbox")
	look := func(name, expected string, spec map[string]any) bailey.Step {
		return bailey.Step{Task: &bailey.Task{Kernel: &expected, In: &bailey.ProbePod{Namespace: namespace, Name: name, Spec: spec}}}
	}
	plain, classed := pods.OnNode(node, tolerations), pods.OnNode(node, tolerations)
	classed["runtimeClassName"] = class
	first := look("node", "", plain)
	first.Bind = map[string]string{"kernel": "kernel"}
	try := look("sandbox", "${kernel}", classed)
	try.Refusers = []bailey.Refuser{bailey.RefuserKernel}
	return bailey.Probe{Name: "the node's kernel under RuntimeClass " + class, Path: "pod on node " + node,
		Setup: []bailey.Step{pods.MakeNamespace(namespace, "restricted"), first}, Twin: look("plain", "${kernel}", plain), Try: try}
}
