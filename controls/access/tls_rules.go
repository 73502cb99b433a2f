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

var tlsRules = []*bailey.Rule{kubeletUnverified, etcdPlain, etcdOpen, etcdPeersOpen, etcdOwnCertificates, etcdSharedAuthority,
	readableKey, writableCertificate, expired, expiresSoon, weakKey, weakSignature, kubeletNoRotation,
	kubeletsShownNothing, etcdShownNothing, etcdAskedPlainly, etcdUnverified, ownCertificate, kubeletOwnCertificate, weakCiphers, longCertificate}

var certificates = ref.Kubernetes("setup/best-practices/certificates/", "PKI certificates and requirements")

var kubeletUnverified = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "kubelet-unverified",
	Title: "The API server does not verify kubelets",
	Doc: `Without --kubelet-certificate-authority the API server hands exec, logs and port-forward to whoever answers at a node's
address. kubeadm leaves it unset: kubelets' serving certificates must first be signed by an authority
(serverTLSBootstrap, with their requests approved).`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.CIS("1.2.5", "The API server verifies kubelet certificates"), certificates,
		ref.Kubernetes("concepts/architecture/control-plane-node-communication/", "Communication between Nodes and the Control Plane")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["kubelet-certificate-authority"] != "" {
		return nil
	}
	return settings.One("--kubelet-certificate-authority", " sends commands to whoever answers in a kubelet's place")
}, "flags: {secure-port: '6443'}")

// fromEtcdFlags makes a rule one on etcd's flags and environment. With --config-file etcd ignores
// both, and bailey scan host reads the file in their place: where it was not read nothing is known.
func fromEtcdFlags(r *bailey.Rule) *bailey.Rule { return settings.Reading("config-file", r) }

var etcdPlain = fromEtcdFlags(settings.Rule(bailey.KindEtcd, bailey.Rule{
	Name:     "etcd-plain-text",
	Title:    "etcd serves without TLS",
	Doc:      `What is in etcd is the cluster, every Secret included. The rule looks at the addresses that clients and peers are told.`,
	Severity: bailey.SeverityCritical,
	Refs:     []bailey.Reference{ref.CIS("2.1", "etcd serves TLS"), ref.CIS("2.4", "etcd's peers speak TLS"), ref.ATTACK("T1552")},
}, func(c *bailey.Component) []settings.Fault {
	var all []settings.Fault
	for _, flag := range []string{"listen-client-urls", "listen-peer-urls"} {
		for url := range strings.SplitSeq(c.Flags[flag], ",") {
			address, found := strings.CutPrefix(url, "http://")
			if !found || isLoopback(address) {
				continue
			}
			all = append(all, settings.Fault{Setting: "--" + flag, Message: " listens in plain text at " + address})
			break
		}
	}
	return all
}, "flags: {listen-client-urls: 'http://10.0.0.1:2379', client-cert-auth: 'true'}"))

// isLoopback reports whether an address with a port is of the machine itself.
func isLoopback(address string) bool {
	return strings.HasPrefix(address, "127.0.0.1:") || strings.HasPrefix(address, "localhost:") || strings.HasPrefix(address, "[::1]:")
}

var etcdOpen = fromEtcdFlags(settings.Rule(bailey.KindEtcd, bailey.Rule{
	Name:     "etcd-no-client-certificate",
	Title:    "etcd asks clients for no certificate",
	Doc:      `Whoever reaches etcd's port and need not show a certificate reads and writes every object, round all of Kubernetes.`,
	Severity: bailey.SeverityCritical,
	Refs: []bailey.Reference{ref.CIS("2.2", "etcd asks clients for a certificate"),
		ref.Kubernetes("concepts/security/api-server-bypass-risks/", "Kubernetes API Server Bypass Risks"), ref.ATTACK("T1552")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["client-cert-auth"] == "true" {
		return nil
	}
	return settings.One("--client-cert-auth", " gives every object to whoever reaches it")
}, "flags: {cert-file: /x}"))

var etcdPeersOpen = fromEtcdFlags(settings.Rule(bailey.KindEtcd, bailey.Rule{
	Name:     "etcd-no-peer-certificate",
	Title:    "etcd asks peers for no certificate",
	Doc:      `A peer is sent every write and can send its own. A member that stands alone has no peers, and is let be.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("2.5", "etcd asks peers for a certificate")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["peer-client-cert-auth"] == "true" || !strings.Contains(c.Flags["initial-cluster"], ",") {
		return nil
	}
	return settings.One("--peer-client-cert-auth", " takes anybody for a peer")
}, "flags: {initial-cluster: 'a=https://10.0.0.1:2380,b=https://10.0.0.2:2380'}"))

var etcdOwnCertificates = fromEtcdFlags(settings.Rule(bailey.KindEtcd, bailey.Rule{
	Name:     "etcd-auto-tls",
	Title:    "etcd makes its own certificates up",
	Doc:      `A certificate that a server signed itself at its start proves nothing to clients.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("2.3", "etcd's certificates are not its own"), ref.CIS("2.6", "etcd's peer certificates are not its own")},
}, func(c *bailey.Component) []settings.Fault {
	var all []settings.Fault
	for _, flag := range []string{"auto-tls", "peer-auto-tls"} {
		if c.Flags[flag] == "true" {
			all = append(all, settings.Fault{Setting: "--" + flag, Message: " makes up its own certificates"})
		}
	}
	return all
}, "flags: {auto-tls: 'true'}"))

