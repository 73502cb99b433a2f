package main

import (
	"context"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/enforce/gate"
	"github.com/baileyhq/bailey/report"
)

// gateRules are the rules that the gate refuses objects by; nil if none are chosen.
func (a *app) gateRules(f *gateFlags) (*gate.Rules, error) {
	if len(f.rules) == 0 {
		return nil, nil
	}
	chosen, err := chooseRules(f.rules)
	if err != nil {
		return nil, err
	}
	return &gate.Rules{
		Controls: chosen, Every: f.snapshotEvery, RefuseStale: f.refuseStale,
		Collect: func(ctx context.Context) (*bailey.Snapshot, error) {
			return kube.Collect(ctx, kube.Options{Kubeconfig: f.kubeconfig, Context: f.context, UserAgent: "bailey-gate/" + version, Offline: a.offline})
		},
		Fact: gateFact, Describe: describeFix,
	}, nil
}

// gateFact makes a fact of an object that a request brings.
func gateFact(o runtime.Object, apiVersion, kind string) *bailey.Fact {
	return object.Fact(o, apiVersion, kind, bailey.Source{})
}

// describeFix says in a line what a fix changes.
func describeFix(fix []bailey.Change, beside bailey.Ref) string {
	var parts []string
	for _, c := range fix {
		parts = append(parts, report.DescribeChange(c, beside))
	}
	return strings.Join(parts, "; ")
}

// chooseRules gives the controls of the names, which are of controls or of rules, with the
// chosen rules alone. Each must be able to say something of an object that the gate sees.
func chooseRules(names []string) ([]*bailey.Control, error) {
	all := controls.All()
	wanted := map[string]bool{}
	for _, name := range names {
		found := false
		for _, c := range all {
			for _, r := range c.Rules {
				if name != c.ID && name != c.RuleID(r) {
					continue
				}
				if !r.FilesOnly && (slices.ContainsFunc(r.On, bailey.Kind.IsPodBearing) || slices.ContainsFunc(r.Needs, bailey.Kind.IsPodBearing) || len(r.Derives) > 0) {
					wanted[c.RuleID(r)], found = true, true
				}
			}
		}
		if !found {
			return nil, usageError("--rules %q is no rule or control that says something of pods and what makes them\nhint: `bailey controls` lists them; such as network/policy/no-ingress-policy, or network/policy", name)
		}
	}
	var chosen []*bailey.Control
	for _, c := range all {
		only := *c
		only.Rules = slices.DeleteFunc(slices.Clone(c.Rules), func(r *bailey.Rule) bool { return !wanted[c.RuleID(r)] })
		if len(only.Rules) > 0 {
			chosen = append(chosen, &only)
		}
	}
	return chosen, nil
}

// readingRights are what the gate needs to read the cluster: those of `bailey scan`.
func readingRights() []rbacv1.PolicyRule {
	var rights []rbacv1.PolicyRule
	for _, p := range kube.Permissions() {
		rights = append(rights, rbacv1.PolicyRule{APIGroups: []string{p.APIGroup}, Resources: p.Resources, Verbs: p.Verbs})
	}
	return rights
}
