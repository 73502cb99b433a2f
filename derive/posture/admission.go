package posture

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// gate is one webhook, policy or binding: what it looks at, and what it does then.
type gate struct {
	Name              string
	FailurePolicy     string
	MatchPolicy       string
	ValidationActions []string
	NamespaceSelector *metav1.LabelSelector
	ObjectSelector    *metav1.LabelSelector
	Rules             []admissionv1.RuleWithOperations
	Excluded          []admissionv1.NamedRuleWithOperations
	MatchConditions   []admissionv1.MatchCondition
	// bound tells a binding: without rules it is about all that its policy looks at.
	bound bool
	// rest is what else it says.
	rest string
}

// gatesOf reads what an object of admission says; false if it cannot be read.
func gatesOf(content []byte) ([]gate, bool) {
	type match struct {
		NamespaceSelector, ObjectSelector   *metav1.LabelSelector
		ResourceRules, ExcludeResourceRules []admissionv1.NamedRuleWithOperations
		MatchPolicy                         string
	}
	var o struct {
		Webhooks []json.RawMessage
		Spec     *struct {
			FailurePolicy     string
			PolicyName        string
			ValidationActions []string
			MatchConditions   []admissionv1.MatchCondition
			// A policy has the one, a binding the other.
			MatchConstraints, MatchResources *match
		}
	}
	if json.Unmarshal(content, &o) != nil {
		return nil, false
	}
	var gates []gate
	for _, text := range o.Webhooks {
		var g gate
		if json.Unmarshal(text, &g) != nil {
			return nil, false
		}
		g.rest = without(text, "name", "failurePolicy", "matchPolicy", "namespaceSelector", "objectSelector", "rules", "matchConditions")
		gates = append(gates, g)
	}
	if s := o.Spec; s != nil {
		g := gate{FailurePolicy: s.FailurePolicy, ValidationActions: s.ValidationActions, MatchConditions: s.MatchConditions, bound: s.PolicyName != ""}
		for _, m := range []*match{s.MatchConstraints, s.MatchResources} {
			if m == nil {
				continue
			}
			g.NamespaceSelector, g.ObjectSelector, g.Excluded, g.MatchPolicy = m.NamespaceSelector, m.ObjectSelector, m.ExcludeResourceRules, m.MatchPolicy
			for _, r := range m.ResourceRules {
				if len(r.ResourceNames) > 0 { // such a rule is about these only
					r.Resources = []string{strings.Join(r.Resources, ",") + " named " + strings.Join(r.ResourceNames, ",")}
				}
				g.Rules = append(g.Rules, r.RuleWithOperations)
			}
		}
		g.rest = withoutUnder(content, "spec", "failurePolicy", "validationActions", "matchConditions", "matchConstraints", "matchResources")
		gates = append(gates, g)
	}
	return gates, true
}

// without is a JSON object but for some of its fields.
func without(text []byte, keys ...string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil {
		return string(text)
	}
	for _, key := range keys {
		delete(m, key)
	}
	rest, err := json.Marshal(m)
	if err != nil {
		return string(text)
	}
	return string(rest)
}

func withoutUnder(text []byte, under string, keys ...string) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil {
		return string(text)
	}
	return without(m[under], keys...)
}

// refuses reports whether a gate can refuse what it cannot judge, or what it judges.
func (g *gate) refuses() bool {
	return g.FailurePolicy != string(admissionv1.Ignore) && (g.ValidationActions == nil || slices.Contains(g.ValidationActions, string(admissionv1.Deny)))
}

// ofAdmission is a webhook configuration, an admission policy or a binding.
func ofAdmission(f *bailey.Fact, add func(trait)) {
	content, err := json.Marshal(specOf(f.Object))
	if err != nil {
		return
	}
	gates, known := gatesOf(content)
	gain := bailey.SeverityMedium
	if !known || slices.ContainsFunc(gates, func(g gate) bool { return g.refuses() }) {
		gain = bailey.SeverityHigh
	}
	add(trait{class: bailey.EffectProtection, key: "object", value: string(content), text: "is in place", gain: gain,
		changed: func(before string) (string, bailey.Severity, bool) {
			was, readable := gatesOf([]byte(before))
			if !known || !readable {
				return somethingElse, bailey.SeverityMedium, false
			}
			return compareGates(was, gates)
		}})
}

