package policy

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// The words by which an expression reads who asks, and the namespace's object.
const (
	userWord      = "userInfo"
	namespaceWord = "namespaceObject"
)

// reads reports whether one of the expressions holds the word.
func reads(expressions []string, word string) bool {
	return slices.ContainsFunc(expressions, func(e string) bool { return strings.Contains(e, word) })
}

func expressionsOf(p *admissionv1.ValidatingAdmissionPolicy) []string {
	all := commonExpressions(p.Spec.MatchConditions, p.Spec.Variables)
	for _, v := range p.Spec.Validations {
		all = append(all, v.Expression, v.MessageExpression)
	}
	for _, a := range p.Spec.AuditAnnotations {
		all = append(all, a.ValueExpression)
	}
	return all
}

func mutatingExpressionsOf(p *admissionv1.MutatingAdmissionPolicy) []string {
	all := commonExpressions(p.Spec.MatchConditions, p.Spec.Variables)
	for _, m := range p.Spec.Mutations {
		if m.JSONPatch != nil {
			all = append(all, m.JSONPatch.Expression)
		}
		if m.ApplyConfiguration != nil {
			all = append(all, m.ApplyConfiguration.Expression)
		}
	}
	return all
}

func commonExpressions(conditions []admissionv1.MatchCondition, variables []admissionv1.Variable) []string {
	var all []string
	for _, c := range conditions {
		all = append(all, c.Expression)
	}
	for _, v := range variables {
		all = append(all, v.Expression)
	}
	return all
}
