package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// CertificateSigning asks that certificate requests cannot be misused.
var CertificateSigning = &bailey.Control{
	ID:   "access/certificate-signing",
	Asks: "CertificateSigningRequests cannot be misused",
	Doc: `A signed request is a credential that Kubernetes cannot take back. Who can get one approved with the
right subject is cluster administrator until it expires.

Bailey judges who may create, approve and sign requests, and for which signer, PodCertificateRequests and
ClusterTrustBundles included; approved requests with powerful subjects; and how long certificates live.

Enforced by admission policies on who asks which signer, for how long, and on who approves. What subject is asked
for lies encoded in the request, where CEL cannot read it: system:masters is refused by Kubernetes itself, and for
the rest all hangs on who may ask and who may approve.

Proved by an ordinary identity that asks for a powerful certificate and tries to approve it.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("reference/access-authn-authz/certificate-signing-requests/",
			"Certificates and Certificate Signing Requests"),
		ref.Kubernetes("concepts/security/rbac-good-practices/", "Role Based Access Control Good Practices"),
		ref.CIS("5.1.11", "Few can approve certificate requests"),
		ref.CNCF(198, "Keys live for a short time"),
		ref.CNCF(222, "Few may administer the control plane"),
		ref.NIST("SC-17"),
		ref.NIST("AC-6"),
		ref.NIST("IA-5"),
		ref.ATTACK("T1078"),
	},

	Rules: certificateSigningRules,

	Guards: certificateSigningGuards,

	Experiments: certificateSigningExperiments,
}
