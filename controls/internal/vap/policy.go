// Package vap makes guards that are ValidatingAdmissionPolicies: the objects
// that put one in place, and whether one is. It is pure.
package vap

import (
	"slices"
	"sync"

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
	Tried         []*bailey.Experiment
	// ClusterWide tells that it looks at objects outside of namespaces.
	ClusterWide bool
	// Resources are the requests it looks at.
	Resources []admissionv1.NamedRuleWithOperations
	Variables []admissionv1.Variable
	Checks    []Check
	// Labels, if set, are those that a namespace bears for the policy to look into it.
	Labels map[string]string
	// Param is what its expressions read as params; nil if they read none. One that is
	// one object of the cluster is kept from being deleted by a policy beside it.
	Param *Param
	// With are more policies of the same guard, each about requests or with a
	// parameter of its own. Of these Title, Doc, Covers, Tried and With count for nothing.
	With []Policy
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
	parts := append([]Policy{p}, p.With...)
	for i := range parts {
		if parts[i].Param != nil && parts[i].Param.isOne() {
			parts = append(parts, parts[i].keepsParam())
		}
	}
	needs := []bailey.Kind{bailey.KindNamespace, bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding}
	var derives []*bailey.Derivation
	owns := make([]*admissionv1.ValidatingAdmissionPolicy, len(parts))
	pairs := make([]func() []bailey.Change, len(parts)) // made once, as they are the same for each scope
	for i := range parts {
		parts[i].Control = p.Control
		owns[i] = parts[i].policy(p.Name)
		pairs[i] = sync.OnceValue(func() []bailey.Change { return parts[i].pair(p.Name) })
		if param := parts[i].Param; param != nil {
			needs = append(needs, param.needs()...)
			if param.derive(); param.content != nil {
				derives = append(derives, param.content)
			}
		}
	}
	return &bailey.Guard{
		Name: p.Name, Title: p.Title, Doc: p.Doc, Covers: p.Covers, Tried: p.Tried, Scope: scope,
		Needs: needs, Derives: derives,
		Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
			if p.spares(scope) {
				return nil
			}
			var changes []bailey.Change
			for i := range parts {
				if parts[i].concerns(v, scope) && !parts[i].present(v, scope, owns[i]).InPlace {
					changes = append(changes, pairs[i]()...)
					if param := parts[i].Param; param != nil && param.Object != nil && param.lacking(v) {
						changes = append(changes, param.change(v, parts[i].meta(p.Name)))
					}
				}
			}
			return changes
		},
		Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
			var first bailey.Presence
			for i := range parts {
				if !parts[i].concerns(v, scope) {
					continue
				}
				presence := parts[i].present(v, scope, owns[i])
				if !presence.InPlace {
					return presence
				}
				if i == 0 {
					first = presence
				}
			}
			return first
		},
	}
}

// spares reports whether the scope is a namespace that the policy leaves alone.
func (p *Policy) spares(scope bailey.Ref) bool {
	return !p.ClusterWide && slices.Contains(bailey.SystemNamespaces, scope.Name)
}

// concerns reports whether the policy is about the scope at all.
func (p *Policy) concerns(v *bailey.View, scope bailey.Ref) bool {
	if p.Labels == nil {
		return true
	}
	namespace := v.Get(bailey.KindNamespace, "", scope.Name)
	if namespace == nil {
		return false
	}
	for key, value := range p.Labels {
		if namespace.Labels[key] != value {
			return false
		}
	}
	return true
}

// Objects gives the policy and its binding, for one that is no part of a guard's objects.
// It has no parameter.
func Objects(p Policy) []bailey.Change { return p.pair(p.Name) }

// pair gives the policy and its binding.
func (p *Policy) pair(guard string) []bailey.Change {
	return []bailey.Change{Creation(bailey.KindValidatingAdmissionPolicy, p.policy(guard)), Creation(bailey.KindValidatingAdmissionPolicyBinding, p.binding(guard))}
}

func (p *Policy) meta(guard string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        Prefix + p.Name,
		Labels:      map[string]string{ManagedByLabel: "bailey"},
		Annotations: map[string]string{GuardAnnotation: p.Control + "/" + guard},
	}
}

func (p *Policy) policy(guard string) *admissionv1.ValidatingAdmissionPolicy {
	fail, equivalent := admissionv1.Fail, admissionv1.Equivalent
	policy := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: p.meta(guard),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy:    &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: p.Resources, MatchPolicy: &equivalent},
			Variables:        p.Variables,
		},
	}
	if p.Param != nil {
		policy.Spec.ParamKind = &admissionv1.ParamKind{APIVersion: p.Param.APIVersion, Kind: p.Param.Kind.Short()}
	}
	for _, c := range p.Checks {
		policy.Spec.Validations = append(policy.Spec.Validations, admissionv1.Validation{Expression: c.Expression, Message: c.Message, MessageExpression: c.MessageExpression})
	}
	return policy
}

func (p *Policy) binding(guard string) *admissionv1.ValidatingAdmissionPolicyBinding {
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: p.meta(guard),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        Prefix + p.Name,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny, admissionv1.Audit},
		},
	}
	if p.Param != nil {
		binding.Spec.ParamRef = p.Param.reference()
	}
	if !p.ClusterWide {
		binding.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: p.Labels,
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: nameLabel, Operator: metav1.LabelSelectorOpNotIn, Values: bailey.SystemNamespaces}}}}
	}
	return binding
}

// object is what is created as objects, with its identity.
type object interface {
	metav1.Object
	runtime.Object
}

// Creation is a change that creates the object, as maps, lists and scalars.
func Creation(kind bailey.Kind, o object) bailey.Change {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		panic(err) // of types that have no JSON; these have
	}
	delete(content, "status")
	delete(content["metadata"].(map[string]any), "creationTimestamp")
	apiVersion, _ := content["apiVersion"].(string)
	return bailey.Change{Object: bailey.Ref{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}, APIVersion: apiVersion, Content: content}
}
