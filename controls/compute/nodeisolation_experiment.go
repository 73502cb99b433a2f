package compute

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// nodeIsolationExperiments try what a node could do to the others.
var nodeIsolationExperiments = []*bailey.Experiment{nodesAreBounded, dedicatedNodesKept}

// nodesTried bounds how many nodes are tried.
const nodesTried = 3

var nodesAreBounded = &bailey.Experiment{
	Name:  "nodes-are-bounded",
	Title: "A node can change only itself, and not how it is chosen",
	Doc: `Whoever breaks into a node has its kubelet's identity. As a node (system:node:NAME in system:nodes), by
impersonation and dry-run, Bailey tries to give itself a label of node-restriction.kubernetes.io/, by which
workloads are kept apart, to change its own taints, to label another node, and to create a pod that is no mirror
of a static pod. The authorizer is asked whether it may read a Secret that none of its pods uses, and list
Secrets. NodeRestriction or the Node authorizer must refuse each. The twins are what a kubelet does every day: a
label of kubelet.kubernetes.io/, a mirror pod, its own Node, Services.

The first 3 nodes by name are tried. Nothing is changed. The prober must be allowed to impersonate these nodes. What a
kubelet's credentials can be taken for elsewhere, as in a cloud, this does not show.`,
	Hypothesis: "A node's identity cannot change labels and taints that isolation rests on, another node, or pods not its own.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1098",
	Detections: []string{"impersonation-privileged"},
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindNode},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		var nodes []*bailey.Fact
		for _, f := range v.List(bailey.KindNode, "") {
			if f.UID != "" {
				nodes = append(nodes, f)
			}
		}
		var probes []bailey.Probe
		for i, f := range nodes[:min(len(nodes), nodesTried)] {
			probes = append(probes, boundsOfNode(f, nodes[(i+1)%len(nodes)])...)
		}
		return probes
	},
}

// restriction is the prefix of the labels that a kubelet may not set.
const restriction = "node-restriction.kubernetes.io/"

// boundsOfNode gives the probes as one node; the other is the same node if there
// is no other.
func boundsOfNode(f, other *bailey.Fact) []bailey.Probe {
	who := bailey.Identity{User: "system:node:" + f.Name, Groups: []string{"system:nodes", "system:authenticated"}}
	refusers := []bailey.Refuser{bailey.RefuserNodes, bailey.RefuserAuthorization}
	var probes []bailey.Probe
	add := func(name, path string, try, twin bailey.Step) {
		try.Refusers = refusers
		p := bailey.Probe{Name: name, Path: path + " as node " + f.Name, Try: try, Twin: twin}
		if try.Review != nil {
			p.Detections = []string{} // nobody acts as the node: it is asked about
		}
		probes = append(probes, p)
	}
	patch := func(node string, object map[string]any) bailey.Step {
		return bailey.Step{Request: &bailey.Request{As: who, Verb: "patch", APIVersion: "v1", Resource: "nodes", Name: node, Object: object}}
	}
	labelled := func(label string) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{label: "true"}}}
	}
	own := labelled("kubelet.kubernetes.io/bailey-probe")
	ordinary := patch(f.Name, own)
	add("a label that isolation rests on", "patch nodes", patch(f.Name, labelled(restriction+"bailey-probe")), ordinary)
	taints := []any{}
	if node, ok := f.Object.(*corev1.Node); ok && len(node.Spec.Taints) == 0 {
		taints = append(taints, map[string]any{"key": "bailey.dev/probe", "effect": "NoSchedule"})
	}
	add("its own taints", "patch nodes", patch(f.Name, map[string]any{"spec": map[string]any{"taints": taints}}), ordinary)
	if other != f {
		add("a label of another node", "patch nodes", patch(other.Name, own), ordinary)
	}

	yes := true
	mirror := pods.Restricted(pods.Model{Namespace: metav1.NamespaceSystem, Image: pods.Pause})
	mirror.GenerateName, mirror.Name = "", bailey.ProbePrefix+"mirror-"+f.Name
	mirror.Spec.NodeName = f.Name
	mirror.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: f.Name, UID: types.UID(f.UID), Controller: &yes}}
	plain := pods.Create(mirror)
	mirror.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "bailey"}
	twin := pods.Create(mirror)
	plain.Request.As, twin.Request.As = who, who
	add("a pod that is no mirror pod", "create pods", plain, twin)

	may := func(verb, resource, namespace, name string) bailey.Step {
		return bailey.Step{Review: &bailey.Review{User: who.User, Groups: who.Groups, Verb: verb, Resource: resource, Namespace: namespace, Name: name}}
	}
	add("a Secret that none of its pods uses", "get secrets", may("get", "secrets", metav1.NamespaceSystem, bailey.ProbePrefix+"none"), may("get", "nodes", "", f.Name))
	add("all Secrets", "list secrets", may("list", "secrets", "", ""), may("list", "services", "", ""))
	return probes
}
