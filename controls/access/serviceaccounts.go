package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// ServiceAccounts asks that workloads have managed identities.
var ServiceAccounts = &bailey.Control{
	ID:   "access/service-accounts",
	Asks: "ServiceAccounts are the managed identities of workloads and components",
	Doc: `A token that lies in a pod is the first thing that an attacker in the pod reads. It should be there
only if the workload needs it, name that workload alone, fit one audience and end soon.

Bailey judges each workload's ServiceAccount: the default one in use, one that does not exist, a token
mounted where nothing suggests that it is used, a token Secret without an end. Of projected tokens it reads
audience and lifetime. It finds bindings that give rights to default accounts, to broad groups, or the right
to do everything.

Enforced by patches that turn automounting off and give each workload its own account, and by a policy
that refuses token Secrets.

Proved with the token that a probe pod gets: it must fail outside its audience, from elsewhere where it is
bound to the node, and once its pod is gone (the API server's caches hold on for about 70 seconds).

Whether a service accepts a token without asking the API server cannot be read from Kubernetes objects.`,
	Scope:   bailey.ScopeWorkload,
	Weighed: true,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/service-accounts/", "Service Accounts"),
		ref.Kubernetes("tasks/configure-pod-container/configure-service-account/", "Configure Service Accounts for Pods"),
		ref.Kubernetes("reference/access-authn-authz/service-accounts-admin/", "Managing Service Accounts"),
		ref.CIS("5.1.5", "Default ServiceAccounts are not in use"),
		ref.CIS("5.1.6", "Tokens are mounted only where they are needed"),
		ref.NSA("Protecting Pod service account tokens"),
		ref.CNCF(203, "Workloads are authorized by attributes and roles given beforehand"),
		ref.CNCF(210, "Secrets live for a short time"),
		ref.NIST("IA-9"),
		ref.NIST("AC-6"),
		ref.ATTACK("T1528"),
		ref.ATTACK("T1550.001"),
	},

	Rules: serviceAccountRules,

	Guards: serviceAccountGuards,

	Experiments: serviceAccountExperiments,
}
