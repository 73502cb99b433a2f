package develop

import (
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var gatewayTLSDocs = ref.Page("Gateway API", "TLS", "https://gateway-api.sigs.k8s.io/guides/tls/")
var gatewayRedirectDocs = ref.Page("Gateway API", "HTTP path redirects and rewrites", "https://gateway-api.sigs.k8s.io/guides/http-redirect-rewrite/")

var gatewayWithoutTLS = &bailey.Rule{
	Name:  "gateway-without-tls",
	Title: "Gateway serves plain HTTP only",
	Doc: `Reads ` + "`spec.listeners`" + ` of a Gateway: an HTTP listener and no listener with HTTPS or TLS. A Gateway whose
routes all redirect to HTTPS serves nothing and is not found; nor is a waypoint of a mesh, whose
protocol the mesh encrypts.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{gatewayTLSDocs, ref.NIST("SC-8"), ref.ATTACK("T1190")},
	On:       []bailey.Kind{bailey.KindGateway},
	Needs:    []bailey.Kind{bailey.KindHTTPRoute},
	Check:    checkGatewayWithoutTLS,
	Bad: []string{`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: bad, namespace: edge}
spec:
  gatewayClassName: public
  listeners: [{name: http, port: 80, protocol: HTTP}]
`},
}

func checkGatewayWithoutTLS(v *bailey.View, f *bailey.Fact) []bailey.Finding {
	listeners := listenersOf(f)
	plain := -1
	for i := range listeners {
		if listeners[i].encrypted() {
			return nil
		}
		if plain < 0 && listeners[i].protocol == "HTTP" {
			plain = i
		}
	}
	if plain < 0 {
		return nil
	}
	routes, redirects := 0, 0
	for _, route := range v.List(bailey.KindHTTPRoute, "") {
		if !attaches(route, f) {
			continue
		}
		routes++
		if servesAt(route) < 0 {
			redirects++
		}
	}
	if routes > 0 && routes == redirects {
		return nil
	}
	return []bailey.Finding{{
		Field:   "spec.listeners[" + strconv.Itoa(plain) + "].protocol",
		Named:   "spec.listeners[" + listeners[plain].name + "].protocol",
		Message: "listener " + listeners[plain].name + " serves plain HTTP, and no listener has TLS",
	}}
}

var routePlainHTTP = &bailey.Rule{
	Name:  "route-plain-http",
	Title: "Route serves plain HTTP beside HTTPS",
	Doc: `Reads the parents and rules of an HTTPRoute, and the listeners of those Gateways that have TLS: the route
attaches to an HTTP listener too and sends requests to a backend instead of redirecting them to HTTPS.

Which listener a route attaches to follows its parent's section name or port, the hostnames, and the
namespaces that the listener allows; a listener that selects namespaces by labels is left out. Solvers of
ACME challenges are not found.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{gatewayRedirectDocs, gatewayTLSDocs, ref.NIST("SC-8")},
	On:       []bailey.Kind{bailey.KindHTTPRoute},
	Needs:    []bailey.Kind{bailey.KindGateway},
	Check:    checkRoutePlainHTTP,
	Bad: []string{`apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: bad, namespace: edge}
spec:
  parentRefs: [{name: public}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec:
  gatewayClassName: public
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: public-tls}]}}
`},
}

func checkRoutePlainHTTP(v *bailey.View, f *bailey.Fact) []bailey.Finding {
	at := servesAt(f)
	if at < 0 {
		return nil
	}
	for _, p := range parentsOf(f) {
		if !p.isGateway() {
			continue
		}
		gateway := v.Get(bailey.KindGateway, p.namespace, p.name)
		listeners := listenersOf(gateway)
		encrypted, plain := false, ""
		for i := range listeners {
			l := &listeners[i]
			encrypted = encrypted || l.encrypted()
			if plain == "" && l.protocol == "HTTP" && l.accepts(f, p) {
				plain = l.name
			}
		}
		if encrypted && plain != "" {
			field := "spec.rules[" + strconv.Itoa(at) + "]"
			return []bailey.Finding{{Field: field, Related: []bailey.Ref{gateway.Ref},
				Message: "served by the plain HTTP listener " + plain + " of Gateway " + p.namespace + "/" + p.name + " without a redirect"}}
		}
	}
	return nil
}

// listener is what the rules read of a Gateway's listener.
type listener struct {
	name, protocol, hostname string
	port                     string
	// from is the namespaces that it accepts routes of: Same, All or Selector.
	from      string
	namespace string // the Gateway's
}

// encrypted reports whether the listener's protocol carries TLS, the mesh's
// tunnel included.
func (l *listener) encrypted() bool {
	return l.protocol == "HTTPS" || l.protocol == "TLS" || l.protocol == "HBONE"
}

