package compute

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

var dedicatedNodesKept = &bailey.Experiment{
	Name:  "dedicated-nodes-kept",
	Title: "Untrusted pods are kept from dedicated nodes every way",
	Doc: `Where a namespace is labelled bailey.dev/trust: untrusted, and there are nodes with a label of
node-restriction.kubernetes.io/ and a taint, a pod of the namespace asks for such a node by dry-run: by the
toleration of its taint together with the label as selector; by a toleration of everything; by the node's name;
and, if a pod of the namespace waits for a node, by binding it. If an admission policy, a webhook or
NodeRestriction refuses the first, the platform claims to keep the untrusted away, and must refuse every other
way too. The twins ask for no node, or bind to one that is not dedicated.

Where nothing refuses the first nothing is claimed, and the probes are left out: Kubernetes itself lets every
pod tolerate every taint. One node of each namespace's choice is tried. Trust is declared, never guessed.`,
	Hypothesis: "A pod that is refused the toleration of a dedicated node's taint gets to that node in no other way.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1610",
	Scope:      bailey.ScopeNamespace,
	Needs:      []bailey.Kind{bailey.KindNamespace, bailey.KindNode, bailey.KindPod},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		ns := v.Get(bailey.KindNamespace, "", scope.Name)
		if ns == nil || ns.Labels[trustLabel] != untrusted {
			return nil
		}
		node, label, taint, others := dedicated(v)
		if node == "" {
			return nil
		}
		refusers := []bailey.Refuser{bailey.RefuserPolicy, bailey.RefuserWebhook, bailey.RefuserNodes}
		pod := pods.Restricted(pods.ModelOf(v, scope.Name))
		twin := pods.Create(pod)
		tolerating := func(t corev1.Toleration, selector map[string]string) *corev1.Pod {
			p := pod.DeepCopy()
			p.Spec.Tolerations, p.Spec.NodeSelector = []corev1.Toleration{t}, selector
			return p
		}
		key, value, _ := strings.Cut(label, "=")
		first := tolerating(corev1.Toleration{Key: taint.Key, Operator: corev1.TolerationOpEqual, Value: taint.Value, Effect: taint.Effect}, map[string]string{key: value})
		given := pods.Create(first, refusers...)
		named := pod.DeepCopy()
		named.Spec.NodeName = node
		probes := []bailey.Probe{
			{Name: "toleration and selector", Path: "create pods", Try: pods.Create(first, refusers...), Twin: twin},
			{Name: "toleration of everything", Path: "create pods", Try: pods.Create(tolerating(corev1.Toleration{Operator: corev1.TolerationOpExists}, nil), refusers...), Twin: twin},
			{Name: "the node's name", Path: "create pods", Try: pods.Create(named, refusers...), Twin: twin},
		}
		waiting := pods.Existing(v, scope.Name, func(p *corev1.Pod) bool { return p.Spec.NodeName == "" && len(p.Spec.SchedulingGates) == 0 })
		if waiting != nil && others != "" {
			probes = append(probes, bailey.Probe{Name: "binding", Path: "create pods/binding", Try: bind(waiting, node, refusers...), Twin: bind(waiting, others)})
		}
		for i := range probes {
			probes[i].Given = &given
		}
		return probes
	},
}

// dedicated gives the first node by name that bears a restricted label and a
// taint that keeps pods away, with both, and the first node that bears neither.
func dedicated(v *bailey.View) (name, label string, taint corev1.Taint, other string) {
	for _, f := range v.List(bailey.KindNode, "") {
		node, ok := f.Object.(*corev1.Node)
		if !ok {
			continue
		}
		restricted := ""
		for key, value := range node.Labels {
			if text := key + "=" + value; strings.HasPrefix(key, restriction) && (restricted == "" || text < restricted) {
				restricted = text
			}
		}
		kept := corev1.Taint{}
		for _, t := range node.Spec.Taints {
			// Those of node.kubernetes.io/ tell a node's state, not its purpose.
			if t.Effect != corev1.TaintEffectPreferNoSchedule && !strings.HasPrefix(t.Key, "node.kubernetes.io/") && !strings.HasPrefix(t.Key, "node.cloudprovider.kubernetes.io/") {
				kept = t
				break
			}
		}
		switch {
		case restricted != "" && kept.Key != "" && name == "":
			name, label, taint = f.Name, restricted, kept
		case restricted == "" && kept.Key == "" && other == "":
			other = f.Name
		}
	}
	return name, label, taint, other
}

// bind is the step that binds a waiting pod to a node, by dry-run.
func bind(pod *corev1.Pod, node string, refusers ...bailey.Refuser) bailey.Step {
	return bailey.Step{Refusers: refusers, Request: &bailey.Request{
		Verb: "create", APIVersion: "v1", Resource: "pods", Subresource: "binding", Namespace: pod.Namespace, Name: pod.Name,
		Object: map[string]any{"apiVersion": "v1", "kind": "Binding", "metadata": map[string]any{"name": pod.Name, "namespace": pod.Namespace},
			"target": map[string]any{"apiVersion": "v1", "kind": "Node", "name": node}},
	}}
}
