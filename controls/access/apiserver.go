package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// APIServer asks that the Kubernetes API is protected.
var APIServer = &bailey.Control{
	ID:   "access/api-server",
	Asks: "the Kubernetes API is protected, and the security checklist holds",
	Doc: `Whoever commands the API commands everything. It should be reachable from few places, answer no stranger,
and offer nothing that nobody uses.

Bailey judges every item of the Kubernetes security checklist, how API server, kubelet and etcd are
exposed, the admission plugins in use, and ports and pages that are better closed, such as profiling.

Enforced by configuration and policies.

Proved by calling the API without a credential, from outside, and on every port that should be closed.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/security-checklist/", "Security Checklist"),
		ref.Kubernetes("concepts/security/controlling-access/", "Controlling Access to the Kubernetes API"),
		ref.CIS("1.2.1", "The API server answers no anonymous request"),
		ref.CIS("1.2.15", "The API server offers no profiling"),
		ref.CIS("4.2.4", "The kubelet's read-only port is closed"),
		ref.NSA("Control plane hardening"),
		ref.CNCF(222, "Few may administer the control plane"),
		ref.NIST("AC-3"),
		ref.NIST("AC-17"),
		ref.NIST("SC-7"),
		ref.ATTACK("T1133"),
		ref.ATTACK("T1613"),
	},

	Rules:       apiServerRules,
	Experiments: apiServerExperiments,
}
