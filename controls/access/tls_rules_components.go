package access

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/host"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var kubeletsShownNothing = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "kubelet-no-client-certificate",
	Title: "The API server shows kubelets no certificate",
	Doc: `Without --kubelet-client-certificate the API server is a stranger to kubelets: exec, logs and port-forward work only
where kubelets answer strangers, so either they do or somebody is about to let them.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("1.2.4", "The API server shows kubelets a certificate"), certificates},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["kubelet-client-certificate"] != "" {
		return nil
	}
	return settings.One("--kubelet-client-certificate", " is a stranger to kubelets: it shows them no certificate")
}, "flags: {secure-port: '6443'}")

// overTLS gives the first address of etcd that the API server reaches with TLS; "" if none is.
func overTLS(c *bailey.Component) string {
	for _, url := range settings.List(c, "etcd-servers") {
		if strings.HasPrefix(url, "https://") {
			return url
		}
	}
	return ""
}

var etcdShownNothing = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "etcd-shown-no-certificate",
	Title: "The API server shows etcd no certificate",
	Doc: `An API server that reaches etcd without --etcd-certfile is let in as anybody would be: etcd asks nobody who it is. An
etcd that is reached without TLS is for etcd-asked-in-plain-text and the rules on etcd.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.23", "The API server shows etcd a certificate"), certificates, ref.ATTACK("T1552")},
}, func(c *bailey.Component) []settings.Fault {
	if url := overTLS(c); url != "" && c.Flags["etcd-certfile"] == "" {
		return settings.One("--etcd-certfile", " shows "+url+" no certificate, and is let in all the same")
	}
	return nil
}, "flags: {etcd-servers: 'https://127.0.0.1:2379'}")

var etcdAskedPlainly = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "etcd-asked-in-plain-text",
	Title: "The API server speaks to etcd without TLS",
	Doc: `Reads --etcd-servers and --etcd-servers-overrides for addresses with http. Whoever is on the way reads and changes
every object, Secrets included, and an etcd that is reached so asks nobody who it is. Addresses of the machine itself
are no finding: the rules on etcd say who else may reach it.`,
	Severity: bailey.SeverityCritical,
	Refs:     []bailey.Reference{ref.CIS("2.1", "etcd serves TLS"), certificates, ref.ATTACK("T1552")},
}, func(c *bailey.Component) []settings.Fault {
	for _, flag := range []string{"etcd-servers", "etcd-servers-overrides"} {
		for _, entry := range settings.List(c, flag) {
			if _, servers, found := strings.Cut(entry, "#"); found {
				entry = servers // an override: group/resource#server;server
			}
			for url := range strings.SplitSeq(entry, ";") {
				if address, found := strings.CutPrefix(url, "http://"); found && !isLoopback(address) {
					return settings.One("--"+flag, " sends and reads every object in plain text at "+address)
				}
			}
		}
	}
	return nil
}, "flags: {etcd-servers: 'http://10.0.0.1:2379'}")

var etcdUnverified = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "etcd-unverified",
	Title: "The API server knows etcd by public authorities",
	Doc: `Without --etcd-cafile any certificate that an authority of the machine's own list signed passes for etcd's, for the
name that was asked for.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.CIS("1.2.26", "The API server verifies etcd"), certificates},
}, func(c *bailey.Component) []settings.Fault {
	if url := overTLS(c); url != "" && c.Flags["etcd-cafile"] == "" {
		return settings.One("--etcd-cafile", " takes every public authority's word for "+url)
	}
	return nil
}, "flags: {etcd-servers: 'https://127.0.0.1:2379'}")

var ownCertificate = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "self-made-certificate",
	Title: "The API server serves a certificate that it made up",
	Doc: `Without --tls-cert-file and --tls-sni-cert-key the API server signs a certificate itself at its first start. No client
can verify it, so clients learn to connect without verifying.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("1.2.24", "The API server serves a certificate that was given to it"), certificates},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["tls-cert-file"] != "" || c.Flags["tls-sni-cert-key"] != "" {
		return nil
	}
	return settings.One("--tls-cert-file", " serves a certificate that it signed itself")
}, "flags: {secure-port: '6443'}")

// ownAuthority tells a kubelet of k3s or RKE2, which give it certificates of the cluster's own
// authority when they start, by flags that its configuration need not show.
func ownAuthority(c *bailey.Component) bool {
	return c.Within != "" || strings.Contains(c.Version, "+k3s") || strings.Contains(c.Version, "+rke2")
}

