package posture

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/derive/workload"
)

// balanced says from where a load balancer takes connections, and what that is worth.
func balanced(o *corev1.Service) (from string, gain bailey.Severity) {
	ranges := o.Spec.LoadBalancerSourceRanges
	if noted := o.Annotations[network.SourceRangesAnnotation]; len(ranges) == 0 && noted != "" {
		ranges = strings.Split(noted, ",")
	}
	from, gain = "anybody", bailey.SeverityHigh
	if network.InternalBalancer(o) {
		from, gain = "the cloud's own network", bailey.SeverityMedium
	}
	if len(ranges) > 0 {
		list := slices.Clone(ranges)
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		slices.Sort(list)
		from = strings.Join(list, ", ")
	}
	return from, gain
}

// reach is how a Service is reached from outside; its gain is SeverityNone where it is not.
type reach struct {
	gain bailey.Severity
	by   string
}

// reachOf reads the Service itself, and the Ingresses that route to it.
func reachOf(f *bailey.Fact, o *corev1.Service, routed map[bailey.Ref]string) reach {
	switch o.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		from, gain := balanced(o)
		return reach{gain, "a load balancer, from " + from}
	case corev1.ServiceTypeExternalName:
		return reach{}
	}
	switch {
	case len(o.Spec.ExternalIPs) > 0:
		return reach{bailey.SeverityHigh, "an external IP"}
	case o.Spec.Type == corev1.ServiceTypeNodePort:
		return reach{bailey.SeverityMedium, "every node"}
	case routed[f.Ref] != "":
		return reach{bailey.SeverityMedium, routed[f.Ref]}
	}
	return reach{}
}

// routedBy gives for each Service an Ingress that routes to it.
func routedBy(s *bailey.Snapshot) map[bailey.Ref]string {
	routed := map[bailey.Ref]string{}
	for _, f := range s.List(bailey.KindIngress, "") {
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

// backends are the workloads to which a Service leads that is reached from outside.
type backends struct {
	*bailey.Fact
	reach     reach
	workloads []bailey.Ref
}

func backendsOf(s *bailey.Snapshot) map[bailey.Ref]backends {
	routed := routedBy(s)
	all := map[bailey.Ref]backends{}
	for _, f := range s.List(bailey.KindService, "") {
		o, is := bailey.As[*corev1.Service](f)
		if !is || len(o.Spec.Selector) == 0 {
			continue
		}
		b := backends{Fact: f, reach: reachOf(f, o, routed)}
		if b.reach.gain == bailey.SeverityNone {
			continue
		}
		selector := labels.SelectorFromSet(o.Spec.Selector)
		for _, k := range bailey.PodBearing {
			for _, w := range s.List(k, f.Namespace) {
				if of, is := workload.Of(w); is && !w.Dormant && selector.Matches(labels.Set(of.Meta.Labels)) {
					b.workloads = append(b.workloads, w.Ref)
				}
			}
		}
		all[f.Ref] = b
	}
	return all
}

// compareBackends says to which other workloads the Services lead that were and are
// reached from outside: a selector, or a workload's labels, changed. A Service that has
// become reachable is told by itself.
func compareBackends(base, head *bailey.Snapshot, moved map[bailey.Ref]bailey.Ref) []bailey.Effect {
	before, after := map[bailey.Ref]backends{}, backendsOf(head)
	for ref, b := range backendsOf(base) {
		if to, known := moved[ref]; known {
			ref = to
		}
		for i, w := range b.workloads {
			if to, known := moved[w]; known {
				b.workloads[i] = to
			}
		}
		before[ref] = b
	}
	var effects []bailey.Effect
	for ref, now := range after {
		was, known := before[ref]
		if !known {
			continue
		}
		tell := func(list, other []bailey.Ref, added bool) {
			for _, w := range list {
				if !slices.Contains(other, w) {
					effects = append(effects, bailey.Effect{Class: bailey.EffectExposure, Gain: now.reach.gain, Added: added, Object: ref,
						Text: fmt.Sprintf("leads to %s %s, reached through %s", w.Kind.Short(), w.Name, now.reach.by), Source: now.Source.At("spec.selector")})
				}
			}
		}
		tell(now.workloads, was.workloads, true)
		tell(was.workloads, now.workloads, false)
	}
	return effects
}
