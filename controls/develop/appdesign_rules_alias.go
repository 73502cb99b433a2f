package develop

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var serviceAliasAround = &bailey.Rule{
	Name:  "service-alias-around",
	Title: "Service is an alias of an address, or of another namespace's Service",
	Doc: `Reads ` + "`spec.externalName`" + ` of Services of type ExternalName: addresses, and names below svc and svc.cluster.local of
another namespace than the Service's own.

The cluster's DNS resolves no alias of an address; an ingress controller or proxy may connect to it all the same, to
any address that it reaches. One that follows an alias into another namespace publishes a Service that its owner may
have meant to keep inside (Contour and Traefik follow none unless they are told to). Loopback and metadata addresses are
service-alias-inward's. In a cluster with another domain than cluster.local only names that end in .svc are found.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/services-networking/service/#externalname", "Service: type ExternalName"),
		ref.Page("CVE", "CVE-2021-32783: ExternalName Services reach what they should not in Contour", "https://github.com/projectcontour/contour/security/advisories/GHSA-5ph6-qq5x-7jwc"),
		ref.NIST("AC-4"), ref.NIST("SC-7")},
	On: onServices,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		s, ok := bailey.As[*corev1.Service](f)
		if !ok || s.Spec.Type != corev1.ServiceTypeExternalName || pointsInward(s.Spec.ExternalName) {
			return nil
		}
		name := strings.ToLower(strings.TrimSuffix(s.Spec.ExternalName, "."))
		if _, err := netip.ParseAddr(name); err == nil {
			return []bailey.Finding{{Field: "spec.externalName", Message: "an alias of the address " + name}}
		}
		if namespace := namespaceIn(name); namespace != "" && namespace != s.Namespace {
			return []bailey.Finding{{Field: "spec.externalName", Message: "an alias of " + name + ", of namespace " + namespace}}
		}
		return nil
	},
	Bad: []string{`apiVersion: v1
kind: Service
metadata: {name: bad, namespace: shop}
spec: {type: ExternalName, externalName: 192.0.2.7}
`, `apiVersion: v1
kind: Service
metadata: {name: bad-neighbour, namespace: shop}
spec: {type: ExternalName, externalName: db.bank.svc.cluster.local}
`},
}

// namespaceIn is the namespace of a cluster's own name ([pod.]service.namespace.svc), or "".
func namespaceIn(name string) string {
	base, found := strings.CutSuffix(strings.TrimSuffix(name, ".cluster.local"), ".svc")
	parts := strings.Split(base, ".")
	if !found || len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-1]
}
