package network

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/baileyhq/bailey"
)

// BalancedFrom says from where a Service of type LoadBalancer takes connections, and what
// that is worth.
func BalancedFrom(o *corev1.Service) (from string, gain bailey.Severity) {
	from, gain = "anybody", bailey.SeverityHigh
	if InternalBalancer(o) {
		from, gain = "the cloud's own network", bailey.SeverityMedium
	}
	if ranges := sourceRanges(o); len(ranges) > 0 {
		from = strings.Join(ranges, ", ")
	}
	return from, gain
}

// sourceRanges are the addresses from which a load balancer takes connections, sorted;
// none means all.
func sourceRanges(o *corev1.Service) []string {
	ranges := slices.Clone(o.Spec.LoadBalancerSourceRanges)
	if noted := o.Annotations[SourceRangesAnnotation]; len(ranges) == 0 && noted != "" {
		ranges = strings.Split(noted, ",")
	}
	for i := range ranges {
		ranges[i] = strings.TrimSpace(ranges[i])
	}
	slices.Sort(ranges)
	return ranges
}

// ownNetworks are addresses that are routed on no public network: RFC 1918, RFC 6598,
// RFC 4193, and loopback.
var ownNetworks = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("::1/128"),
}

// OwnNetworksOnly reports whether a Service's load balancer takes connections from such
// addresses alone, by its source ranges or its annotations.
func OwnNetworksOnly(o *corev1.Service) bool {
	if InternalBalancer(o) {
		return true
	}
	ranges := sourceRanges(o)
	for _, text := range ranges {
		p, err := netip.ParsePrefix(text)
		if err != nil || !slices.ContainsFunc(ownNetworks, func(own netip.Prefix) bool { return own.Bits() <= p.Bits() && own.Contains(p.Addr()) }) {
			return false
		}
	}
	return len(ranges) > 0
}

// Entry is how a Service is reached from outside the cluster; Gain, what that is worth, is
// SeverityNone where it is not.
type Entry struct {
	Gain bailey.Severity
	By   string // "a load balancer, from anybody"
}

// EntryOf reads a Service itself, and what is routed to it.
func EntryOf(f *bailey.Fact, routed map[bailey.Ref]string) Entry {
	o, is := bailey.As[*corev1.Service](f)
	switch {
	case !is, o.Spec.Type == corev1.ServiceTypeExternalName:
		return Entry{}
	case o.Spec.Type == corev1.ServiceTypeLoadBalancer:
		from, gain := BalancedFrom(o)
		return Entry{gain, "a load balancer, from " + from}
	case len(o.Spec.ExternalIPs) > 0:
		return Entry{bailey.SeverityHigh, "an external IP"}
	case o.Spec.Type == corev1.ServiceTypeNodePort:
		return Entry{bailey.SeverityMedium, "every node"}
	case routed[f.Ref] != "":
		return Entry{bailey.SeverityMedium, routed[f.Ref]}
	}
	return Entry{}
}

// Routes are the kinds that Routed reads.
var Routes = []bailey.Kind{bailey.KindIngress, bailey.KindHTTPRoute}

// ofGateway tells a route that a Gateway serves from one of a mesh, which stands on
// Services, and from one that nothing serves.
func ofGateway(route map[string]any) bool {
	for _, parent := range listAt(mapAt(route, "spec"), "parentRefs") {
		if kind := textAt(parent, "kind"); kind == "" || kind == "Gateway" || kind == "ListenerSet" {
			return true
		}
	}
	return false
}

// Routed gives for each Service an Ingress or an HTTPRoute that routes to it.
func Routed(list func(bailey.Kind) []*bailey.Fact) map[bailey.Ref]string {
	routed := map[bailey.Ref]string{}
	for _, f := range list(bailey.KindHTTPRoute) {
		o, _ := f.Object.(map[string]any)
		if !ofGateway(o) {
			continue
		}
		for _, rule := range listAt(mapAt(o, "spec"), "rules") {
			for _, b := range listAt(rule, "backendRefs") {
				name, kind := textAt(b, "name"), textAt(b, "kind")
				if name == "" || kind != "" && kind != "Service" {
					continue
				}
				service := bailey.Ref{Kind: bailey.KindService, Namespace: f.Namespace, Name: name}
				if n := textAt(b, "namespace"); n != "" {
					service.Namespace = n
				}
				routed[service] = "HTTPRoute " + f.Name
			}
		}
	}
	for _, f := range list(bailey.KindIngress) {
		in, is := bailey.As[*networkingv1.Ingress](f)
		if !is {
			continue
		}
		note := func(b *networkingv1.IngressBackend) {
			if b != nil && b.Service != nil {
				routed[bailey.Ref{Kind: bailey.KindService, Namespace: f.Namespace, Name: b.Service.Name}] = "Ingress " + f.Name
			}
		}
		note(in.Spec.DefaultBackend)
		for i := range in.Spec.Rules {
			if http := in.Spec.Rules[i].HTTP; http != nil {
				for j := range http.Paths {
					note(&http.Paths[j].Backend)
				}
			}
		}
	}
	return routed
}
