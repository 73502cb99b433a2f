package develop

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// AppDesign asks that applications follow good security practice.
var AppDesign = &bailey.Control{
	ID:   "develop/app-design",
	Asks: "applications follow good security practice for their context, their end users' privacy included",
	Doc: `What an application asks of the platform decides how far an attacker gets who has found one bug in
it; how its routes are published decides who can look for that bug.

Bailey judges each workload by the application security checklist of Kubernetes: an own ServiceAccount,
a user that is not root, a root file system that is read-only, no added capabilities, requests and limits,
probes. It judges each route that users reach (Ingress, Gateway, load balancer, node port): whether it
has TLS and sends plain HTTP elsewhere.

Enforced by patches for the workload and an admission policy.

Proved by dialling every published route: plain HTTP must redirect or be refused, and TLS must be 1.2 or
newer with a valid chain. User authentication, HSTS, cookie flags and content policy can be judged only
where a response may be read; personal data in logs only where logs may be read.`,
	Scope: bailey.ScopeWorkload,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/security/application-security-checklist/", "Application Security Checklist"),
		ref.Kubernetes("concepts/services-networking/ingress/", "Ingress"),
		ref.CIS("5.6.3", "Pods and containers have security contexts"),
		ref.CIS("5.2.9", "Containers are admitted without added capabilities"),
		ref.NSA("“Non-root” containers and “rootless” container engines"),
		ref.NSA("Immutable container file systems"),
		ref.CNCF(273, "Secure configuration is the default"),
		ref.NIST("SA-8"),
		ref.NIST("SC-8"),
		ref.ATTACK("T1190"),
	},

	Rules: appDesignRules,

	Guards: appDesignGuards,

	Experiments: []*bailey.Experiment{routesProtected},
}
