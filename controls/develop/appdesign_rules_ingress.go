package develop

import (
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var ingressDocs = ref.Kubernetes("concepts/services-networking/ingress/", "Ingress")

var ingressWithoutTLS = &bailey.Rule{
	Name:  "ingress-without-tls",
	Title: "Ingress serves a host without TLS",
	Doc: `Reads ` + "`spec.tls`" + ` and the hosts of ` + "`spec.rules`" + `. A host is covered if a TLS entry names it, names a
wildcard over it, or names no host at all. An Ingress without any TLS gives one finding; one that
covers some hosts gives one for each of the others.

TLS that a controller takes from elsewhere counts where the Ingress says so: certificates by annotation
(AWS, GKE, Azure), pass-through, Traefik's TLS routers, classes that only serve TLS. So does a solver of
ACME challenges, which must be reached by plain HTTP. A certificate that is set on the controller alone
cannot be seen.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ingressDocs, ref.NIST("SC-8"), ref.ATTACK("T1190")},
	On:       []bailey.Kind{bailey.KindIngress},
	Check:    checkIngressWithoutTLS,
	Fix:      fixIngressWithoutTLS,
	Bad: []string{`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bad}
spec:
  rules:
  - host: shop.example.com
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]
`},
}

func checkIngressWithoutTLS(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	in, ok := bailey.As[*networkingv1.Ingress](f)
	if !ok || tlsElsewhere(in) {
		return nil
	}
	if len(in.Spec.TLS) == 0 {
		if len(in.Spec.Rules) == 0 && in.Spec.DefaultBackend == nil {
			return nil // it publishes nothing
		}
		return []bailey.Finding{{Field: "spec.tls", Message: "no TLS for " + hostsOf(in)}}
	}
	var found []bailey.Finding
	for i := range in.Spec.Rules {
		host := in.Spec.Rules[i].Host
		if host == "" || coversHost(in.Spec.TLS, host) || earlierRule(in.Spec.Rules[:i], host) {
			continue
		}
		found = append(found, bailey.Finding{
			Field:   "spec.rules[" + strconv.Itoa(i) + "].host",
			Named:   "spec.rules[" + host + "].host",
			Message: "no TLS entry covers host " + host,
		})
	}
	return found
}

func fixIngressWithoutTLS(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
	in, ok := bailey.As[*networkingv1.Ingress](f)
	if !ok {
		return nil
	}
	var hosts []any
	for i := range in.Spec.Rules {
		host := in.Spec.Rules[i].Host
		whole := finding.Field == "spec.tls"
		if host != "" && !earlierRule(in.Spec.Rules[:i], host) && (whole || finding.Field == "spec.rules["+strconv.Itoa(i)+"].host") {
			hosts = append(hosts, host)
		}
	}
	secret := in.Name + "-tls"
	entry := map[string]any{"secretName": secret}
	if len(hosts) > 0 {
		entry["hosts"] = hosts
	}
	op := bailey.PatchOp{Op: "add", Path: "/spec/tls", Value: []any{entry}}
	if len(in.Spec.TLS) > 0 {
		op = bailey.PatchOp{Op: "add", Path: "/spec/tls/-", Value: entry}
	}
	return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: []bailey.PatchOp{op},
		Note: "the Secret " + secret + " must hold a certificate for these hosts: make it, or have cert-manager make it"}}
}

// hostsOf names what an Ingress publishes, for a message.
func hostsOf(in *networkingv1.Ingress) string {
	var hosts []string
	for i := range in.Spec.Rules {
		if host := in.Spec.Rules[i].Host; host != "" && !earlierRule(in.Spec.Rules[:i], host) {
			hosts = append(hosts, host)
		}
	}
	switch n := len(hosts); {
	case n == 0:
		return "any host"
	case n > 3:
		return strings.Join(hosts[:3], ", ") + " and " + strconv.Itoa(n-3) + " more"
	}
	return strings.Join(hosts, ", ")
}

func earlierRule(rules []networkingv1.IngressRule, host string) bool {
	for i := range rules {
		if rules[i].Host == host {
			return true
		}
	}
	return false
}

func coversHost(entries []networkingv1.IngressTLS, host string) bool {
	for i := range entries {
		if len(entries[i].Hosts) == 0 {
			return true
		}
		for _, pattern := range entries[i].Hosts {
			if strings.EqualFold(pattern, host) {
				return true
			}
			// A wildcard stands for exactly one label.
			if suffix, wild := strings.CutPrefix(pattern, "*"); wild {
				if dot := strings.IndexByte(host, '.'); dot > 0 && strings.EqualFold(host[dot:], suffix) {
					return true
				}
			}
		}
	}
	return false
}

// tlsElsewhere reports whether the Ingress says that TLS is not set in its
// spec, or must not be.
func tlsElsewhere(in *networkingv1.Ingress) bool {
	if in.Labels["acme.cert-manager.io/http01-solver"] == "true" {
		return true
	}
	if in.Spec.IngressClassName != nil && onlyTLS(*in.Spec.IngressClassName) {
		return true
	}
	for key, value := range in.Annotations {
		switch key {
		case "alb.ingress.kubernetes.io/certificate-arn",
			"ingress.gcp.kubernetes.io/pre-shared-cert",
			"networking.gke.io/managed-certificates", "networking.gke.io/v1beta1-certificates", "networking.gke.io/certmap",
			"appgw.ingress.kubernetes.io/appgw-ssl-certificate",
			"appgw.ingress.kubernetes.io/appgw-ssl-certificate-name":
			return value != ""
		case "nginx.ingress.kubernetes.io/ssl-passthrough",
			"haproxy.org/ssl-passthrough", "haproxy-ingress.github.io/ssl-passthrough", "ingress.kubernetes.io/ssl-passthrough",
			"traefik.ingress.kubernetes.io/router.tls":
			if isTrue(value) {
				return true
			}
		case "alb.ingress.kubernetes.io/listen-ports":
			// The AWS controller finds a certificate by the host name.
			if strings.Contains(value, "HTTPS") {
				return true
			}
		case "kubernetes.io/ingress.class":
			if onlyTLS(value) {
				return true
			}
		}
	}
	return false
}

// onlyTLS reports whether every route of the class is served by TLS.
func onlyTLS(class string) bool {
	return class == "tailscale" || class == "cloudflare-tunnel" || class == "ngrok"
}

func isTrue(value string) bool  { return strings.EqualFold(value, "true") }
func isFalse(value string) bool { return strings.EqualFold(value, "false") }

var ingressPlainHTTP = &bailey.Rule{
	Name:  "ingress-plain-http",
	Title: "Ingress with TLS also serves plain HTTP",
	Doc: `Reads the annotations by which an Ingress that has TLS turns off the redirect of its controller
