package deploy

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Foundation asks that the infrastructure keeps its promises.
var Foundation = &bailey.Control{
	ID:   "deploy/foundation",
	Asks: "the infrastructure gives the guarantees that higher layers expect",
	Doc: `Every control above rests on flags and files of the control plane and the nodes. One of them set wrong
undoes the rest without a sound.

Bailey judges the configuration of control plane and nodes by the CIS Kubernetes Benchmark and the
hardening guides, and over several clusters their drift, and certificate authorities and token issuers that
they share.

Enforced by configuration of kubelet, API server, controller manager, scheduler and etcd, written out
to apply.`,
	Unprovable: "None in this version. To prove is to read the configuration back from the running process. The kubelet gives " +
		"its own at configz, which the collector reads as nodes/configz where it may; through the API server's proxy Bailey " +
		"never reads it, since the right to do so is the right to run commands on the node. The control plane's processes " +
		"have no such endpoint for anybody but their administrators. The node agent, which comes later, will compare files, " +
		"flags and running processes.",
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("tasks/administer-cluster/securing-a-cluster/", "Securing a Cluster"),
		ref.CIS("1", "Control plane components"),
		ref.CIS("4", "Worker nodes"),
		ref.NSA("Control plane hardening"),
		ref.NSA("Worker node segmentation"),
		ref.CNCF(228, "Configuration cannot be changed at run time"),
		ref.CNCF(319, "The orchestrator runs on a trusted system"),
		ref.NIST("CM-2"),
		ref.NIST("CM-6"),
	},

	Rules:  foundationRules,
	Guards: []*bailey.Guard{controlPlaneHardened, kubeletsHardened},
}
