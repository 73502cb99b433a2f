package vap

import (
	"cmp"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/network"
)

// present says whether a policy of the cluster is this one, which as an object is own,
// under whatever name, and is bound so that it refuses in the scope.
func (p *Policy) present(v *bailey.View, scope bailey.Ref, own *admissionv1.ValidatingAdmissionPolicy) bailey.Presence {
	if p.spares(scope) {
		return bailey.Presence{Why: "policies leave " + scope.Name + " alone"}
	}
	presence := bailey.Presence{Why: "no ValidatingAdmissionPolicy " + Prefix + p.Name}
	for _, f := range v.List(bailey.KindValidatingAdmissionPolicy, "") {
		policy, ok := f.Object.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok {
			continue
		}
		if lack := lacks(policy, own); lack != "" {
			if f.Name == Prefix+p.Name {
				presence.Why = f.Ref.String() + " is there, but " + lack
			}
			continue
		}
		presence.Why = f.Ref.String() + " is there, but no binding refuses by it"
		for _, b := range v.List(bailey.KindValidatingAdmissionPolicyBinding, "") {
			binding, ok := b.Object.(*admissionv1.ValidatingAdmissionPolicyBinding)
			if !ok || binding.Spec.PolicyName != f.Name {
				continue
			}
			lack := p.lacksBinding(v, binding, scope)
			if lack == "" && p.Param != nil && p.Param.lacking(v) {
				lack = "its parameter " + p.Param.Namespace + "/" + p.Param.Name + " is missing, so that it refuses everything"
			}
			if lack == "" {
				return bailey.Presence{InPlace: true, Why: f.Ref.String() + " refuses by " + b.Ref.String()}
			}
			presence.Why = b.Ref.String() + " is there, but " + lack
		}
	}
	return presence
}

// Claimed reports whether the cluster holds the guard's policy under its own name and a
// binding that denies by it, whatever both have become: somebody claims to refuse.
func Claimed(v *bailey.View, guard string) bool {
	if v.Get(bailey.KindValidatingAdmissionPolicy, "", Prefix+guard) == nil {
		return false
	}
	return slices.ContainsFunc(v.List(bailey.KindValidatingAdmissionPolicyBinding, ""), func(f *bailey.Fact) bool {
		b, ok := f.Object.(*admissionv1.ValidatingAdmissionPolicyBinding)
		return ok && b.Spec.PolicyName == Prefix+guard && slices.Contains(b.Spec.ValidationActions, admissionv1.Deny)
	})
}

// ClaimNeeds are the kinds that Claimed reads.
var ClaimNeeds = []bailey.Kind{bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding}

// lacks says what makes a policy refuse less than the guard's own; empty if nothing.
func lacks(policy, own *admissionv1.ValidatingAdmissionPolicy) string {
	m := policy.Spec.MatchConstraints
	switch {
	case !equality.Semantic.DeepEqual(expressionsOf(own), expressionsOf(policy)) || !equality.Semantic.DeepEqual(own.Spec.ParamKind, policy.Spec.ParamKind):
		return "its expressions are others"
	case policy.Spec.FailurePolicy != nil && *policy.Spec.FailurePolicy != admissionv1.Fail:
		return "it fails open"
	case m == nil || !equality.Semantic.DeepEqual(rulesOf(own.Spec.MatchConstraints.ResourceRules), rulesOf(m.ResourceRules)):
		return "it looks at other requests"
	case m.MatchPolicy != nil && *m.MatchPolicy == admissionv1.Exact:
		return "it looks at requests of one API version only"
	case len(policy.Spec.MatchConditions) > 0:
		return "it has match conditions"
	case len(m.ExcludeResourceRules) > 0 || !selectsAll(m):
		return "it leaves some requests out"
	}
	return ""
}

// rulesOf gives resource rules with what the API server fills in.
func rulesOf(rules []admissionv1.NamedRuleWithOperations) []admissionv1.NamedRuleWithOperations {
	all := admissionv1.AllScopes
	filled := slices.Clone(rules)
	for i := range filled {
		filled[i].Scope = cmp.Or(filled[i].Scope, &all)
	}
	return filled
}

// expressionsOf gives the expressions that decide, in order.
func expressionsOf(policy *admissionv1.ValidatingAdmissionPolicy) []string {
	var all []string
	for _, v := range policy.Spec.Variables {
		all = append(all, v.Name, v.Expression)
	}
	for _, v := range policy.Spec.Validations {
		all = append(all, v.Expression)
	}
	return all
}

// lacksBinding says what keeps a binding from refusing in the scope; empty if
// nothing does.
func (p *Policy) lacksBinding(v *bailey.View, b *admissionv1.ValidatingAdmissionPolicyBinding, scope bailey.Ref) string {
	m := b.Spec.MatchResources
	switch {
	case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
		return "it does not deny"
	case !sameParams(p.paramRef(), b.Spec.ParamRef):
		return "its parameters are others"
	case m == nil:
		return ""
	case len(m.ResourceRules) > 0 || len(m.ExcludeResourceRules) > 0:
		return "it leaves some requests out"
	case m.ObjectSelector != nil && !network.IsEmpty(m.ObjectSelector):
		return "it leaves objects out by their labels"
	case p.ClusterWide && !selectsAll(m): // a Namespace is matched by its own labels, a ConfigMap by those of its namespace
		return "it leaves namespaces out"
	case !p.ClusterWide && m.NamespaceSelector != nil && !selects(v, m.NamespaceSelector, scope.Name):
		return "it does not choose namespace " + scope.Name
	}
	return ""
}

func (p *Policy) paramRef() *admissionv1.ParamRef {
	if p.Param == nil {
		return nil
	}
	return p.Param.reference()
}

// selects reports whether a selector chooses the namespace, whose labels are read
// only where the name does not decide.
func selects(v *bailey.View, s *metav1.LabelSelector, name string) bool {
	byName := len(s.MatchLabels) == 0
	for i := range s.MatchExpressions {
		byName = byName && s.MatchExpressions[i].Key == nameLabel
	}
	if byName {
		return network.MatchesNamespace(s, name, nil)
	}
	namespace := v.Get(bailey.KindNamespace, "", name)
	return namespace != nil && network.MatchesNamespace(s, name, namespace.Labels)
}

func selectsAll(m *admissionv1.MatchResources) bool {
	return (m.NamespaceSelector == nil || network.IsEmpty(m.NamespaceSelector)) && (m.ObjectSelector == nil || network.IsEmpty(m.ObjectSelector))
}