// isExact reports whether the rules are about requests in the versions of the API that
// they name; without a word they are about all that are equivalent.
func (g *gate) isExact() bool { return g.MatchPolicy == string(admissionv1.Exact) }

// looksExactly reports whether requests in other versions of the API are not looked at. A
// binding without rules looks at all that its policy does, whatever its matchPolicy.
func (g *gate) looksExactly() bool { return g.isExact() && !(g.bound && len(g.Rules) == 0) }

// difference gathers what a change does to gates.
type difference struct {
	weaker, other []string
	stronger      bool
}

// compareGates says what an object of admission holds back less than before.
func compareGates(was, now []gate) (text string, gain bailey.Severity, more bool) {
	var d difference
	for i := range was {
		at := slices.IndexFunc(now, func(g gate) bool { return g.Name == was[i].Name })
		if at < 0 {
			d.weaker = append(d.weaker, "webhook "+was[i].Name+" has gone")
			continue
		}
		of := ""
		if was[i].Name != "" {
			of = "webhook " + was[i].Name + " "
		}
		d.gate(of, &was[i], &now[at])
	}
	for i := range now {
		d.stronger = d.stronger || !slices.ContainsFunc(was, func(g gate) bool { return g.Name == now[i].Name })
	}
	switch {
	case len(d.weaker) > 0:
		return strings.Join(append(d.weaker, d.other...), "; "), bailey.SeverityHigh, false
	case len(d.other) > 0:
		return strings.Join(d.other, "; "), bailey.SeverityMedium, false
	case d.stronger:
		return "holds back more than before", bailey.SeverityMedium, true
	}
	return somethingElse, bailey.SeverityMedium, false
}

func (d *difference) gate(of string, was, now *gate) {
	weaker := func(text string) { d.weaker = append(d.weaker, of+text) }
	other := func(text string) { d.other = append(d.other, of+text) }
	const ignore = string(admissionv1.Ignore)
	switch {
	case was.FailurePolicy != ignore && now.FailurePolicy == ignore:
		weaker("lets through what it cannot judge (failurePolicy Ignore)")
	case was.FailurePolicy == ignore && now.FailurePolicy != ignore:
		d.stronger = true
	}
	deny := string(admissionv1.Deny)
	switch denied, denies := slices.Contains(was.ValidationActions, deny), slices.Contains(now.ValidationActions, deny); {
	case denied && !denies:
		weaker("no longer refuses anything, and did")
	case denies && !denied:
		d.stronger = true
	case !slices.Equal(was.ValidationActions, now.ValidationActions):
		other(somethingElse)
	}
	for _, s := range []struct {
		what, field string
		was, now    *metav1.LabelSelector
	}{{"namespaces", "namespaceSelector", was.NamespaceSelector, now.NamespaceSelector}, {"objects", "objectSelector", was.ObjectSelector, now.ObjectSelector}} {
		d.set(requirements(s.was), requirements(s.now), func() { weaker("leaves out more " + s.what + " (" + s.field + ")") },
			func() { other("looks at other " + s.what + " than before (" + s.field + ")") })
	}
	conditions := func(list []admissionv1.MatchCondition) []string {
		var all []string
		for _, c := range list {
			all = append(all, c.Expression)
		}
		return all
	}
	d.set(conditions(was.MatchConditions), conditions(now.MatchConditions), func() { weaker("leaves out more requests (matchConditions)") },
		func() { other("looks at other requests than before (matchConditions)") })
	d.set(excluded(was.Excluded), excluded(now.Excluded), func() { weaker("leaves out more requests (excludeResourceRules)") },
		func() { other("leaves out other requests than before (excludeResourceRules)") })
	switch {
	case !was.looksExactly() && now.looksExactly():
		weaker("no longer looks at requests in other versions of the API (matchPolicy Exact)")
	case was.looksExactly() && !now.looksExactly():
		d.stronger = true
	}
	if len(was.Excluded) > 0 && len(now.Excluded) > 0 && was.isExact() && !now.isExact() {
		weaker("leaves requests out in other versions of the API too (matchPolicy Equivalent)")
	}
	if was.bound && now.bound && (len(was.Rules) == 0 || len(now.Rules) == 0) {
		switch {
		case len(now.Rules) > 0:
			weaker("looks at some of its policy's requests only (resourceRules)")
		case len(was.Rules) > 0:
			d.stronger = true
		}
	} else if lost := uncovered(was.Rules, now.Rules); len(lost) > 0 {
		weaker("no longer looks at " + strings.Join(lost, ", "))
	} else if len(uncovered(now.Rules, was.Rules)) > 0 {
		d.stronger = true
	}
	if was.rest != now.rest {
		other(somethingElse)
	}
}

