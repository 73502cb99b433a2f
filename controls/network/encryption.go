package network

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Encryption asks that the network plugin encrypts where needed.
var Encryption = &bailey.Control{
	ID:   "network/encryption",
	Asks: "the network plugin encrypts cluster traffic where it is needed",
	Doc: `Between two nodes lies a network that somebody else may run.

Bailey judges Cilium (WireGuard, IPsec), Calico, Flannel and others: whether encryption is set, and whether
it covers all nodes.

Enforced by settings, written out.

Proved by sending a marker between pods on two nodes and looking for it in what leaves the first.`,
	Scope: bailey.ScopeNode,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/cluster-administration/networking/", "Cluster Networking"),
		ref.Kubernetes("concepts/extend-kubernetes/compute-storage-net/network-plugins/", "Network Plugins"),
		ref.NSA("Encryption"),
		ref.NIST("SC-8"),
		ref.NIST("SC-8(1)"),
		ref.NIST("SC-13"),
	},

	Experiments: []*bailey.Experiment{unreadableOnTheWire},
}