(ingress-nginx, HAProxy, Azure) or asks for plain HTTP (GKE), or, for the AWS load balancer controller, has an
HTTP listener and asks for no redirect.

A browser that follows an old link or types a name begins with plain HTTP: without a redirect the
session, cookies included, stays in clear text.

A controller whose redirect is off for every Ingress cannot be recognised here.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ingressDocs, ref.NIST("SC-8"),
		ref.Page("ingress-nginx", "TLS/HTTPS: server-side HTTPS enforcement through redirect", "https://kubernetes.github.io/ingress-nginx/user-guide/tls/")},
	On:    []bailey.Kind{bailey.KindIngress},
	Check: checkIngressPlainHTTP,
	Fix:   fixIngressPlainHTTP,
	Bad: []string{`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: bad
  annotations: {nginx.ingress.kubernetes.io/ssl-redirect: "false"}
spec:
  tls: [{hosts: [shop.example.com], secretName: shop-tls}]
  rules:
  - host: shop.example.com
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]
`},
}

// plainHTTP holds, for each controller, the annotation and its value that have
// it serve plain HTTP, the value that does not, and an annotation that forces
// the redirect all the same.
var plainHTTP = [...]struct{ key, bad, good, force string }{
	{"nginx.ingress.kubernetes.io/ssl-redirect", "false", "true", "nginx.ingress.kubernetes.io/force-ssl-redirect"},
	{"ingress.kubernetes.io/ssl-redirect", "false", "true", "ingress.kubernetes.io/force-ssl-redirect"},
	{"haproxy.org/ssl-redirect", "false", "true", ""},
	{"haproxy-ingress.github.io/ssl-redirect", "false", "true", ""},
	{"appgw.ingress.kubernetes.io/ssl-redirect", "false", "true", ""},
	{"kubernetes.io/ingress.allow-http", "true", "false", "networking.gke.io/v1beta1.FrontendConfig"},
}

const (
	albPorts    = "alb.ingress.kubernetes.io/listen-ports"
	albRedirect = "alb.ingress.kubernetes.io/ssl-redirect"
)

