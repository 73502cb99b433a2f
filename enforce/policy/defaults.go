package policy

import (
	"cmp"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withDefaults gives the policy as an API server stores it: one that comes from a
// file may leave out what the server fills in.
func withDefaults(p *admissionv1.ValidatingAdmissionPolicy) *admissionv1.ValidatingAdmissionPolicy {
	p = p.DeepCopy()
	fail := admissionv1.Fail
	p.Spec.FailurePolicy = cmp.Or(p.Spec.FailurePolicy, &fail)
	if p.Spec.MatchConstraints == nil {
		p.Spec.MatchConstraints = &admissionv1.MatchResources{}
	}
	matchDefaults(p.Spec.MatchConstraints)
	return p
}

func bindingWithDefaults(b *admissionv1.ValidatingAdmissionPolicyBinding) *admissionv1.ValidatingAdmissionPolicyBinding {
	b = b.DeepCopy()
	if b.Spec.MatchResources != nil {
		matchDefaults(b.Spec.MatchResources)
	}
	return b
}

func matchDefaults(m *admissionv1.MatchResources) {
	equivalent := admissionv1.Equivalent
	m.MatchPolicy = cmp.Or(m.MatchPolicy, &equivalent)
	m.NamespaceSelector = cmp.Or(m.NamespaceSelector, &metav1.LabelSelector{})
	m.ObjectSelector = cmp.Or(m.ObjectSelector, &metav1.LabelSelector{})
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			all := admissionv1.AllScopes
			rules[i].Scope = cmp.Or(rules[i].Scope, &all)
		}
	}
}
