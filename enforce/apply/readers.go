package apply

import (
	"cmp"
	"context"
	"errors"
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

// readers are the bindings by which admission policies read parameters. They are listed
// once: bindings and policies are taken away before what they read, and those that are
// there then stay.
type readers struct {
	of     *Applier
	listed bool
	err    error // why they could not be listed
	all    []reader
}

// reader is a binding whose policy takes parameters.
type reader struct {
	binding unstructured.Unstructured
	params  admissionv1.ParamKind
}

// readerOf says which binding there is by which an object is read as a parameter; empty if
// none. The error is of one of which that cannot be told.
func (r *readers) readerOf(ctx context.Context, object *unstructured.Unstructured) (string, error) {
	if !r.listed {
		r.listed = true
		r.err = r.list(ctx)
	}
	if r.err != nil {
		return "", r.err
	}
	var untold error
	for i := range r.all {
		one := &r.all[i]
		if one.params.APIVersion != object.GetAPIVersion() || one.params.Kind != object.GetKind() {
			continue
		}
		name := one.binding.GetKind() + " " + one.binding.GetName()
		reads, err := refersTo(&one.binding, object)
		if err != nil {
			untold = errors.Join(untold, fmt.Errorf("the paramRef of %s is not understood: %w", name, err))
		} else if reads {
			return name + " reads it as a parameter, and stays", nil
		}
	}
	return "", untold
}

func (r *readers) list(ctx context.Context) error {
	for _, kinds := range [][2]bailey.Kind{
		{bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding},
		{bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding},
	} {
		policies, err := r.of.listed(ctx, kinds[0])
		if err != nil {
			return err
		}
		params := map[string]admissionv1.ParamKind{} // by the policy's name
		for _, p := range policies {
			apiVersion, _, err := unstructured.NestedString(p.Object, "spec", "paramKind", "apiVersion")
			kind, _, err2 := unstructured.NestedString(p.Object, "spec", "paramKind", "kind")
			if err := errors.Join(err, err2); err != nil {
				return fmt.Errorf("the paramKind of %s %s is not understood: %w", p.GetKind(), p.GetName(), err)
			}
			params[p.GetName()] = admissionv1.ParamKind{APIVersion: apiVersion, Kind: kind}
		}
		bindings, err := r.of.listed(ctx, kinds[1])
		if err != nil {
			return err
		}
		for i := range bindings {
			policy, _, err := unstructured.NestedString(bindings[i].Object, "spec", "policyName")
			if err != nil {
				return fmt.Errorf("the policyName of %s %s is not understood: %w", bindings[i].GetKind(), bindings[i].GetName(), err)
			}
			if p := params[policy]; p.Kind != "" {
				r.all = append(r.all, reader{bindings[i], p})
			}
		}
	}
	return nil
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
		return nil, err
	}
	return list.Items, nil
}

// refersTo reports whether the binding's paramRef means the object, by its name or its
// labels. Without a namespace it means one in the namespace of each request. The error is of
// a paramRef that this version of Bailey does not understand.
func refersTo(binding, object *unstructured.Unstructured) (bool, error) {
	ref, there, err := unstructured.NestedMap(binding.Object, "spec", "paramRef")
	if err != nil || !there {
		return false, err
	}
	var p admissionv1.ParamRef
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(ref, &p); err != nil {
		return false, err
	}
	switch {
	case cmp.Or(p.Namespace, object.GetNamespace()) != object.GetNamespace():
		return false, nil
	case p.Selector == nil && p.Name == "":
		return false, errors.New("it has neither a name nor a selector")
	case p.Selector == nil:
		return p.Name == object.GetName(), nil
	}
	selector, err := metav1.LabelSelectorAsSelector(p.Selector)
	if err != nil {
		return false, err
	}
	return selector.Matches(labels.Set(object.GetLabels())), nil
}