// accepts reports whether a route with this parent attaches to the listener.
func (l *listener) accepts(route *bailey.Fact, p parent) bool {
	if p.section != "" && p.section != l.name || p.port != "" && p.port != l.port {
		return false
	}
	if l.from != "All" && (l.from != "Same" || route.Namespace != l.namespace) {
		return false
	}
	hosts := listAt(mapOf(route.Object), "spec", "hostnames")
	if l.hostname == "" || len(hosts) == 0 {
		return true
	}
	for _, h := range hosts {
		if host, ok := h.(string); ok && hostsOverlap(l.hostname, host) {
			return true
		}
	}
	return false
}

// hostsOverlap reports whether one of the two, either of which may begin with
// "*.", takes in the other.
func hostsOverlap(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	under := func(pattern, host string) bool {
		suffix, wild := strings.CutPrefix(pattern, "*")
		return wild && len(host) > len(suffix) && strings.EqualFold(host[len(host)-len(suffix):], suffix)
	}
	return under(a, b) || under(b, a)
}

func listenersOf(f *bailey.Fact) []listener {
	if f == nil {
		return nil
	}
	var all []listener
	for _, item := range listAt(mapOf(f.Object), "spec", "listeners") {
		m := mapOf(item)
		l := listener{name: textAt(m, "name"), protocol: textAt(m, "protocol"), hostname: textAt(m, "hostname"), port: numberOf(m["port"]),
			from: textAt(m, "allowedRoutes", "namespaces", "from"), namespace: f.Namespace}
		if l.from == "" {
			l.from = "Same"
		}
		all = append(all, l)
	}
	return all
}

// parent is one parentRef of a route.
type parent struct{ group, kind, namespace, name, section, port string }

func (p parent) isGateway() bool {
	return (p.kind == "" || p.kind == "Gateway") && (p.group == "" || p.group == "gateway.networking.k8s.io")
}

func parentsOf(route *bailey.Fact) []parent {
	var all []parent
	for _, item := range listAt(mapOf(route.Object), "spec", "parentRefs") {
		m := mapOf(item)
		p := parent{textAt(m, "group"), textAt(m, "kind"), textAt(m, "namespace"), textAt(m, "name"), textAt(m, "sectionName"), numberOf(m["port"])}
		if p.namespace == "" {
			p.namespace = route.Namespace
		}
		all = append(all, p)
	}
	return all
}

func attaches(route, gateway *bailey.Fact) bool {
	for _, p := range parentsOf(route) {
		if p.isGateway() && p.namespace == gateway.Namespace && p.name == gateway.Name {
			return true
		}
	}
	return false
}

// servesAt gives the index of the route's first rule that sends requests to a
// backend over plain HTTP, if it gets them so; -1 if all redirect or answer
// challenges.
func servesAt(route *bailey.Fact) int {
	m := mapOf(route.Object)
	if textAt(m, "metadata", "labels", "acme.cert-manager.io/http01-solver") == "true" {
		return -1
	}
	for i, item := range listAt(m, "spec", "rules") {
		rule := mapOf(item)
		if len(listAt(rule, "backendRefs")) > 0 && !redirectsToHTTPS(rule) && !answersChallenges(rule) {
			return i
		}
	}
	return -1
}

func redirectsToHTTPS(rule map[string]any) bool {
	for _, item := range listAt(rule, "filters") {
		if textAt(mapOf(item), "requestRedirect", "scheme") == "https" {
			return true
		}
	}
	return false
}

func answersChallenges(rule map[string]any) bool {
	matches := listAt(rule, "matches")
	for _, item := range matches {
		if !strings.HasPrefix(textAt(mapOf(item), "path", "value"), "/.well-known/acme-challenge") {
			return false
		}
	}
	return len(matches) > 0
}

// mapOf, listAt, textAt and numberOf read the content of a custom resource,
// and give nothing where it has another shape.

func mapOf(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func valueAt(m map[string]any, path []string) any {
	for _, key := range path[:len(path)-1] {
		m = mapOf(m[key])
	}
	return m[path[len(path)-1]]
}

func listAt(m map[string]any, path ...string) []any {
	l, _ := valueAt(m, path).([]any)
	return l
}

func textAt(m map[string]any, path ...string) string {
	s, _ := valueAt(m, path).(string)
	return s
}

// numberOf is a whole number as text, whatever type its decoder chose.
func numberOf(v any) string {
	switch n := v.(type) {
	case int64:
		return strconv.FormatInt(n, 10)
	case int:
		return strconv.Itoa(n)
	case uint64:
		return strconv.FormatUint(n, 10)
	case float64:
		return strconv.FormatInt(int64(n), 10)
	case interface{ String() string }: // json.Number
		return n.String()
	}
	return ""
}
