package access

import (
	"strings"

	"github.com/baileyhq/bailey"
)

// authenticationExperiments try credentials that nobody gave out.
var authenticationExperiments = []*bailey.Experiment{forgedCredentials}

var forgedCredentials = &bailey.Experiment{
	Name:  "forged-credentials",
	Title: "Credentials that the platform did not give out are refused",
	Doc: `Bailey makes credentials itself and reads the list of API groups with each: a client certificate that signed
itself and names an administrator, the same but over since a day, a ServiceAccount token signed by a key of
Bailey's own, one that says it needs no signature, a bearer token that is no token at all, and the headers by
which a front proxy names its users, sent without the proxy's certificate. Each must be refused. The twin is the
same request by the prober. Only reads are made, and nothing is stored.

The administrator that is claimed is in the group system:masters, which may do everything: where the claim is
ignored, and the request refused as a stranger's, it was not believed either.

It does not show that a credential which the cluster did give out ends when it should: a certificate lives for
10 minutes at least, and Kubernetes cannot revoke one. Tokens outside their audience are tried by
access/service-accounts. Providers of OIDC and webhooks are asked about the forged tokens like every other
authenticator, but a token in their own name is not made.`,
	Hypothesis: "A credential that the platform did not give out opens nothing.",
	Danger:     bailey.DangerNone,
	Technique:  "T1078",
	Detections: []string{"anonymous-refused"},
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindAPIServer},
	Window:     evidenceWindow,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		const open = "/apis" // to everybody who is authenticated
		twin := getPath(bailey.Identity{}, open)
		issuer := tokenIssuer(v)
		masters := []string{"system:masters"}
		forge := func(f bailey.Forge, outputs ...string) []bailey.Step {
			bind := map[string]string{}
			for _, output := range outputs {
				bind[output] = output
			}
			return []bailey.Step{{Forge: &f, Bind: bind}}
		}
		certificate := bailey.Identity{Certificate: "${certificate}", Key: "${key}"}
		token := bailey.Identity{Token: "${token}"}
		// A token names no group, so that only a refusal by authentication counts.
		byBoth := []bailey.Refuser{bailey.RefuserAuthentication, bailey.RefuserAuthorization}
		byAuthentication := byBoth[:1]
		probes := []bailey.Probe{
			{Name: "self-signed certificate of an administrator", Path: "client certificate",
				Setup: forge(bailey.Forge{What: bailey.ForgeSelfSigned, CommonName: "kubernetes-admin", Organizations: masters}, "certificate", "key"),
				Twin:  twin, Try: getPath(certificate, open, byBoth...)},
			{Name: "expired certificate of an administrator", Path: "client certificate",
				Setup: forge(bailey.Forge{What: bailey.ForgeExpired, CommonName: "kubernetes-admin", Organizations: masters}, "certificate", "key"),
				Twin:  twin, Try: getPath(certificate, open, byBoth...)},
			{Name: "ServiceAccount token signed by a strange key", Path: "bearer token",
				Setup: forge(bailey.Forge{What: bailey.ForgeToken, CommonName: "system:serviceaccount:kube-system:default", Issuer: issuer}, "token"),
				Twin:  twin, Try: getPath(token, open, byAuthentication...)},
			{Name: "ServiceAccount token without a signature", Path: "bearer token",
				Setup: forge(bailey.Forge{What: bailey.ForgeUnsignedToken, CommonName: "system:serviceaccount:kube-system:default", Issuer: issuer}, "token"),
				Twin:  twin, Try: getPath(token, open, byAuthentication...)},
			{Name: "bearer token that is none", Path: "bearer token",
				Twin: twin, Try: getPath(bailey.Identity{Token: "bailey-probe-no-token"}, open, byAuthentication...)},
			{Name: "administrator named in a proxy's headers", Path: "front proxy headers",
				Twin: twin, Try: getPath(bailey.Identity{Proxied: true, User: "kubernetes-admin", Groups: masters}, open, byBoth...)},
		}
		for i := range probes {
			if probes[i].Try.Request.As.Proxied {
				continue // the headers are ignored, and a stranger is turned away
			}
			probes[i].Detections = []string{} // of a credential that is not known the audit log names no user
		}
		return probes
	},
}

// tokenIssuer is what the API server was told to write into tokens, or empty
// where that was not seen: a forged token is then made out by the default.
func tokenIssuer(v *bailey.View) string {
	for _, f := range v.Known(bailey.KindAPIServer, "") {
		if c, ok := bailey.As[*bailey.Component](f); ok {
			issuer, _, _ := strings.Cut(c.Flags["service-account-issuer"], ",")
			return issuer
		}
	}
	return ""
}