var etcdSharedAuthority = fromEtcdFlags(&bailey.Rule{
	Name:  "etcd-shared-authority",
	Title: "etcd trusts the certificate authority of the cluster",
	Doc: `Whoever holds any client certificate that etcd's authority signed has the whole store: where that is the authority of
the cluster, every kubelet's is one. The rule compares the file that etcd trusts with the one by which API servers
know their clients.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("2.7", "etcd has a certificate authority of its own"), certificates},
	On:       []bailey.Kind{bailey.KindEtcd},
	Needs:    []bailey.Kind{bailey.KindAPIServer},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		c, ok := bailey.As[*bailey.Component](f)
		if !ok || c.Flags["trusted-ca-file"] == "" {
			return nil
		}
		for _, other := range v.List(bailey.KindAPIServer, "") {
			server, ok := bailey.As[*bailey.Component](other)
			if ok && server.Flags["client-ca-file"] == c.Flags["trusted-ca-file"] {
				return []bailey.Finding{{Field: "--trusted-ca-file", Message: "etcd takes every client certificate of the cluster: it trusts " + c.Flags["trusted-ca-file"]}}
			}
		}
		return nil
	},
	Bad: []string{"apiVersion: bailey.dev/v1\nkind: Etcd\nmetadata: {name: node-1}\nflags: {trusted-ca-file: /ca.crt}\n---\n" +
		"apiVersion: bailey.dev/v1\nkind: KubeAPIServer\nmetadata: {name: node-1}\nflags: {client-ca-file: /ca.crt}\n"},
})

var readableKey = host.FileRule(bailey.Rule{
	Name:  "readable-key",
	Title: "Others than its owner may read a private key",
	Doc: `A key, or a kubeconfig that holds one or a token, is whose who may read it. The CIS Benchmark wants 0600; a group that
is root's adds nobody, and is let be.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("1.1.21", "Keys are readable by their owner alone"), ref.CIS("1.1.13", "Administrators' credentials are readable by root alone"),
		ref.CIS("1.1.15", "The scheduler's credentials are readable by root alone"), ref.CIS("1.1.17", "The controller manager's credentials are readable by root alone"),
		ref.CIS("4.1.5", "The kubelet's credentials are readable by root alone"), ref.ATTACK("T1552.001")},
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	if len(f.Holds) == 0 || f.Type != "file" {
		return "", 0
	}
	what := fmt.Sprintf("%s holds a %s, and its mode %s lets ", f.Path, strings.Join(f.Holds, " and a "), host.Mode(f))
	switch {
	case f.Mode&0o006 != 0:
		return what + "everybody on the machine read it", 0
	case f.Mode&0o060 != 0 && f.GID != 0:
		return what + fmt.Sprintf("the group %d read it", f.GID), bailey.SeverityMedium
	}
	return "", 0
}, "role: private key\ntype: file\nmode: 420\nholds: [private key]")

var writableCertificate = host.FileRule(bailey.Rule{
	Name:  "writable-certificate",
	Title: "Others than root may replace a certificate",
	Doc: `Who replaces the file of an authority decides whom the cluster believes. Folders count as well: whoever may write to
one replaces what is in it.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{ref.CIS("1.1.20", "Only root may write certificates"),
		ref.CIS("4.1.7", "Only root may write the kubelet's authorities")},
}, func(f *bailey.HostFile) (string, bailey.Severity) {
	if f.Role != bailey.RoleCertificate && f.Role != bailey.RolePKI && f.Role != bailey.RoleKey {
		return "", 0
	}
	switch {
	case f.Mode&0o002 != 0:
		return fmt.Sprintf("everybody on the machine may replace %s: its mode is %s", f.Path, host.Mode(f)), bailey.SeverityCritical
	case f.Mode&0o020 != 0 && f.GID != 0:
		return fmt.Sprintf("the group %d may replace %s: its mode is %s", f.GID, f.Path, host.Mode(f)), 0
	}
	return "", 0
}, "role: certificate\ntype: file\nmode: 438")

var expired = host.CertificateRule(bailey.Rule{
	Name:  "expired-certificate",
	Title: "A certificate has expired",
	Doc: `What a component serves or shows has ended: either nobody looks, or clients have stopped to verify. Certificates in the
same file that are newer do not excuse it, but old ones that rotation left beside the current one are let be.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{certificates, ref.NIST("SC-17")},
}, func(v *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity) {
	if !inUse(c) || !c.NotAfter.Before(v.At()) {
		return "", bailey.SeverityNone
	}
	return fmt.Sprintf("%s (%s) ended on %s", c.Path, c.Subject, c.NotAfter.Format(time.DateOnly)), bailey.SeverityNone
}, "subject: CN=x\nuses: [kube-apiserver --tls-cert-file]\nnotBefore: 1999-01-01T00:00:00Z\nnotAfter: 2000-01-01T00:00:00Z")

