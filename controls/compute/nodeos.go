package compute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// NodeOS asks for an operating system made for containers.
var NodeOS = &bailey.Control{
	ID:   "compute/node-os",
	Asks: "nodes run an operating system made for containers, read-only, with only what they need",
	Doc: `What is not on a node cannot be used by whoever lands there, and what cannot be written cannot be made to
stay.

Bailey judges the node's system image, whether its root file system is read-only, whether it has a package
manager, which services listen, how the kernel is hardened, and which updates are pending.

Enforced by kubelet and kernel settings, written out.`,
	Unprovable: "None in this version. A pod sees the file system of its image, not that of the node, and Bailey's probe pods " +
		"mount nothing of the node. The node agent, which comes later, will show that the root file system is mounted " +
		"read-only, and that the kernel refuses to load a module before it looks at it.",
	Scope: bailey.ScopeNode,
	Refs: []bailey.Reference{
		ref.CNCF(220, "The operating system is made for containers"),
		ref.CNCF(228, "Configuration cannot be changed at run time"),
		ref.CNCF(319, "The orchestrator runs on a trusted system"),
		ref.NSA("Worker node segmentation"),
		ref.NSA("Upgrading and application security practices"),
		ref.NIST("CM-7"),
		ref.NIST("CM-2"),
		ref.NIST("SI-2"),
		ref.ATTACK("T1611"),
		ref.ATTACK("T1068"),
	},

	Rules: nodeOSRules,
}
