package deploy

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Admission asks that what, who and where of deployments is restricted.
var Admission = &bailey.Control{
	ID:   "deploy/admission",
	Asks: "it is restricted what can be deployed, who can deploy it, and where",
	Doc: `Admission is the last gate before an object becomes real. A gate with a side door is worse than
none, since everybody relies on it: a webhook that lets everything through while its server is down, a
policy that reads containers and forgets init containers, an exemption that anybody can claim.

Bailey judges webhooks and admission policies: failure policy, timeout, scope, match conditions, selectors
and the labels they trust, whether the server behind a webhook exists, whether a policy is bound and
denies. It names the paths into the cluster that no policy covers: each kind of container, and the
subresources (resize, binding, eviction, exec). And it asks of every running pod whether Pod Security
would admit it today.

Enforced by ValidatingAdmissionPolicies with their bindings, in audit before they deny, and by
MutatingAdmissionPolicies for defaults. Webhook configurations and admission policies are themselves
beyond both: RBAC, detection and, where served, manifest-based policies guard them.

Proved by dry-run: what the gates refuse in one way they must refuse in every way, in each namespace that they look
into and from each kind of identity, and the allowed twin must be admitted.

What a webhook's server decides cannot be read from its configuration; only the proof shows it.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("reference/access-authn-authz/admission-controllers/", "Admission Control in Kubernetes"),
		ref.Kubernetes("reference/access-authn-authz/validating-admission-policy/", "Validating Admission Policy"),
		ref.Kubernetes("concepts/cluster-administration/admission-webhooks-good-practices/",
			"Admission Webhook Good Practices"),
		ref.CIS("5.1.12", "Few can change webhook configurations"),
		ref.CIS("1.2.10", "The API server does not admit everything"),
		ref.NSA("Pod security enforcement"),
		ref.CNCF(252, "Policies about images are enforced before deployment"),
		ref.CNCF(239, "Violations of the organization's rules are detected"),
		ref.NIST("CM-5"),
		ref.NIST("CM-7"),
		ref.ATTACK("T1610"),
	},

	Rules: admissionRules,

	Guards: admissionGuards,

	Experiments: admissionExperiments,
}
