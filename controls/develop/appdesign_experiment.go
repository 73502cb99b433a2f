package develop

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
)

// routesProtected dials what a namespace publishes, as anybody may.
var routesProtected = &bailey.Experiment{
	Name:  "routes-protected",
	Title: "Published routes refuse plain HTTP and old TLS",
	Doc: `Dials the published routes of a namespace at the addresses that their status names: the hosts of Ingresses,
listeners of Gateways, HTTP and HTTPS ports of public load balancers. A GET of / in plain text must be
redirected to https or find no answer; a handshake must be refused that offers no more than TLS 1.1; the
certificate must not be over nor another's. The twin of each is a handshake without that flaw (or a bare connection,
where nothing has TLS).

The view is that from where Bailey runs, which may be inside of what a firewall keeps out. One GET of / without
credentials is sent, and nothing of the answer's body is kept. A status that is neither a success nor a redirect
shows nothing, nor does a certificate of an authority that is not known to the machine. Hosts with wildcards are left
out. Not shown: other paths, HSTS, cookies, and whether users authenticate.`,
	Hypothesis: "a published route serves nothing in plain text, nothing by TLS 1.1, and shows a certificate of its own that is not over",
	Danger:     bailey.DangerNone,
	Technique:  "T1557",
	Scope:      bailey.ScopeNamespace,
	Needs:      []bailey.Kind{bailey.KindIngress, bailey.KindGateway, bailey.KindService},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		var probes []bailey.Probe
		routes := routesOf(v, scope.Name)
		for i := range routes {
			probes = append(probes, routes[i].probes()...)
		}
		return probes
	},
}

// route is one name at one address, with the ports that serve it.
type route struct {
	by            bailey.Ref
	host, address string // host is empty where any is served
	plain, secure []string
}

// routesOf lists what the namespace publishes, where a status says at which address.
func routesOf(v *bailey.View, namespace string) []route {
	var routes []route
	taken := map[string]bool{} // by controllers, whose Services need no look of their own
	for _, f := range v.List(bailey.KindIngress, "") {
		in, ok := bailey.As[*networkingv1.Ingress](f)
		if !ok {
			continue
		}
		for i := range in.Status.LoadBalancer.Ingress {
			at := &in.Status.LoadBalancer.Ingress[i]
			taken[at.IP], taken[at.Hostname] = true, true
		}
		address := ""
		if at := in.Status.LoadBalancer.Ingress; len(at) > 0 {
			address = firstOf(at[0].IP, at[0].Hostname)
		}
		if f.Namespace != namespace || address == "" || in.Labels["acme.cert-manager.io/http01-solver"] == "true" {
			continue
		}
		for i := range in.Spec.Rules {
			if host := in.Spec.Rules[i].Host; host != "" && !strings.HasPrefix(host, "*") && !earlierRule(in.Spec.Rules[:i], host) {
				routes = append(routes, route{f.Ref, host, address, []string{"80"}, []string{"443"}})
			}
		}
	}
	for _, f := range v.List(bailey.KindGateway, "") {
		var addresses []string
		for _, item := range listAt(mapOf(f.Object), "status", "addresses") {
			addresses = append(addresses, textAt(mapOf(item), "value"))
			taken[addresses[len(addresses)-1]] = true
		}
		if f.Namespace == namespace && len(addresses) > 0 && addresses[0] != "" {
			routes = append(routes, gatewayRoutes(f, addresses[0])...)
		}
	}
	for _, f := range v.List(bailey.KindService, namespace) {
		s, ok := bailey.As[*corev1.Service](f)
		if !ok || s.Spec.Type != corev1.ServiceTypeLoadBalancer || !public(s) || f.Owner.Kind == bailey.KindGateway || len(s.Status.LoadBalancer.Ingress) == 0 {
			continue
		}
		at := &s.Status.LoadBalancer.Ingress[0]
		r := route{by: f.Ref, address: firstOf(at.IP, at.Hostname)}
		for i := range s.Spec.Ports {
			port := strconv.Itoa(int(s.Spec.Ports[i].Port))
			switch {
			case isHTTPS(&s.Spec.Ports[i]):
				r.secure = append(r.secure, port)
			case isHTTP(&s.Spec.Ports[i]):
				r.plain = append(r.plain, port)
			}
		}
		if r.address != "" && !taken[r.address] {
			routes = append(routes, r)
		}
	}
	return routes
}

// gatewayRoutes gives a route for each host of the listeners.
func gatewayRoutes(f *bailey.Fact, address string) []route {
	var routes []route
	listeners := listenersOf(f)
	for i := range listeners {
		l := &listeners[i]
		if strings.HasPrefix(l.hostname, "*") || l.protocol != "HTTP" && l.protocol != "HTTPS" && l.protocol != "TLS" {
			continue
		}
		at := slices.IndexFunc(routes, func(r route) bool { return r.host == l.hostname })
		if at < 0 {
			at = len(routes)
			routes = append(routes, route{by: f.Ref, host: l.hostname, address: address})
		}
		if l.protocol == "HTTP" {
			routes[at].plain = append(routes[at].plain, l.port)
		} else {
			routes[at].secure = append(routes[at].secure, l.port)
		}
	}
	return routes
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (r *route) at(port string) string {
	if a, err := netip.ParseAddr(r.address); err == nil && a.Is6() {
		return "[" + r.address + "]:" + port
	}
	return r.address + ":" + port
}

func (r *route) probes() []bailey.Probe {
	name := r.by.String()
	if r.host != "" {
		name = r.host + " of " + name
	}
	handshake := func(port string, t bailey.TLS) bailey.Step {
		t.ServerName = r.host
		return bailey.Step{Task: &bailey.Task{Dial: &bailey.Dial{Address: r.at(port), TLS: &t}}}
	}
	var probes []bailey.Probe
	for _, port := range r.plain {
		twin := bailey.Step{Task: &bailey.Task{Dial: &bailey.Dial{Address: r.at(port)}}}
		if len(r.secure) > 0 {
			twin = handshake(r.secure[0], bailey.TLS{})
		}
		probes = append(probes, bailey.Probe{
			Name: "plain HTTP, port " + port + ", " + name, Path: "plain HTTP", Twin: twin,
			Try: bailey.Step{
				Task:     &bailey.Task{Dial: &bailey.Dial{Address: r.at(port), HTTP: "/", Host: r.host}},
				Refusers: []bailey.Refuser{bailey.RefuserRedirect, bailey.RefuserNetwork, bailey.RefuserTLS},
			},
		})
	}
	for _, port := range r.secure {
		old := handshake(port, bailey.TLS{MaxVersion: "1.1", VersionOnly: true})
		old.Refusers = []bailey.Refuser{bailey.RefuserTLS}
		probes = append(probes, bailey.Probe{Name: "TLS 1.1, port " + port + ", " + name, Path: "old TLS", Twin: handshake(port, bailey.TLS{VersionOnly: true}), Try: old})
		if r.host == "" {
			continue
		}
		invalid := handshake(port, bailey.TLS{Invalid: true})
		invalid.Refusers = []bailey.Refuser{bailey.RefuserTLS}
		probes = append(probes, bailey.Probe{Name: "invalid certificate, port " + port + ", " + name, Path: "certificate", Twin: handshake(port, bailey.TLS{}), Try: invalid})
	}
	return probes
}