// inUse tells a certificate that something names from one that lies beside it.
func inUse(c *bailey.HostCertificate) bool {
	return slices.ContainsFunc(c.Uses, func(use string) bool {
		return !strings.HasSuffix(use, "beside it") && use != "kubelet's certificates" && !strings.HasSuffix(use, "data folder")
	})
}

const warning = 30 * day

var expiresSoon = host.CertificateRule(bailey.Rule{
	Name:  "certificate-ends-soon",
	Title: "A certificate ends soon",
	Doc: `Within 30 days, or a tenth of its life where that is less, the certificate ends, and what uses it stops. One that
rotates by itself is renewed before.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{certificates, ref.NIST("SC-17"), ref.CNCF(197, "Keys are rotated often")},
}, func(v *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity) {
	left := c.NotAfter.Sub(v.At())
	if !inUse(c) || left < 0 || left > min(warning, life(c)/10) {
		return "", bailey.SeverityNone
	}
	return fmt.Sprintf("%s (%s) ends on %s", c.Path, c.Subject, c.NotAfter.Format(time.DateOnly)), bailey.SeverityNone
}, "subject: CN=x\nuses: [kube-apiserver --tls-cert-file]\nnotBefore: 2025-12-01T00:00:00Z\nnotAfter: 2026-12-01T00:00:00Z")

var weakKey = host.CertificateRule(bailey.Rule{
	Name:     "weak-key",
	Title:    "A certificate's key is weak",
	Doc:      `RSA of under 2,048 bits and curves of under 224 are within reach (NIST SP 800-131A); DSA is not used any more.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.NIST("SC-12"), ref.NIST("SC-13")},
}, func(_ *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity) {
	if c.KeyType == "RSA" && c.KeyBits < 2048 || c.KeyType == "ECDSA" && c.KeyBits < 224 || c.KeyType == "DSA" {
		return fmt.Sprintf("%s (%s) has a %s key of %d bits", c.Path, c.Subject, c.KeyType, c.KeyBits), bailey.SeverityNone
	}
	return "", bailey.SeverityNone
}, "subject: CN=x\nkeyType: RSA\nkeyBits: 1024")

var weakSignature = host.CertificateRule(bailey.Rule{
	Name:  "weak-signature",
	Title: "A certificate is signed with a broken hash",
	Doc: `MD5 and SHA-1 can be made to collide: somebody else's certificate may carry the same
signature. A root signs itself, which nobody checks.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.NIST("SC-13"), ref.NIST("SC-17")},
}, func(_ *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity) {
	if c.Subject == c.Issuer || !strings.HasPrefix(c.Signature, "SHA1") && !strings.Contains(c.Signature, "SHA1") && !strings.Contains(c.Signature, "MD5") {
		return "", bailey.SeverityNone
	}
	return fmt.Sprintf("%s (%s) is signed with %s", c.Path, c.Subject, c.Signature), bailey.SeverityNone
}, "subject: CN=x\nissuer: CN=ca\nsignature: SHA1-RSA")

var kubeletNoRotation = settings.Rule(bailey.KindKubelet, bailey.Rule{
	Name:  "kubelet-no-rotation",
	Title: "The kubelet does not renew its certificate",
	Doc: `With rotateCertificates the kubelet asks for a new client certificate before its own ends. Without it a node drops out
on the day, or somebody gives it one that lasts for years. k3s and RKE2 renew their kubelet's themselves when they
start, and theirs is let be.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("4.2.10", "Kubelets renew their certificates"),
		ref.Kubernetes("tasks/tls/certificate-rotation/", "Configure Certificate Rotation for the Kubelet")},
}, func(c *bailey.Component) []settings.Fault {
	if ownAuthority(c) {
		return nil
	}
	if kubeletValue(c, "rotate-certificates", "rotateCertificates", "false", "false") == "true" {
		return nil
	}
	return settings.One("rotateCertificates", " keeps its client certificate until it ends")
}, "config: {rotateCertificates: false}")
