package access

import (
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var apiServerRules = []*bailey.Rule{profiled, noNodeRestriction, pluginsOff, alwaysAdmit, insecurePort, logsServed, longRequests}

var profiled = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "profiling",
	Title: "The API server offers profiles of itself",
	Doc: `/debug/pprof shows what the program works on and can be made to cost it time. Whoever may get it needs a right to the
path, so this is a small matter; it is on unless --profiling=false.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("1.2.15", "The API server offers no profiling")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["profiling"] == "false" {
		return nil
	}
	return settings.One("--profiling", " offers profiles of itself at /debug/pprof")
}, "flags: {secure-port: '6443'}")

var noNodeRestriction = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "no-node-restriction",
	Title: "Kubelets may change other nodes and pods",
	Doc: `The admission plugin NodeRestriction, which is off unless named, keeps a kubelet to its own Node object and the pods
bound to it, and away from labels under node-restriction.kubernetes.io. Without it one stolen node labels itself as the
one where secrets go.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("1.2.14", "NodeRestriction is on"),
		ref.Kubernetes("reference/access-authn-authz/admission-controllers/", "Admission Control in Kubernetes"), ref.ATTACK("T1078")},
}, func(c *bailey.Component) []settings.Fault {
	if slices.Contains(settings.List(c, "enable-admission-plugins"), "NodeRestriction") && !slices.Contains(settings.List(c, "disable-admission-plugins"), "NodeRestriction") {
		return nil
	}
	return settings.One("--enable-admission-plugins", " does not name NodeRestriction: a kubelet may change other nodes")
}, "flags: {enable-admission-plugins: EventRateLimit}")

// neededPlugins are on by default, and other controls rest on them.
var neededPlugins = []struct {
	name, why string
	severity  bailey.Severity
}{
	{"ServiceAccount", "pods run without an identity of their own, and may use any ServiceAccount", bailey.SeverityHigh},
	{"NamespaceLifecycle", "objects may be made in namespaces that are being deleted or are not there", bailey.SeverityMedium},
	{"PodSecurity", "the namespaces' Pod Security labels mean nothing", bailey.SeverityHigh},
	{"LimitRanger", "limit ranges mean nothing", bailey.SeverityMedium},
	{"ResourceQuota", "quotas mean nothing", bailey.SeverityMedium},
	{"ValidatingAdmissionPolicy", "admission policies mean nothing", bailey.SeverityHigh},
	{"MutatingAdmissionPolicy", "mutating policies change nothing", bailey.SeverityMedium},
	{"ValidatingAdmissionWebhook", "validating webhooks are not asked", bailey.SeverityHigh},
	{"MutatingAdmissionWebhook", "mutating webhooks are not asked", bailey.SeverityMedium},
	{"CertificateApproval", "who may write to approvals approves for every signer", bailey.SeverityHigh},
	{"CertificateSigning", "who may write to a request's status signs for every signer", bailey.SeverityHigh},
	{"CertificateSubjectRestriction", "a signed request can make a member of system:masters", bailey.SeverityHigh},
}

var pluginsOff = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "plugin-disabled",
	Title: "An admission plugin that others rest on is off",
	Doc: `--disable-admission-plugins turns off what is on by default. The rule knows those that guard something: ServiceAccount,
NamespaceLifecycle, PodSecurity, LimitRanger, ResourceQuota, those that ask policies and webhooks, and the three that
guard certificates. Where another program does the same the finding can be waived.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("1.2.12", "ServiceAccount is on"), ref.CIS("1.2.13", "NamespaceLifecycle is on"),
		ref.Kubernetes("reference/access-authn-authz/admission-controllers/", "Admission Control in Kubernetes")},
}, func(c *bailey.Component) []settings.Fault {
	var all []settings.Fault
	off := settings.List(c, "disable-admission-plugins")
	for _, p := range neededPlugins {
		if slices.Contains(off, p.name) {
			all = append(all, settings.Fault{Setting: "--disable-admission-plugins", Message: " runs without " + p.name + ": " + p.why, Severity: p.severity})
		}
	}
	return all
}, "flags: {disable-admission-plugins: 'PodSecurity,DefaultStorageClass'}")

var alwaysAdmit = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:     "always-admit",
	Title:    "The API server has the admission plugin AlwaysAdmit",
	Doc:      `AlwaysAdmit does nothing and is deprecated. Where it is named somebody meant to turn admission off.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("1.2.10", "AlwaysAdmit is off")},
}, func(c *bailey.Component) []settings.Fault {
	if slices.Contains(settings.List(c, "enable-admission-plugins"), "AlwaysAdmit") {
		return settings.One("--enable-admission-plugins", " names AlwaysAdmit")
	}
	return nil
}, "flags: {enable-admission-plugins: AlwaysAdmit}")

var insecurePort = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "insecure-port",
	Title: "The API server serves a port without TLS and without asking who it is",
	Doc: `Before 1.24 --insecure-port, 8080 unless it was set to 0 before 1.20, made every caller an administrator. Newer API
servers do not start with it set to anything but 0.`,
	Severity: bailey.SeverityCritical,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/security/controlling-access/", "Controlling Access to the Kubernetes API"), ref.ATTACK("T1133")},
}, func(c *bailey.Component) []settings.Fault {
	if port := c.Flags["insecure-port"]; port != "" && port != "0" {
		return settings.One("--insecure-port", " serves everything to everybody at port "+port)
	}
	return nil
}, "flags: {insecure-port: '8080'}")
