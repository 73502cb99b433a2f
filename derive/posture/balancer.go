package posture

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/derive/workload"
)

// backends are the workloads to which a Service leads that is reached from outside.
type backends struct {
	*bailey.Fact
	entry     network.Entry
	workloads []bailey.Ref
}

func backendsOf(s *bailey.Snapshot) map[bailey.Ref]backends {
	routed := network.Routed(func(k bailey.Kind) []*bailey.Fact { return s.List(k, "") })
	all := map[bailey.Ref]backends{}
	for _, f := range s.List(bailey.KindService, "") {
		o, is := bailey.As[*corev1.Service](f)
		if !is || len(o.Spec.Selector) == 0 {
			continue
		}
		b := backends{Fact: f, entry: network.EntryOf(f, routed)}
		if b.entry.Gain == bailey.SeverityNone {
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
					effects = append(effects, bailey.Effect{Class: bailey.EffectExposure, Gain: now.entry.Gain, Added: added, Object: ref,
						Text: fmt.Sprintf("leads to %s %s, reached through %s", w.Kind.Short(), w.Name, now.entry.By), Source: now.Source.At("spec.selector")})
				}
			}
		}
		tell(now.workloads, was.workloads, true)
		tell(was.workloads, now.workloads, false)
	}
	return effects
}
