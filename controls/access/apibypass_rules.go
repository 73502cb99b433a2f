package access

import (
	"fmt"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/host"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var apiBypassRules = []*bailey.Rule{kubeletAnonymous, kubeletAllowsAll, kubeletReadOnlyPort, openSocket, kubeletNoAuthority}

// A kubelet that is given no configuration file starts from older defaults: strangers are
// answered, everything is allowed, and the read-only port is open (kubelet's
// applyLegacyDefaults). The files of --config-dir alone are laid over the older defaults too.
func kubeletValue(c *bailey.Component, flag, field, unset, legacy string) string {
	if c.Config == nil || c.Flags["config"] == "" && c.Flags["config-dir"] != "" {
		unset = legacy
	}
	return settings.Effective(c, flag, field, unset)
}

var kubeletAnonymous = settings.Rule(bailey.KindKubelet, bailey.Rule{
	Name:  "kubelet-anonymous",
	Title: "The kubelet answers requests without a credential",
	Doc: `The kubelet's own API runs commands in pods and shows their logs, and no audit log of the API server records it. With
authentication.anonymous.enabled a stranger is asked for no credential; with the authorizer AlwaysAllow nothing else
stops one. A kubelet without a configuration file starts so unless flags say otherwise.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("4.2.1", "Kubelets answer no anonymous request"),
		ref.Kubernetes("reference/access-authn-authz/kubelet-authn-authz/", "Kubelet authentication/authorization"), ref.ATTACK("T1609")},
}, func(c *bailey.Component) []settings.Fault {
	if kubeletValue(c, "anonymous-auth", "authentication.anonymous.enabled", "false", "true") != "true" {
		return nil
	}
	fault := settings.Fault{Setting: "authentication.anonymous.enabled", Message: " answers strangers"}
	if kubeletValue(c, "authorization-mode", "authorization.mode", "Webhook", "AlwaysAllow") == "AlwaysAllow" {
		fault.Severity, fault.Message = bailey.SeverityCritical, " answers strangers and lets them run commands in every pod of its node"
	}
	return []settings.Fault{fault}
}, "config: {authentication: {anonymous: {enabled: true}}, authorization: {mode: Webhook}}", "flags: {kubeconfig: /x}")

var kubeletAllowsAll = settings.Rule(bailey.KindKubelet, bailey.Rule{
	Name:  "kubelet-always-allow",
	Title: "The kubelet lets everybody with a credential do everything",
	Doc: `With authorization.mode AlwaysAllow whoever is known to the cluster, every pod's ServiceAccount included where tokens
are accepted, may run commands in every pod of the node. Webhook asks the API server.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("4.2.2", "The kubelet's authorizer is not AlwaysAllow"),
		ref.Kubernetes("reference/access-authn-authz/kubelet-authn-authz/", "Kubelet authentication/authorization"), ref.ATTACK("T1609")},
}, func(c *bailey.Component) []settings.Fault {
	if kubeletValue(c, "authorization-mode", "authorization.mode", "Webhook", "AlwaysAllow") != "AlwaysAllow" {
		return nil
	}
	return settings.One("authorization.mode", " allows everything to whoever it knows")
}, "config: {authorization: {mode: AlwaysAllow}}")

var kubeletReadOnlyPort = settings.Rule(bailey.KindKubelet, bailey.Rule{
	Name:  "kubelet-read-only-port",
	Title: "The kubelet's read-only port is open",
	Doc: `The port, 10255 by custom, shows every pod of the node with its environment to whoever reaches it, in plain text and
without a credential.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("4.2.4", "The kubelet's read-only port is closed"),
		ref.Kubernetes("concepts/security/api-server-bypass-risks/", "Kubernetes API Server Bypass Risks"), ref.ATTACK("T1613")},
}, func(c *bailey.Component) []settings.Fault {
	port, ok := settings.Number(kubeletValue(c, "read-only-port", "readOnlyPort", "0", "10255"))
	if !ok || port == 0 {
		return nil
	}
	return settings.One("readOnlyPort", fmt.Sprintf(" shows its pods to strangers at port %d", port))
}, "config: {readOnlyPort: 10255}")

var openSocket = host.FileRule(bailey.Rule{
	Name:  "open-runtime-socket",
	Title: "Others than root may talk to the container runtime",
	Doc: `Whoever may write to the runtime's socket starts a privileged container and has the node, and neither admission nor
audit sees it. A group that may (docker's own) is as good as root. The rule looks at the modes of the sockets that
the kubelet and the runtime name.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/security/api-server-bypass-risks/", "Kubernetes API Server Bypass Risks"),
		ref.ATTACK("T1611")},
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	switch {
	case f.Type != "socket" || f.Role != bailey.RoleSocket:
		return "", 0
	case f.Mode&0o002 != 0:
		return "everybody on the machine may command the container runtime through " + f.Path, bailey.SeverityCritical
	case f.Mode&0o020 != 0 && f.GID != 0:
		return fmt.Sprintf("the group %d may command the container runtime through %s, which is to be root", f.GID, f.Path), bailey.SeverityMedium
	}
	return "", 0
}, "role: socket\ntype: socket\nmode: 438")

var kubeletNoAuthority = settings.Rule(bailey.KindKubelet, bailey.Rule{
	Name:  "kubelet-no-client-authority",
	Title: "The kubelet knows nobody by a certificate",
	Doc: `Without authentication.x509.clientCAFile the API server's certificate means nothing to the kubelet: it is served as a
stranger, or by a token that kubelets must ask the API server about.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("4.2.3", "Kubelets know clients' authority"),
		ref.Kubernetes("reference/access-authn-authz/kubelet-authn-authz/", "Kubelet authentication/authorization")},
}, func(c *bailey.Component) []settings.Fault {
	if settings.Effective(c, "client-ca-file", "authentication.x509.clientCAFile", "") != "" {
		return nil
	}
	return settings.One("authentication.x509.clientCAFile", " knows no client by a certificate")
}, "config: {authentication: {anonymous: {enabled: false}}}")
