package posture

import (
	"cmp"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
)

// noted is what an annotation of an Ingress asks of its controller.
type noted struct {
	key string
	// unless are the values that ask for nothing, in lower case.
	unless []string
}

// What annotations hold attackers back by. Controllers read their own alone; an Ingress
// of another controller that bears one is told of all the same.
var (
	asksWho = []noted{
		{"nginx.ingress.kubernetes.io/auth-url", nil}, {"nginx.ingress.kubernetes.io/auth-type", nil},
		{"nginx.ingress.kubernetes.io/auth-tls-secret", nil}, {"nginx.ingress.kubernetes.io/enable-global-auth", []string{"false"}},
		{"nginx.org/jwt-key", nil}, {"nginx.org/basic-auth-secret", nil},
		{"haproxy.org/auth-type", nil}, {"haproxy-ingress.github.io/auth-url", nil}, {"haproxy-ingress.github.io/auth-secret", nil},
		{"haproxy-ingress.github.io/auth-tls-secret", nil}, {"haproxy-ingress.github.io/oauth", nil},
		{"alb.ingress.kubernetes.io/auth-type", []string{"none"}}, {"alb.ingress.kubernetes.io/mutual-authentication", nil},
	}
	letsInOnly = []noted{
		{"nginx.ingress.kubernetes.io/whitelist-source-range", []string{"0.0.0.0/0"}}, {"nginx.ingress.kubernetes.io/allowlist-source-range", []string{"0.0.0.0/0"}},
		{"haproxy.org/allow-list", nil}, {"haproxy.org/whitelist", nil}, {"haproxy-ingress.github.io/allowlist-source-range", nil},
		{"alb.ingress.kubernetes.io/inbound-cidrs", []string{"0.0.0.0/0", "0.0.0.0/0,::/0", "0.0.0.0/0, ::/0"}},
	}
	redirects = []noted{
		{"nginx.ingress.kubernetes.io/force-ssl-redirect", []string{"false"}}, {"ingress.kubernetes.io/force-ssl-redirect", []string{"false"}},
		{"alb.ingress.kubernetes.io/ssl-redirect", nil},
	}
	// redirectsOff turn off what controllers do by themselves for a host with TLS.
	redirectsOff = []string{"nginx.ingress.kubernetes.io/ssl-redirect", "ingress.kubernetes.io/ssl-redirect", "haproxy.org/ssl-redirect", "haproxy-ingress.github.io/ssl-redirect"}
	snippets     = []string{"nginx.ingress.kubernetes.io/configuration-snippet", "nginx.ingress.kubernetes.io/server-snippet", "nginx.ingress.kubernetes.io/stream-snippet",
		"nginx.ingress.kubernetes.io/auth-snippet", "nginx.ingress.kubernetes.io/modsecurity-snippet", "nginx.org/location-snippets", "nginx.org/server-snippets"}
)

const (
	albScheme      = "alb.ingress.kubernetes.io/scheme"
	internalClass  = "gce-internal"
	classByComment = "kubernetes.io/ingress.class"
)

// annotated reads what the annotations of an Ingress open, and hold back.
func annotated(f *bailey.Fact, o *networkingv1.Ingress) []trait {
	var all []trait
	add := func(t trait) {
		t.object, t.source = f.Ref, f.Source.At("metadata.annotations")
		all = append(all, t)
	}
	hold := func(list []noted, does, otherwise string, gain bailey.Severity) {
		for _, n := range list {
			value, has := n.of(o)
			if !has {
				continue
			}
			add(trait{class: bailey.EffectProtection, key: n.key, value: value, text: does + " (" + n.key + ")", gain: gain,
				changed: func(string) (string, bailey.Severity, bool) {
					return otherwise + " (" + n.key + ")", bailey.SeverityMedium, false
				}})
		}
	}
	hold(asksWho, "asks who it is", "asks otherwise who it is", bailey.SeverityHigh)
	hold(letsInOnly, "lets in some addresses only", "lets in other addresses than before", bailey.SeverityHigh)
	hold(redirects, "redirects plain HTTP to HTTPS", "redirects plain HTTP otherwise", bailey.SeverityMedium)
	for _, key := range redirectsOff {
		if strings.EqualFold(o.Annotations[key], "false") {
			add(trait{class: bailey.EffectExposure, key: key, text: "serves plain HTTP beside HTTPS (" + key + ")", gain: bailey.SeverityMedium})
		}
	}
	for _, key := range snippets {
		if value := o.Annotations[key]; value != "" {
			add(trait{class: bailey.EffectPrivilege, key: key, value: value, text: "writes into its controller's configuration (" + key + ")", gain: bailey.SeverityHigh,
				changed: func(string) (string, bailey.Severity, bool) {
					return "writes something else into its controller's configuration (" + key + ")", bailey.SeverityHigh, true
				}})
		}
	}
	class := o.Annotations[classByComment]
	if o.Spec.IngressClassName != nil {
		class = cmp.Or(class, *o.Spec.IngressClassName)
	}
	switch {
	case o.Annotations[albScheme] == "internet-facing":
		add(trait{class: bailey.EffectExposure, key: albScheme, text: "has an address on the internet (" + albScheme + ")", gain: bailey.SeverityHigh})
	case class == internalClass:
		add(trait{class: bailey.EffectProtection, key: classByComment, text: "stays in the cloud's own network (class " + internalClass + ")", gain: bailey.SeverityHigh})
	}
	return all
}

// of gives the annotation's value, and whether it asks for something.
func (n *noted) of(o *networkingv1.Ingress) (value string, asks bool) {
	value = strings.TrimSpace(o.Annotations[n.key])
	for _, none := range n.unless {
		if strings.EqualFold(value, none) {
			return "", false
		}
	}
	return value, value != ""
}
