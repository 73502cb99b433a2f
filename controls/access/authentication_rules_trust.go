package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var sharedTokenKey = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "tokens-without-key",
	Title: "Tokens are verified with the API server's TLS key",
	Doc: `Without --service-account-key-file, and without a signer outside (--service-account-signing-endpoint), tokens that the
API server's own TLS key signed are accepted: whoever serves TLS in its name, a load balancer for one, can make tokens.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("1.2.22", "Tokens have a key of their own"), ref.NIST("SC-12")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["service-account-key-file"] != "" || c.Flags["service-account-signing-endpoint"] != "" {
		return nil
	}
	return settings.One("--service-account-key-file", " accepts tokens that its TLS key signed")
}, "flags: {secure-port: '6443'}")

var openProxyHeaders = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "proxy-headers-open",
	Title: "Too many may say in whose name they call",
	Doc: `A client with a certificate of --requestheader-client-ca-file names the user it calls for, and is believed.
--requestheader-allowed-names says which certificates of that authority may; empty, all of them may. Where the
authority is also that of ordinary clients, every one of them is then administrator.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.Kubernetes("reference/access-authn-authz/authentication/", "Authenticating"),
		ref.Kubernetes("concepts/security/hardening-guide/authentication-mechanisms/", "Hardening Guide - Authentication Mechanisms"), ref.ATTACK("T1078")},
}, func(c *bailey.Component) []settings.Fault {
	authority := c.Flags["requestheader-client-ca-file"]
	if authority == "" || c.Flags["requestheader-allowed-names"] != "" {
		return nil
	}
	if authority == c.Flags["client-ca-file"] {
		return []settings.Fault{{Setting: "--requestheader-client-ca-file", Severity: bailey.SeverityCritical,
			Message: " lets every client with a certificate call in anybody's name"}}
	}
	return settings.One("--requestheader-allowed-names", " lets every certificate of "+authority+" call in anybody's name")
}, "flags: {requestheader-client-ca-file: /ca.crt}", "flags: {requestheader-client-ca-file: /ca.crt, client-ca-file: /ca.crt}")

var noProvider = settings.Reading("authentication-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "no-identity-provider",
	Title: "People cannot sign in through an identity provider",
	Doc: `Without OpenID Connect, a token webhook or an authenticating proxy people are left with client certificates and
tokens, which nobody can take back and which ask for no second factor. A proxy before the API server that impersonates
(Teleport, Pinniped, Rancher) shows in no flag.`,
	Severity: bailey.SeverityInfo,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/security/hardening-guide/authentication-mechanisms/", "Hardening Guide - Authentication Mechanisms"),
		ref.NIST("IA-2")},
}, func(c *bailey.Component) []settings.Fault {
	for _, flag := range []string{"oidc-issuer-url", "authentication-token-webhook-config-file"} {
		if c.Flags[flag] != "" {
			return nil
		}
	}
	if issuers, _ := settings.Field(c.Files["authentication-config"], "jwt").([]any); len(issuers) > 0 {
		return nil
	}
	return settings.One("--authentication-config", " lets people sign in with certificates and static credentials only")
}, "flags: {secure-port: '6443'}"))

// joiningRoles are the roles that nodes need to join, as the API server, kubeadm and EKS make them.
var joiningRoles = []string{"eks:node-bootstrapper", // asks for the node's serving certificate
	"system:node-bootstrapper", "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
	"system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "kubeadm:get-nodes", "kubeadm:kubelet-config", "kubeadm:nodes-kubeadm-config"}

var bootstrappersBound = &bailey.Rule{
	Name:  "bootstrappers-bound",
	Title: "Binding gives bootstrap tokens more than joining",
	Doc: `Reads bindings of the group system:bootstrappers, and those under it, to roles that joining a node does not take.
Bootstrap tokens are short, lie in scripts and images of nodes, and are for nobody's daily use.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.CIS("3.1.3", "People do not use bootstrap tokens"),
		ref.Kubernetes("reference/access-authn-authz/bootstrap-tokens/", "Authenticating with Bootstrap Tokens"), ref.ATTACK("T1078")},
	On: onBindings,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		role, subjects := bindingOf(f)
		if slices.ContainsFunc(joiningRoles, func(name string) bool { return role.Name == name || strings.HasPrefix(role.Name, name+"-1.") }) {
			return nil
		}
		var found []bailey.Finding
		for i := range subjects {
			s := &subjects[i]
			if s.Kind == rbacv1.GroupKind && (s.Name == "system:bootstrappers" || strings.HasPrefix(s.Name, "system:bootstrappers:")) {
				found = append(found, subjectFinding(i, s, "gives "+role.Kind+" "+role.Name+" to every bootstrap token of the group "+s.Name))
			}
		}
		return found
	},
	Fix: fixSubject("check that nodes still join"),
	Bad: []string{`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bad}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]
`},
}
