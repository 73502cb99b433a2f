package network

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Policy asks that network policy restricts traffic.
var Policy = &bailey.Control{
	ID:   "network/policy",
	Asks: "network policy restricts traffic to what is needed",
	Doc: `In a cluster without network policy every pod can dial every other one, the control plane, the
nodes and the cloud's metadata service. An attacker in one pod is then in all of the network.

Bailey judges for each workload whether a policy selects it in each direction, so that what is not
allowed is refused, and what the allowing rules then let through: everything, the whole internet, the
metadata address. It finds policies that select nothing and rules that can never match. NetworkPolicy
and the cluster-wide kinds (ClusterNetworkPolicy and its predecessors) are read together, in the order
in which they apply. A pod on the host network is covered by none of them.

Enforced by default-deny policies and by least-privilege ones made from flows that were declared or seen.

Proved, for a sample that changes every week, by dialling along closed and open edges between copies in shadow
namespaces with the same labels and policies. Not proven that way, and named as such: host network, a node to
its own pod, established connections, the moment at which a pod starts, address blocks.

A policy object says what was asked for. Whether the network plugin enforces it is network/plugin.`,
	Scope: bailey.ScopeWorkload,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/services-networking/network-policies/", "Network Policies"),
		ref.Kubernetes("tasks/administer-cluster/declare-network-policy/", "Declare Network Policy"),
		ref.CIS("5.3.2", "Every namespace has network policies"),
		ref.NSA("Network policies"),
		ref.CNCF(229, "Containers reach only the network that they need"),
		ref.CNCF(230, "Only sanctioned pairs of services communicate"),
		ref.CNCF(310, "Network policy limits traffic inside the cluster"),
		ref.NIST("SC-7(5)"),
		ref.NIST("AC-4"),
		ref.ATTACK("T1046"),
	},

	Rules: policyRules,

	Guards: policyGuards,

	Experiments: policyExperiments,
}