func checkIngressPlainHTTP(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	in, ok := bailey.As[*networkingv1.Ingress](f)
	if !ok || len(in.Annotations) == 0 {
		return nil
	}
	if ports := in.Annotations[albPorts]; strings.Contains(ports, `"HTTP"`) && strings.Contains(ports, `"HTTPS"`) &&
		in.Annotations[albRedirect] == "" && in.Annotations["alb.ingress.kubernetes.io/actions.ssl-redirect"] == "" {
		return []bailey.Finding{annotationFinding(albPorts, "the load balancer listens on HTTP beside HTTPS and does not redirect")}
	}
	if len(in.Spec.TLS) == 0 {
		return nil // ingress-without-tls says so
	}
	for _, c := range plainHTTP {
		// A FrontendConfig is named, not switched on: it may redirect.
		if force := in.Annotations[c.force]; strings.EqualFold(in.Annotations[c.key], c.bad) && (force == "" || isFalse(force)) {
			return []bailey.Finding{annotationFinding(c.key, c.key+" is "+c.bad+": plain HTTP is served and not redirected")}
		}
	}
	return nil
}

func fixIngressPlainHTTP(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
	if finding.Field == annotationField(albPorts) {
		return []bailey.Change{annotationChange(f, "add", albRedirect, "443")}
	}
	for _, c := range plainHTTP {
		if finding.Field == annotationField(c.key) {
			return []bailey.Change{annotationChange(f, "replace", c.key, c.good)}
		}
	}
	return nil
}

func annotationField(key string) string { return "metadata.annotations[" + strconv.Quote(key) + "]" }

func annotationFinding(key, message string) bailey.Finding {
	return bailey.Finding{Field: annotationField(key), Message: message}
}

// annotationChange edits one annotation of an object that has some.
func annotationChange(f *bailey.Fact, op, key string, value any) bailey.Change {
	return bailey.Change{Object: f.Ref, APIVersion: f.APIVersion,
		Patch: []bailey.PatchOp{{Op: op, Path: bailey.Pointer("metadata", "annotations", key), Value: value}}}
}

var ingressSnippet = &bailey.Rule{
	Name:  "ingress-snippet",
	Title: "Ingress writes raw configuration into its controller",
	Doc: `Reads the annotations of ingress-nginx and of the NGINX controller that put text into the controller's
configuration: server, configuration, stream, auth and ModSecurity snippets.

The controller reads the TLS Secrets of all namespaces. Whoever may write such an annotation can make it
hand them out (CVE-2021-25742). ingress-nginx ignores snippets unless its operator allows them; that an
Ingress carries one suggests that they are allowed, for every author of an Ingress.`,
	Severity: bailey.SeverityHigh,
	Refs: []bailey.Reference{
		ref.Page("CVE", "CVE-2021-25742: Ingress-nginx custom snippets allow retrieval of the controller's token and Secrets", "https://github.com/kubernetes/ingress-nginx/issues/7837"),
		ingressDocs, ref.ATTACK("T1552.007"),
	},
	On:    []bailey.Kind{bailey.KindIngress},
	Check: checkIngressSnippet,
	Fix:   fixIngressSnippet,
	Bad: []string{`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: bad
  annotations:
    nginx.ingress.kubernetes.io/configuration-snippet: |
      more_set_headers "Request-Id: $req_id";
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
`},
}

var snippetAnnotations = [...]string{
	"nginx.ingress.kubernetes.io/configuration-snippet",
	"nginx.ingress.kubernetes.io/server-snippet",
	"nginx.ingress.kubernetes.io/stream-snippet",
	"nginx.ingress.kubernetes.io/auth-snippet",
	"nginx.ingress.kubernetes.io/modsecurity-snippet",
	"nginx.org/location-snippets",
	"nginx.org/server-snippets",
}

func checkIngressSnippet(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	in, ok := bailey.As[*networkingv1.Ingress](f)
	if !ok || len(in.Annotations) == 0 {
		return nil
	}
	var found []bailey.Finding
	for _, key := range snippetAnnotations {
		if in.Annotations[key] != "" {
			found = append(found, annotationFinding(key, key+" puts text into the controller's configuration"))
		}
	}
	return found
}

func fixIngressSnippet(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
	for _, key := range snippetAnnotations {
		if finding.Field == annotationField(key) {
			change := annotationChange(f, "remove", key, nil)
			change.Note = "say the same with the controller's own annotations, or in its configuration, where only its operator writes"
			return []bailey.Change{change}
		}
	}
	return nil
}
