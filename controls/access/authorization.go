package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Authorization asks for effective authorization.
var Authorization = &bailey.Control{
	ID:   "access/authorization",
	Asks: "access to the API is authorized effectively",
	Doc: `Rights add up in ways that no single role shows: who may create pods may use every ServiceAccount of the
namespace, and who may bind roles may have them all.

Bailey judges roles and bindings: wildcards, the verbs escalate, bind and impersonate, reaching kubelets through
nodes/proxy, reading Secrets and entering pods in the whole cluster, and who has cluster-admin, or what comes to
the same.

Enforced by admission policies that refuse such roles, and leave giving cluster-admin to those who have it, and by an
AuthorizationConfiguration, written out to apply.

Proved by a SubjectAccessReview for every edge that the graph says is closed, and by identities minted in
an own namespace that try a sample of open and closed ones.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("reference/access-authn-authz/rbac/", "Using RBAC Authorization"),
		ref.Kubernetes("concepts/security/rbac-good-practices/", "Role Based Access Control Good Practices"),
		ref.CIS("5.1.1", "cluster-admin is used only where it is required"),
		ref.CIS("5.1.2", "Few can read secrets"),
		ref.CIS("5.1.3", "Roles hold few wildcards"),
		ref.CIS("5.1.8", "Few can bind, impersonate and escalate"),
		ref.NSA("Role-based access control"),
		ref.CNCF(204, "Access follows roles and attributes"),
		ref.CNCF(238, "Least privilege and separation of duties"),
		ref.NIST("AC-3(7)"),
		ref.NIST("AC-6"),
		ref.ATTACK("T1098.006"),
	},

	Rules: append(authorizationModes, authorizationRules...),

	Guards: authorizationGuards,

	Experiments: authorizationExperiments,
}