var kubeletOwnCertificate = settings.Rule(bailey.KindKubelet, bailey.Rule{
	Name:  "kubelet-self-made-certificate",
	Title: "The kubelet serves a certificate that it made up",
	Doc: `Without tlsCertFile and serverTLSBootstrap a kubelet signs its serving certificate itself, and the API server cannot
verify it: commands into pods go to whoever answers at the node's address. kubeadm leaves it so. With serverTLSBootstrap
somebody must approve the kubelets' requests. k3s and RKE2 give their kubelet a certificate of the cluster's authority,
and theirs is let be.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("4.2.9", "Kubelets serve a certificate that was given to them"),
		ref.Kubernetes("reference/access-authn-authz/kubelet-tls-bootstrapping/", "TLS bootstrapping")},
}, func(c *bailey.Component) []settings.Fault {
	if ownAuthority(c) || settings.Effective(c, "tls-cert-file", "tlsCertFile", "") != "" || settings.Effective(c, "rotate-server-certificates", "serverTLSBootstrap", "") == "true" {
		return nil
	}
	return settings.One("serverTLSBootstrap", " serves a certificate that it signed itself")
}, "config: {serverTLSBootstrap: false}")

// weakness says what is weak in a cipher suite, by its name in the TLS registry; "" for a
// strong one.
func weakness(suite string) (string, bailey.Severity) {
	switch {
	case strings.Contains(suite, "_RC4_"), strings.Contains(suite, "_3DES_"), strings.Contains(suite, "_NULL_"), strings.Contains(suite, "_EXPORT"):
		return "its cipher is broken", bailey.SeverityMedium
	case strings.HasPrefix(suite, "TLS_RSA_"):
		return "who learns the server's key later can read what was recorded", bailey.SeverityLow
	case strings.Contains(suite, "_CBC_"):
		return "its padding can be asked for what it hides", bailey.SeverityLow
	}
	return "", 0
}

// listed gives the values of a flag that is a list, else of the field in its place.
func listed(c *bailey.Component, flag, field string) []string {
	if values := settings.List(c, flag); values != nil {
		return values
	}
	values, _ := settings.Field(c.Config, field).([]any)
	var all []string
	for _, value := range values {
		all = append(all, settings.Text(value))
	}
	return all
}

var weakCiphers = fromEtcdFlags(settings.RuleOn([]bailey.Kind{bailey.KindAPIServer, bailey.KindKubelet, bailey.KindEtcd, bailey.KindControllerManager, bailey.KindScheduler}, bailey.Rule{
	Name:  "weak-cipher",
	Title: "A component offers weak TLS",
	Doc: `Reads the lists of cipher suites (tls-cipher-suites, tlsCipherSuites, etcd's cipher-suites) and the least version of
TLS. What is not set is Go's own choice, which is sound. Weak are broken ciphers (RC4, 3DES), key exchange with RSA
alone, and CBC; and TLS 1.0 and 1.1. A guard writes the settings, and experiments try what is served.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("1.2.29", "The API server uses strong ciphers only"), ref.CIS("4.2.12", "Kubelets use strong ciphers only"),
		ref.NIST("SC-8"), ref.NIST("SC-13")},
}, func(c *bailey.Component) []settings.Fault {
	var all []settings.Fault
	for _, suite := range append(listed(c, "tls-cipher-suites", "tlsCipherSuites"), settings.List(c, "cipher-suites")...) {
		if why, severity := weakness(suite); why != "" {
			all = append(all, settings.Fault{Setting: "tls-cipher-suites[" + suite + "]", Message: " offers " + suite + ": " + why, Severity: severity})
		}
	}
	if least := settings.Effective(c, "tls-min-version", "tlsMinVersion", ""); slices.Contains([]string{"VersionTLS10", "VersionTLS11"}, least) {
		all = append(all, settings.Fault{Setting: "tls-min-version", Message: " speaks TLS older than 1.2", Severity: bailey.SeverityMedium})
	}
	return all
}, "flags: {tls-cipher-suites: 'TLS_RSA_WITH_3DES_EDE_CBC_SHA'}", "flags: {tls-min-version: VersionTLS10}"))

// longest is how long a certificate that is no root's may be valid: three years, and two days
// for leap years.
const longest = (3*365 + 2) * day

var longCertificate = host.CertificateRule(bailey.Rule{
	Name:  "long-certificate",
	Title: "A certificate is valid for more than three years",
	Doc: `A certificate cannot be taken back in Kubernetes: who copied its key has it until it ends. The security checklist allows
three years to leaf and intermediate certificates; a root may live longer.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/security/security-checklist/", "Security Checklist"), ref.CNCF(198, "Keys live for a short time"), ref.NIST("SC-12")},
}, func(_ *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity) {
	if !inUse(c) || c.CA && c.Subject == c.Issuer || life(c) <= longest {
		return "", bailey.SeverityNone
	}
	return fmt.Sprintf("%s (%s) is valid for %d years, until %s", c.Path, c.Subject, int(life(c)/(365*day)), c.NotAfter.Format(time.DateOnly)), bailey.SeverityNone
}, "subject: CN=x\nissuer: CN=ca\nuses: [kube-apiserver --tls-cert-file]\nnotBefore: 2020-01-01T00:00:00Z\nnotAfter: 2030-01-01T00:00:00Z")
