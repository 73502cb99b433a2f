package apply

import (
	"cmp"
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/baileyhq/bailey"
)

// readerOf says which binding of an admission policy there is by which a ConfigMap is read
// as a parameter; empty if none. Bindings are taken away before what they read: one that
// is there stays.
func (a *Applier) readerOf(ctx context.Context, r *Record, current *unstructured.Unstructured) (string, error) {
	if r.Object.Kind != bailey.KindConfigMap {
		return "", nil
	}
	for _, kinds := range [][2]bailey.Kind{
		{bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding},
		{bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding},
	} {
		policies, err := a.listed(ctx, kinds[0])
		if err != nil {
			return "", err
		}
		reads := map[string]bool{} // by the policy's name
		for _, p := range policies {
			apiVersion, _, _ := unstructured.NestedString(p.Object, "spec", "paramKind", "apiVersion")
			kind, _, _ := unstructured.NestedString(p.Object, "spec", "paramKind", "kind")
			reads[p.GetName()] = apiVersion == current.GetAPIVersion() && kind == current.GetKind()
		}
		bindings, err := a.listed(ctx, kinds[1])
		if err != nil {
			return "", err
		}
		for i := range bindings {
			policy, _, _ := unstructured.NestedString(bindings[i].Object, "spec", "policyName")
			if reads[policy] && refersTo(&bindings[i], current) {
				return fmt.Sprintf("%s %s reads it as a parameter, and stays", bindings[i].GetKind(), bindings[i].GetName()), nil
			}
		}
	}
	return "", nil
}

// listed gives the objects of a kind of the cluster; none where it serves no such kind.
func (a *Applier) listed(ctx context.Context, k bailey.Kind) ([]unstructured.Unstructured, error) {
	kind, group := k.Split()
	mapping, err := a.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind})
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := a.client.Resource(mapping.Resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("whether a policy reads it as a parameter could not be seen: %w", err)
	}
	return list.Items, nil
}

// refersTo reports whether the binding's paramRef means the object, by its name or its
// labels. Without a namespace it means one in the namespace of each request.
func refersTo(binding, object *unstructured.Unstructured) bool {
	ref, there, _ := unstructured.NestedMap(binding.Object, "spec", "paramRef")
	var p admissionv1.ParamRef
	if !there || runtime.DefaultUnstructuredConverter.FromUnstructured(ref, &p) != nil || cmp.Or(p.Namespace, object.GetNamespace()) != object.GetNamespace() {
		return false
	}
	if p.Selector == nil {
		return p.Name == object.GetName()
	}
	selector, err := metav1.LabelSelectorAsSelector(p.Selector)
	return err == nil && selector.Matches(labels.Set(object.GetLabels()))
}
