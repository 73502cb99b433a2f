package observe

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// MeasuredBoot asks for measured boot below Kubernetes.
var MeasuredBoot = &bailey.Control{
	ID:   "observe/measured-boot",
	Asks: "nodes boot measured, with cryptographic evidence, below Kubernetes",
	Doc: `A node whose firmware or kernel was replaced tells Kubernetes that all is well. Only a chip that measured
the boot can contradict it.

Bailey judges for every node the state of secure boot, and its TPM quote and event log against the
node's reference.

Enforced by tainting a node that fails attestation, so that it may not run trusted workloads.

Proved by presenting a changed event log, a stale quote and another node's quote; each must fail.`,
	Scope: bailey.ScopeNode,
	Refs: []bailey.Reference{
		ref.CNCF(221, "A TPM is the root of trust"),
		ref.CNCF(216, "Bootstrapping verifies where compute is"),
		ref.CNCF(319, "The orchestrator runs on a trusted system"),
		ref.Page("RFC 9334", "Remote ATtestation procedureS (RATS) Architecture", "https://www.rfc-editor.org/rfc/rfc9334"),
		ref.NIST("SI-7"),
		ref.NIST("SI-7(9)"),
	},
}
