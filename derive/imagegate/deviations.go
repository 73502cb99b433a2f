package imagegate

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hook is what both sorts of webhook have.
type hook struct {
	name       string
	client     *admissionv1.WebhookClientConfig
	rules      []admissionv1.RuleWithOperations
	failure    *admissionv1.FailurePolicyType
	match      *admissionv1.MatchPolicyType
	namespaces *metav1.LabelSelector
	objects    *metav1.LabelSelector
	timeout    *int32
	conditions []admissionv1.MatchCondition
}

func validatingHooks(c *admissionv1.ValidatingWebhookConfiguration) []hook {
	var hooks []hook
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		hooks = append(hooks, hook{w.Name, &w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector, w.TimeoutSeconds, w.MatchConditions})
	}
	return hooks
}

func mutatingHooks(c *admissionv1.MutatingWebhookConfiguration) []hook {
	var hooks []hook
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		hooks = append(hooks, hook{w.Name, &w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector, w.TimeoutSeconds, w.MatchConditions})
	}
	return hooks
}

// ValidatingDeviations says how a configuration that was read lets more through than the
// one that is wanted; nil if it does not. A nil configuration is one that is not there.
func (c Config) ValidatingDeviations(got *admissionv1.ValidatingWebhookConfiguration) []string {
	if got == nil {
		return []string{"there is no ValidatingWebhookConfiguration " + Name}
	}
	return compare(validatingHooks(c.Validating()), validatingHooks(got))
}

// MutatingDeviations does the same for the mutating configuration.
func (c Config) MutatingDeviations(got *admissionv1.MutatingWebhookConfiguration) []string {
	want := c.Mutating()
	switch {
	case want == nil:
		return nil
	case got == nil:
		return []string{"there is no MutatingWebhookConfiguration " + Name}
	}
	return compare(mutatingHooks(want), mutatingHooks(got))
}

func compare(want, got []hook) []string {
	var all []string
	for _, w := range want {
		i := slices.IndexFunc(got, func(g hook) bool { return g.name == w.name })
		if i < 0 {
			all = append(all, "webhook "+w.name+" is missing")
			continue
		}
		for _, lack := range lacks(&w, &got[i]) {
			all = append(all, "webhook "+w.name+" "+lack)
		}
	}
	return all
}

func lacks(want, got *hook) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if got.failure != nil && *got.failure != admissionv1.Fail && *got.failure != *want.failure {
		add("fails open: failurePolicy is %s", *got.failure)
	}
	if got.match != nil && *got.match != admissionv1.Equivalent {
		add("looks at one API version only: matchPolicy is %s", *got.match)
	}
	for _, missing := range uncovered(want.rules, got.rules) {
		add("does not look at %s", missing)
	}
	if !narrower(got.namespaces, want.namespaces) {
		add("leaves out other namespaces than %v: its namespaceSelector is %s", want.namespaces.MatchExpressions[0].Values, metav1.FormatLabelSelector(got.namespaces))
	}
	if !narrower(got.objects, want.objects) {
		add("leaves out objects by their labels: its objectSelector is %s", metav1.FormatLabelSelector(got.objects))
	}
	for _, c := range got.conditions {
		if !slices.ContainsFunc(want.conditions, func(w admissionv1.MatchCondition) bool { return w.Expression == c.Expression }) {
			add("has the match condition %q, which is not the gate's", c.Name)
		}
	}
	if got.timeout != nil && *got.timeout < *want.timeout {
		add("waits %d s, where %d are wanted", *got.timeout, *want.timeout)
	}
	if where, wanted := address(got.client), address(want.client); where != wanted {
		add("calls %s, where %s is wanted", where, wanted)
	}
	return all
}

// narrower reports whether a selector leaves out nothing but what the wanted one does.
func narrower(got, want *metav1.LabelSelector) bool {
	if got == nil || len(got.MatchLabels) == 0 && len(got.MatchExpressions) == 0 {
		return true
	}
	if len(got.MatchLabels) > 0 || want == nil || len(want.MatchExpressions) == 0 {
		return false
	}
	w := want.MatchExpressions[0]
	for _, e := range got.MatchExpressions {
		if e.Key != w.Key || e.Operator != w.Operator || slices.ContainsFunc(e.Values, func(v string) bool { return !slices.Contains(w.Values, v) }) {
			return false
		}
	}
	return true
}

// uncovered lists the wanted requests that no rule looks at: "UPDATE of apps/deployments".
func uncovered(want, got []admissionv1.RuleWithOperations) []string {
	var all []string
	for _, w := range want {
		for _, resource := range w.Resources {
			for _, operation := range w.Operations {
				if !slices.ContainsFunc(got, func(g admissionv1.RuleWithOperations) bool {
					return covers(&g, operation, w.APIGroups[0], w.APIVersions[0], resource)
				}) {
					name := resource
					if w.APIGroups[0] != "" {
						name = w.APIGroups[0] + "/" + resource
					}
					all = append(all, string(operation)+" of "+name)
				}
			}
		}
	}
	return all
}

func covers(r *admissionv1.RuleWithOperations, operation admissionv1.OperationType, group, version, resource string) bool {
	has := func(list []string, s string) bool { return slices.Contains(list, s) || slices.Contains(list, "*") }
	if r.Scope != nil && *r.Scope == admissionv1.ClusterScope {
		return false
	}
	if !slices.Contains(r.Operations, operation) && !slices.Contains(r.Operations, admissionv1.OperationAll) {
		return false
	}
	if !has(r.APIGroups, group) || !has(r.APIVersions, version) {
		return false
	}
	return slices.ContainsFunc(r.Resources, func(wild string) bool {
		parent, _, sub := strings.Cut(resource, "/")
		return wild == resource || wild == "*/*" || wild == "*" && !sub || sub && wild == parent+"/*"
	})
}

func address(c *admissionv1.WebhookClientConfig) string {
	switch {
	case c.URL != nil:
		return *c.URL
	case c.Service == nil:
		return "nothing"
	}
	path, port := "", int32(443)
	if c.Service.Path != nil {
		path = *c.Service.Path
	}
	if c.Service.Port != nil {
		port = *c.Service.Port
	}
	return fmt.Sprintf("Service %s/%s:%d%s", c.Service.Namespace, c.Service.Name, port, path)
}
