package compute

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Sandbox asks for a more restrictive container runtime where it is needed.
var Sandbox = &bailey.Control{
	ID:   "compute/sandbox",
	Asks: "a container runtime gives security restrictions where workloads need them",
	Doc: `Where a workload runs code that nobody vouches for, or serves the whole internet, one bug in the
shared kernel is enough to reach its neighbours. A sandbox (gVisor, Kata Containers) or a user namespace
puts a second wall in between.

Bailey judges whether the RuntimeClass that a workload names exists, which workloads run without one although
they or their namespace are labelled bailey.dev/trust: untrusted, and which run as root of the node because
they are in no user namespace (hostUsers: false). Trust is declared, never guessed.

Enforced by an admission policy that gives those workloads the class.

Proved by a probe that runs under the class and reads, from inside, which kernel it sees.

A RuntimeClass says what the runtime was asked for. What a handler does on a node is in that node's
runtime configuration, which the Kubernetes API does not show.`,
	Scope:   bailey.ScopeWorkload,
	Weighed: true,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/containers/runtime-class/", "Runtime Class"),
		ref.Kubernetes("concepts/workloads/pods/user-namespaces/", "User Namespaces"),
		ref.Kubernetes("concepts/security/multi-tenancy/", "Multi-tenancy"),
		ref.NSA("Hardening container environments"),
		ref.CNCF(217, "Workloads with different sensitive data share no kernel"),
		ref.NIST("SC-39"),
		ref.NIST("SC-4"),
		ref.ATTACK("T1611"),
		ref.ATTACK("T1068"),
	},

	Rules: sandboxRules,

	Guards: sandboxGuards,

	Experiments: sandboxExperiments,
}
