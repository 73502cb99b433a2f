// Package vap makes guards that are ValidatingAdmissionPolicies: the objects
// that put one in place, and whether one is. It is pure.
package vap

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
)

// Labels and annotation of the objects that guards make.
const (
	ManagedByLabel  = "app.kubernetes.io/managed-by" // "bailey"
	GuardAnnotation = "bailey.dev/guard"             // "<control>/<guard>"
)

// Prefix begins the name of every policy and binding that a guard makes.
const Prefix = "bailey-"

// nameLabel is the label that the API server gives every namespace.
const nameLabel = "kubernetes.io/metadata.name"

// Policy is a guard in CEL.
type Policy struct {
	// Control is the control's ID; Name is the guard's, unique among all controls.
	Control, Name string
	Title, Doc    string
	Covers        []*bailey.Rule
	// ClusterWide tells that it looks at objects outside of namespaces.
	ClusterWide bool
	// Resources are the requests it looks at.
	Resources []admissionv1.NamedRuleWithOperations
	Variables []admissionv1.Variable
	Checks    []Check
}

// Check is one expression that must be true of what is admitted.
type Check struct {
	// Expression is CEL. It may read the policy's variables.
	Expression string
	// Message, or MessageExpression in CEL, says what is wrong and what to do.
	Message, MessageExpression string
}

// Guard makes the guard.
func Guard(p Policy) *bailey.Guard {
	scope := bailey.ScopeNamespace
	if p.ClusterWide {
		scope = bailey.ScopeCluster
	}
	own := p.policy()
	return &bailey.Guard{
		Name: p.Name, Title: p.Title, Doc: p.Doc, Covers: p.Covers, Scope: scope,
		Needs: []bailey.Kind{bailey.KindNamespace, bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding},
		Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
			if p.spares(scope) || p.present(v, scope, own).InPlace {
				return nil
			}
			return p.objects()
		},
		Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence { return p.present(v, scope, own) },
	}
}

// spares reports whether the scope is a namespace that the policy leaves alone.
func (p *Policy) spares(scope bailey.Ref) bool {
	return !p.ClusterWide && slices.Contains(bailey.SystemNamespaces, scope.Name)
}

func (p *Policy) objects() []bailey.Change {
	policy, binding := p.policy(), p.binding()
	return []bailey.Change{creation(bailey.KindValidatingAdmissionPolicy, policy.Name, policy), creation(bailey.KindValidatingAdmissionPolicyBinding, binding.Name, binding)}
}

func (p *Policy) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        Prefix + p.Name,
		Labels:      map[string]string{ManagedByLabel: "bailey"},
		Annotations: map[string]string{GuardAnnotation: p.Control + "/" + p.Name},
	}
}

func (p *Policy) policy() *admissionv1.ValidatingAdmissionPolicy {
	fail, equivalent := admissionv1.Fail, admissionv1.Equivalent
	policy := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: p.meta(),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: p.Resources, MatchPolicy: &equivalent},
			Variables:        p.Variables,
		},
	}
	for _, c := range p.Checks {
		policy.Spec.Validations = append(policy.Spec.Validations, admissionv1.Validation{Expression: c.Expression, Message: c.Message, MessageExpression: c.MessageExpression})
	}
	return policy
}

func (p *Policy) binding() *admissionv1.ValidatingAdmissionPolicyBinding {
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: p.meta(),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        Prefix + p.Name,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny, admissionv1.Audit},
		},
	}
	if !p.ClusterWide {
		binding.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: nameLabel, Operator: metav1.LabelSelectorOpNotIn, Values: bailey.SystemNamespaces}}}}
	}
	return binding
}

// creation is a change that creates the object, as maps, lists and scalars.
func creation(kind bailey.Kind, name string, object any) bailey.Change {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(err) // of types that have no JSON; these have
	}
	delete(content, "status")
	delete(content["metadata"].(map[string]any), "creationTimestamp")
	return bailey.Change{Object: bailey.Ref{Kind: kind, Name: name}, APIVersion: admissionv1.SchemeGroupVersion.String(), Content: content}
}
