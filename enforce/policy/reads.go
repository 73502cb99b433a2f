package policy

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// readsUser reports whether an expression of the policy reads who asks.
func readsUser(p *admissionv1.ValidatingAdmissionPolicy) bool { return reads(p, "userInfo") }

// readsNamespace reports whether an expression reads the namespace's object.
func readsNamespace(p *admissionv1.ValidatingAdmissionPolicy) bool {
	return reads(p, "namespaceObject")
}

func reads(p *admissionv1.ValidatingAdmissionPolicy, word string) bool {
	for _, c := range p.Spec.MatchConditions {
		if strings.Contains(c.Expression, word) {
			return true
		}
	}
	for _, v := range p.Spec.Variables {
		if strings.Contains(v.Expression, word) {
			return true
		}
	}
	for _, v := range p.Spec.Validations {
		if strings.Contains(v.Expression, word) || strings.Contains(v.MessageExpression, word) {
			return true
		}
	}
	for _, a := range p.Spec.AuditAnnotations {
		if strings.Contains(a.ValueExpression, word) {
			return true
		}
	}
	return false
}
