package enforce

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce/policy"
)

// paramsOf gives what the policies take as parameters: of the plan what it creates, of
// the snapshot the kinds that were seen. A snapshot holds no values of ConfigMaps but
// for the parameters that are Bailey's own; policies about others are not decided.
func paramsOf(s *bailey.Snapshot, p *Plan, taken []*admissionv1.ParamKind) (map[schema.GroupVersionKind]policy.Params, error) {
	all := map[schema.GroupVersionKind]policy.Params{}
	for _, of := range taken {
		if of == nil {
			continue
		}
		gvk := schema.FromAPIVersionAndKind(of.APIVersion, of.Kind)
		if _, done := all[gvk]; done {
			continue
		}
		kind := bailey.KindOf(of.APIVersion, of.Kind)
		params := policy.Params{Namespaced: !kind.IsClusterWide()}
		for i := range p.Changes {
			if c := &p.Changes[i]; c.Object.Kind == kind && c.Creates {
				params.Objects = append(params.Objects, &unstructured.Unstructured{Object: c.Apply})
			}
		}
		seen := s.Unseen(kind, "", "") == nil
		for _, f := range s.List(kind, "") {
			own := f.Namespace == metav1.NamespaceSystem && slices.Contains(bailey.PolicyParams, f.Name)
			if kind == bailey.KindConfigMap && !own {
				continue
			}
			object, err := contentOf(f)
			if err != nil {
				return nil, err
			}
			u := &unstructured.Unstructured{Object: copied(object).(map[string]any)}
			u.SetGroupVersionKind(gvk)
			params.Objects = append(params.Objects, u)
		}
		if seen || len(params.Objects) > 0 {
			all[gvk] = params
		}
	}
	return all, nil
}
