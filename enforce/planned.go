package enforce

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce/policy"
)

// planned are the plan's objects of a kind.
func planned[T any](p *Plan, k bailey.Kind) ([]*T, error) {
	var all []*T
	for _, c := range p.Changes {
		if c.Object.Kind != k {
			continue
		}
		o := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(c.Apply, o); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// plannedPolicies are the plan's policies of a kind, and those that are there already and
// lack a binding only, by the names that bindings ask for.
func plannedPolicies[T any](s *bailey.Snapshot, p *Plan, k bailey.Kind, nameOf func(*T) string, bound []string) ([]*T, error) {
	all, err := planned[T](p, k)
	if err != nil {
		return nil, err
	}
	for _, name := range bound {
		if slices.ContainsFunc(all, func(o *T) bool { return nameOf(o) == name }) {
			continue
		}
		if f := s.Get(bailey.Ref{Kind: k, Name: name}); f != nil {
			if o, ok := f.Object.(*T); ok {
				all = append(all, o)
			}
		}
	}
	return all, nil
}

// mutatingOf are the plan's mutating policies.
func mutatingOf(s *bailey.Snapshot, p *Plan) (source policy.MutatingSource, err error) {
	source = policy.MutatingSource{Version: s.Meta.Version, Namespaces: namespacesOf(s)}
	if source.Bindings, err = planned[admissionv1.MutatingAdmissionPolicyBinding](p, bailey.KindMutatingAdmissionPolicyBinding); err != nil {
		return source, err
	}
	var bound []string
	for _, b := range source.Bindings {
		bound = append(bound, b.Spec.PolicyName)
	}
	source.Policies, err = plannedPolicies(s, p, bailey.KindMutatingAdmissionPolicy, func(o *admissionv1.MutatingAdmissionPolicy) string { return o.Name }, bound)
	return source, err
}

// validatingOf are the plan's validating policies.
func validatingOf(s *bailey.Snapshot, p *Plan) (source policy.Source, err error) {
	source = policy.Source{Version: s.Meta.Version}
	if source.Bindings, err = planned[admissionv1.ValidatingAdmissionPolicyBinding](p, bailey.KindValidatingAdmissionPolicyBinding); err != nil {
		return source, err
	}
	var bound []string
	for _, b := range source.Bindings {
		bound = append(bound, b.Spec.PolicyName)
	}
	source.Policies, err = plannedPolicies(s, p, bailey.KindValidatingAdmissionPolicy, func(o *admissionv1.ValidatingAdmissionPolicy) string { return o.Name }, bound)
	return source, err
}
