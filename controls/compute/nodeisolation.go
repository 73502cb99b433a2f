package compute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// NodeIsolation asks for separate nodes per trust context.
var NodeIsolation = &bailey.Control{
	ID:   "compute/node-isolation",
	Asks: "workloads of different trust run on separate nodes",
	Doc: `Pods on one node share its kernel, its caches and its kubelet's rights. The ones that guard the keys should
not sit beside the ones that strangers feed.

Bailey judges each workload's trust context against where the scheduler may put it and where it runs,
labels that a kubelet could give itself, and whether NodeRestriction is on.

Enforced by taints and tolerations, by labels that only administrators can set, and by policy.

Proved by dry-running the pod of low trust with the toleration and selector of high trust, with a node
name, and by binding it; and by a node's identity that tries to change the label.`,
	Scope: bailey.ScopeWorkload,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/scheduling-eviction/taint-and-toleration/", "Taints and Tolerations"),
		ref.Kubernetes("concepts/scheduling-eviction/assign-pod-node/", "Assigning Pods to Nodes"),
		ref.Kubernetes("concepts/security/multi-tenancy/", "Multi-tenancy"),
		ref.CIS("1.2.14", "NodeRestriction is on"),
		ref.NSA("Worker node segmentation"),
		ref.CNCF(217, "Workloads with different sensitive data share no kernel"),
		ref.NIST("SC-39"),
		ref.NIST("AC-4"),
		ref.ATTACK("T1610"),
		ref.ATTACK("T1611"),
	},

	Rules: nodeIsolationRules,

	Guards: []*bailey.Guard{untrustedKept},

	Experiments: nodeIsolationExperiments,
}