// set compares conditions all of which must hold: with more of them less is held back.
func (d *difference) set(was, now []string, narrower, other func()) {
	gone := slices.ContainsFunc(was, func(s string) bool { return !slices.Contains(now, s) })
	come := slices.ContainsFunc(now, func(s string) bool { return !slices.Contains(was, s) })
	switch {
	case come && gone:
		other()
	case come:
		narrower()
	case gone:
		d.stronger = true
	}
}

// requirements are a selector's, each as a text; of NotIn one for each value.
func requirements(s *metav1.LabelSelector) []string {
	if s == nil {
		return nil
	}
	var all []string
	for key, value := range s.MatchLabels {
		all = append(all, key+"="+value)
	}
	for _, e := range s.MatchExpressions {
		if e.Operator == metav1.LabelSelectorOpNotIn {
			for _, value := range e.Values {
				all = append(all, e.Key+"!="+value)
			}
			continue
		}
		values := slices.Sorted(slices.Values(e.Values))
		all = append(all, e.Key+" "+string(e.Operator)+" "+strings.Join(values, ","))
	}
	return all
}

func excluded(rules []admissionv1.NamedRuleWithOperations) []string {
	var all []string
	for _, r := range rules {
		text, err := json.Marshal(r)
		if err != nil {
			continue
		}
		all = append(all, string(text))
	}
	return all
}

// uncovered names the requests of some rules that no other rule covers.
func uncovered(rules, by []admissionv1.RuleWithOperations) []string {
	var lost []string
	for _, r := range rules {
		for _, operation := range r.Operations {
			for _, group := range r.APIGroups {
				for _, version := range r.APIVersions {
					for _, resource := range r.Resources {
						covers := func(o admissionv1.RuleWithOperations) bool {
							return within(o.Operations, operation, admissionv1.OperationAll) && within(o.APIGroups, group, "*") && within(o.APIVersions, version, "*") &&
								slices.ContainsFunc(o.Resources, func(by string) bool { return takesIn(by, resource) }) &&
								(o.Scope == nil || *o.Scope == admissionv1.AllScopes || r.Scope != nil && *r.Scope == *o.Scope)
						}
						name := fmt.Sprintf("%s of %s", operation, resource)
						if group != "" && group != "*" {
							name += "." + group
						}
						if !slices.ContainsFunc(by, covers) && !slices.Contains(lost, name) {
							lost = append(lost, name)
						}
					}
				}
			}
		}
	}
	return lost
}

// takesIn reports whether a rule's resource takes in all that another does, as the API
// server matches them: "*" is every resource without its subresources, "pods/*" is pods
// and all their subresources.
func takesIn(by, resource string) bool {
	byName, bySub, _ := strings.Cut(by, "/")
	name, sub, _ := strings.Cut(resource, "/")
	return (byName == "*" || byName == name) && (bySub == "*" || bySub == sub)
}

func within[T comparable](list []T, value, every T) bool {
	return slices.Contains(list, value) || slices.Contains(list, every)
}
