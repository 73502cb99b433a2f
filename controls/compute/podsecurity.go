package compute

import (
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// PodSecurity asks that the Pod Security Standards are enforced.
var PodSecurity = &bailey.Control{
	ID:   "compute/pod-security",
	Asks: "the Pod Security Standards are enforced, and workloads run with only the privileges they need",
	Doc: `A container that is privileged, shares a namespace of the host or mounts its file system is one
step away from the node, and from every other workload on it.

Bailey judges the pod template of every object that is or makes pods, by both levels of the standard,
baseline and restricted, with the evaluator that the API server itself uses, at the version that the
cluster runs. Init, sidecar and ephemeral containers count like the others. It reads the Pod Security
labels of the namespace, pinned versions and exemptions included.

The guard is native: Pod Security labels on the namespace, set after a dry run that names the pods they
would refuse. Where a workload can pass with a small change, the change is given as a patch.

The proof asks the API server, by dry-run, to admit one pod for each thing the standard forbids, beside
a twin that lacks only that thing. The refusal must come from the PodSecurity plugin, and the twin must
be admitted.`,
	Scope:   bailey.ScopeWorkload,
	Weighed: true,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/pod-security-standards/", "Pod Security Standards"),
		ref.Kubernetes("concepts/security/pod-security-admission/", "Pod Security Admission"),
		ref.CIS("5.2.1", "A policy mechanism for pods is active in every namespace with workloads"),
		ref.CIS("5.2.2", "Few or no privileged containers are admitted"),
		ref.CIS("5.2.7", "Few or no root containers are admitted"),
		ref.NSA("Pod security enforcement"),
		ref.CNCF(238, "Least privilege and separation of duties"),
		ref.CNCF(340, "Containers cannot mount volumes of the node"),
		ref.NIST("AC-6"),
		ref.ATTACK("T1610"),
		ref.ATTACK("T1611"),
	},

	Rules: podSecurityRules,

	Guards: append(slices.Clone(podSecurityGuards), podDefaults),

	Experiments: podSecurityExperiments,
}
