package access

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/host"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// life is how long a certificate is valid from the first to the last day.
func life(c *bailey.HostCertificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) }

const day = 24 * time.Hour

// isClient tells a certificate that somebody signs in with from one that an authority or a server has.
func isClient(c *bailey.HostCertificate) bool { return c.Client && !c.CA }

// forEtcd tells a certificate that etcd's own authority signed, as kubeadm, k3s and RKE2 name
// it: it signs nobody in at the API server.
func forEtcd(c *bailey.HostCertificate) bool {
	return c.Issuer == "CN=etcd-ca" || strings.HasPrefix(c.Issuer, "CN=etcd-server-ca@") || strings.HasPrefix(c.Issuer, "CN=etcd-peer-ca@")
}

// ownMasters are the certificates of system:masters that k3s and RKE2 make for themselves in
// server/tls, and renew.
var ownMasters = []string{"client-admin.crt", "client-kube-apiserver.crt", "client-supervisor.crt"}

// keptBy gives the program (k3s, rke2) that made the certificate for itself; empty if none did.
func keptBy(c *bailey.HostCertificate) string {
	folder, file := path.Split(c.Path)
	for _, program := range []string{"k3s", "rke2"} {
		if strings.HasSuffix(folder, "/server/tls/") && slices.Contains(ownMasters, file) && slices.Contains(c.Uses, program+" data folder") {
			return program
		}
	}
	return ""
}

var mastersCertificate = host.CertificateRule(bailey.Rule{
	Name:  "masters-certificate",
	Title: "A certificate of the group system:masters lies on the machine",
	Doc: `Whoever is in system:masters may do anything, whatever RBAC and webhooks say, and a certificate cannot be taken back:
only a new certificate authority for the whole cluster ends it (kubernetes#18982). Keep one for emergencies, offline,
and give daily work an identity that RBAC governs. kubeadm's admin.conf is not one of them since 1.29; its
super-admin.conf is. Those that k3s and RKE2 keep for themselves in server/tls cannot be done without, and are named
only. What etcd's authority signed is let be: the API server does not believe it.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.CIS("5.1.7", "Nobody uses the group system:masters"),
		ref.Kubernetes("concepts/security/rbac-good-practices/", "Role Based Access Control Good Practices"), ref.ATTACK("T1552.001")},
}, func(v *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity) {
	if !isClient(c) || !slices.Contains(c.Organizations, "system:masters") || forEtcd(c) || c.NotAfter.Before(v.At()) {
		return "", bailey.SeverityNone
	}
	if program := keptBy(c); program != "" {
		return fmt.Sprintf("%s is %s's own, in system:masters: keep it, and /etc/rancher/%[2]s/%[2]s.yaml, to root, and give people identities of their own", c.Path, program), bailey.SeverityInfo
	}
	return fmt.Sprintf("%s signs %q in as system:masters until %s", c.Path, c.CommonName, c.NotAfter.Format(time.DateOnly)), bailey.SeverityNone
}, "commonName: admin\norganizations: ['system:masters']\nclient: true\nnotBefore: 2026-01-01T00:00:00Z\nnotAfter: 2100-01-01T00:00:00Z")

var longClientCertificate = host.CertificateRule(bailey.Rule{
	Name:  "long-client-certificate",
	Title: "A person's client certificate is valid for long",
	Doc: `Kubernetes has no way to revoke a client certificate (kubernetes#18982), so its life is what bounds a theft. The rule
takes a year and a day for what kubeadm and the kubelet's rotation give their own components (names that begin with
system:, and those that a component names in a flag), and a day for anybody else's. What etcd's own authority signed
signs nobody in, and is let be.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("3.1.1", "Users do not sign in with client certificates"),
		ref.Kubernetes("concepts/security/hardening-guide/authentication-mechanisms/", "Hardening Guide - Authentication Mechanisms")},
}, func(v *bailey.View, c *bailey.HostCertificate) (string, bailey.Severity) {
	if !isClient(c) || c.Server || forEtcd(c) || c.NotAfter.Before(v.At()) || slices.Contains(c.Organizations, "system:masters") {
		return "", bailey.SeverityNone // the last is another rule's
	}
	most := day + time.Hour
	if strings.HasPrefix(c.CommonName, "system:") || slices.ContainsFunc(c.Uses, func(use string) bool {
		return strings.Contains(use, " --") && !strings.Contains(use, "beside it")
	}) {
		most = 367 * day
	}
	if life(c) <= most {
		return "", bailey.SeverityNone
	}
	return fmt.Sprintf("%s signs %q in for %d days, and cannot be taken back", c.Path, c.CommonName, int(life(c)/day)), bailey.SeverityNone
}, "commonName: kim\nclient: true\nnotBefore: 2026-01-01T00:00:00Z\nnotAfter: 2100-01-01T00:00:00Z")
