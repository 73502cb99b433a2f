package develop

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

// selecting is a Service that leads to pods by their labels.
type selecting struct {
	name     string
	selector labels.Selector
}

// selectingServices are the Services by namespace. Whether none selects a pod only the whole
// list tells.
var selectingServices = &bailey.Derivation{
	Name:  "Services that select pods",
	Needs: []bailey.Kind{bailey.KindService},
	Compute: func(v *bailey.View) any {
		all := map[string][]selecting{}
		for _, f := range v.List(bailey.KindService, "") {
			if o, is := bailey.As[*corev1.Service](f); is && len(o.Spec.Selector) > 0 {
				all[f.Namespace] = append(all[f.Namespace], selecting{f.Name, labels.SelectorFromSet(o.Spec.Selector)})
			}
		}
		return all
	},
}

func checkReadiness(v *bailey.View, f *bailey.Fact) []bailey.Finding {
	w, ok := serving(f)
	if !ok {
		return nil
	}
	var found []bailey.Finding
	ports, probed := false, false
	for c := range w.Containers() {
		probed = probed || c.ReadinessProbe != nil
		if c.Type == workload.Regular && len(c.Ports) > 0 {
			ports = true
			if c.ReadinessProbe == nil {
				found = append(found, c.Finding(".readinessProbe", "container "+c.Name+" serves a port and has no readiness probe"))
			}
		}
	}
	if ports || probed {
		return found
	}
	all, _ := v.Derived(selectingServices).(map[string][]selecting)
	at := slices.IndexFunc(all[f.Namespace], func(s selecting) bool { return s.selector.Matches(labels.Set(w.Meta.Labels)) })
	if at < 0 {
		return nil
	}
	for c := range w.Containers() {
		if c.Type == workload.Regular {
			return []bailey.Finding{c.Finding(".readinessProbe", "Service "+all[f.Namespace][at].name+" sends requests to the pods, and none of their containers has a readiness probe")}
		}
	}
	return nil
}
