package access

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Authentication asks for effective authentication.
var Authentication = &bailey.Control{
	ID:   "access/authentication",
	Asks: "access to the API is authenticated effectively",
	Doc: `A credential should name one person or one workload, end soon, and be possible to take back.

Bailey judges anonymous access (limited to health paths it is sound), static token files, client
certificates in system:masters, client certificates that are valid for more than a day (Kubernetes cannot
revoke them), the settings of OIDC and of structured authentication, and bootstrap tokens.

Enforced by a structured AuthenticationConfiguration, written out to apply.

Proved by expired, self-signed and wrong-audience credentials, all of which must be refused.`,
	Scope: bailey.ScopeCluster,
	Refs: []bailey.Reference{
		ref.Kubernetes("reference/access-authn-authz/authentication/", "Authenticating"),
		ref.Kubernetes("concepts/security/hardening-guide/authentication-mechanisms/",
			"Hardening Guide - Authentication Mechanisms"),
		ref.CIS("3.1.1", "Users do not sign in with client certificates"),
		ref.CIS("1.2.2", "There is no static token file"),
		ref.CIS("5.1.7", "Nobody uses the group system:masters"),
		ref.NSA("Authentication"),
		ref.CNCF(206, "All operators of clusters and workloads are authenticated"),
		ref.CNCF(208, "People sign in with several factors"),
		ref.NIST("IA-2"),
		ref.NIST("IA-5"),
		ref.ATTACK("T1078"),
	},

	Rules:       authenticationRules,
	Guards:      []*bailey.Guard{structuredAuthentication},
	Experiments: authenticationExperiments,
}
