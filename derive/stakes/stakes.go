// Package stakes tells what whoever breaks into a workload gains, and whether strangers
// reach it: the factors by which findings on it weigh more.
package stakes

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/derive/posture"
	"github.com/baileyhq/bailey/derive/rbac"
	"github.com/baileyhq/bailey/derive/workload"
)

// Weigher tells the factors of a workload.
var Weigher = &bailey.Weigher{
	Needs: []bailey.Kind{bailey.KindServiceAccount, bailey.KindRoleBinding, bailey.KindClusterRoleBinding, bailey.KindRole, bailey.KindClusterRole},
	Derives: []*bailey.Derivation{
		entries, rbac.Bindings,
	},
	Factors: factors,
}

func factors(v *bailey.View, f *bailey.Fact) []bailey.Factor {
	w, is := workload.Of(f)
	if !is {
		return nil
	}
	var all []bailey.Factor
	if factor, is := exposed(v, w); is {
		all = append(all, factor)
	}
	all = append(all, node(w)...)
	for _, of := range []func(*bailey.View, workload.Workload) (bailey.Factor, bool){rights, secrets} {
		if factor, is := of(v, w); is {
			all = append(all, factor)
		}
	}
	return all
}

// entry is a Service that is reached from outside.
type entry struct {
	service  *bailey.Fact
	selector labels.Selector
	by       string
}

// entries finds the Services of a namespace that are reached from outside.
var entries = &bailey.Derivation{
	Name:  "ways in from outside",
	Needs: append([]bailey.Kind{bailey.KindService}, network.Routes...),
	Compute: func(v *bailey.View) any {
		all := map[string][]entry{}
		routed := network.Routed(func(k bailey.Kind) []*bailey.Fact { return v.Known(k, "") })
		for _, f := range v.Known(bailey.KindService, "") {
			o, is := bailey.As[*corev1.Service](f)
			if !is || len(o.Spec.Selector) == 0 || o.Spec.Type == corev1.ServiceTypeLoadBalancer && network.OwnNetworksOnly(o) {
				continue
			}
			if e := network.EntryOf(f, routed); e.Gain > bailey.SeverityNone {
				all[f.Namespace] = append(all[f.Namespace], entry{f, labels.SelectorFromSet(o.Spec.Selector), e.By})
			}
		}
		return all
	},
}

func exposed(v *bailey.View, w workload.Workload) (bailey.Factor, bool) {
	all, _ := v.Derived(entries).(map[string][]entry)
	for _, e := range all[w.Fact.Namespace] {
		if e.selector.Matches(labels.Set(w.Meta.Labels)) {
			return bailey.Factor{Kind: bailey.FactorExposed, Text: "Service " + e.service.Name + " leads to it, reached through " + e.by, By: e.service.Ref}, true
		}
	}
	return bailey.Factor{}, false
}

func node(w workload.Workload) []bailey.Factor {
	var all []bailey.Factor
	for _, p := range posture.NodePrivileges(w.Fact) {
		if !strings.HasPrefix(p.Text, "container ") {
			p.Text = "it " + p.Text
		}
		all = append(all, bailey.Factor{Kind: bailey.FactorNode, Text: p.Text, By: w.Fact.Ref, Field: p.Field})
	}
	return all
}

// secrets finds a Secret that the pods are given by name.
func secrets(_ *bailey.View, w workload.Workload) (bailey.Factor, bool) {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range w.Spec.Volumes {
		v := &w.Spec.Volumes[i]
		if v.Secret != nil {
			add(v.Secret.SecretName)
		}
		if v.Projected != nil {
			for j := range v.Projected.Sources {
				if s := v.Projected.Sources[j].Secret; s != nil {
					add(s.Name)
				}
			}
		}
	}
	for c := range w.Containers() {
		for i := range c.EnvFrom {
			if s := c.EnvFrom[i].SecretRef; s != nil {
				add(s.Name)
			}
		}
		for i := range c.Env {
			if from := c.Env[i].ValueFrom; from != nil && from.SecretKeyRef != nil {
				add(from.SecretKeyRef.Name)
			}
		}
	}
	if len(names) == 0 {
		return bailey.Factor{}, false
	}
	slices.Sort(names)
	text := "it is given Secret " + names[0]
	if len(names) > 1 {
		text += " and others"
	}
	return bailey.Factor{Kind: bailey.FactorSecrets, Text: text, By: w.Fact.Ref}, true
}
