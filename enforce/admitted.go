package enforce

import (
	"context"
	"fmt"
	"slices"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce/policy"
)

// InForce are the policies that a snapshot holds.
type InForce struct {
	snapshot *bailey.Snapshot
	source   policy.Source
	// Bound counts the policies that have a binding, Unbound those that have none.
	Bound, Unbound int

	mu     sync.Mutex
	params map[bailey.Kind]*policy.Params
}

// NewInForce gathers the policies of the snapshot, and their bindings.
func NewInForce(s *bailey.Snapshot) *InForce {
	f := &InForce{snapshot: s, source: policy.Source{Version: s.Meta.Version}, params: map[bailey.Kind]*policy.Params{}}
	bound := map[string]bool{}
	for _, fact := range s.List(bailey.KindValidatingAdmissionPolicyBinding, "") {
		if b, ok := fact.Object.(*admissionv1.ValidatingAdmissionPolicyBinding); ok {
			f.source.Bindings = append(f.source.Bindings, b)
			bound[b.Spec.PolicyName] = true
		}
	}
	for _, fact := range s.List(bailey.KindValidatingAdmissionPolicy, "") {
		p, ok := fact.Object.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok {
			continue
		}
		if !bound[p.Name] {
			f.Unbound++
			continue
		}
		f.Bound++
		f.source.Policies = append(f.source.Policies, p)
		if kind := p.Spec.ParamKind; kind != nil {
			k := bailey.KindOf(kind.APIVersion, kind.Kind)
			f.params[k] = &policy.Params{Namespaced: !k.IsClusterWide()}
		}
	}
	return f
}

// Params reports whether some policy takes parameters: Param must then be shown every
// object, before Judge.
func (f *InForce) Params() bool { return len(f.params) > 0 }

// Param keeps an object whole if policies take such objects as parameters.
func (f *InForce) Param(apiVersion, kind string, object any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	params := f.params[bailey.KindOf(apiVersion, kind)]
	if params == nil {
		return nil
	}
	o, err := asObject(object)
	if err != nil {
		return err
	}
	o = o.DeepCopyObject()
	o.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(apiVersion, kind))
	params.Objects = append(params.Objects, o)
	return nil
}

// Judge compiles the policies. The problems are of those that do not compile, which
// decide by their failure policy.
func (f *InForce) Judge() (*Judge, []error) {
	source := f.source
	source.Params = map[schema.GroupVersionKind]policy.Params{}
	for _, p := range source.Policies {
		if kind := p.Spec.ParamKind; kind != nil {
			if k := bailey.KindOf(kind.APIVersion, kind.Kind); f.snapshot.Unseen(k, "", "") == nil {
				source.Params[schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind)] = *f.params[k]
			}
		}
	}
	return newJudge(f.snapshot, source)
}

// Cover is how far policies in force refuse what violates one rule.
type Cover struct {
	Control string `json:"control"`
	Rule    string `json:"rule"`
	// Refused and Tried count the rule's objects that violate it, each in each namespace.
	// What is refused for something else is not counted: the same policy must admit the
	// object without the violation.
	Refused int `json:"refused"`
	Tried   int `json:"tried"`
	// Undecided counts those that nobody refuses and that some policy could not be
	// evaluated on.
	Undecided int `json:"undecided,omitempty"`
	// By names the policies that refuse, sorted.
	By []string `json:"by"`
}

// coverNamespaces bounds in how many namespaces objects are tried.
const coverNamespaces = 20

// Pair is an object that violates a rule, and the same object without the violation, in
// one way or several.
type Pair struct {
	Bad  map[string]any
	Good []map[string]any
}

// Covered tries objects that violate a rule, as they are created by nobody in
// particular, in the snapshot's namespaces but Kubernetes' own. A refusal because a
// policy failed counts for nothing, nor does one of a policy that refuses the object
// without the violation, too.
func (j *Judge) Covered(ctx context.Context, s *bailey.Snapshot, control, rule string, pairs []Pair) (Cover, error) {
	c := Cover{Control: control, Rule: rule, By: []string{}}
	places := slices.DeleteFunc(scopes(s, bailey.ScopeNamespace), func(r bailey.Ref) bool { return slices.Contains(bailey.SystemNamespaces, r.Name) })
	if len(places) > coverNamespaces {
		sample := make([]bailey.Ref, coverNamespaces)
		for i := range sample {
			sample[i] = places[i*len(places)/coverNamespaces]
		}
		places = sample
	}
	for _, pair := range pairs {
		at := places
		if clusterWide(pair.Bad) {
			at = []bailey.Ref{{}}
		}
		for _, place := range at {
			refusing, undecided, err := j.refusing(ctx, pair.Bad, place.Name, false)
			if err != nil {
				return c, fmt.Errorf("%s: %w", rule, err)
			}
			refused := map[string]bool{}
			for _, good := range pair.Good {
				if len(refusing) == 0 {
					break
				}
				still, _, err := j.refusing(ctx, good, place.Name, true)
				if err != nil {
					return c, fmt.Errorf("%s: %w", rule, err)
				}
				for name := range refusing {
					if !still[name] {
						refused[name] = true
					}
				}
			}
			c.Tried++
			switch {
			case len(refused) > 0:
				c.Refused++
			case undecided:
				c.Undecided++
			}
			for name := range refused {
				if !slices.Contains(c.By, name) {
					c.By = append(c.By, name)
				}
			}
		}
	}
	slices.Sort(c.By)
	return c, nil
}

// refusing names the policies that refuse the creation of an object in a namespace, and
// if asked for those that refuse because they fail.
func (j *Judge) refusing(ctx context.Context, object map[string]any, namespace string, failing bool) (by map[string]bool, undecided bool, err error) {
	o := &unstructured.Unstructured{Object: copied(object).(map[string]any)}
	if namespace != "" {
		o.SetNamespace(namespace)
	}
	gvk := o.GroupVersionKind()
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	denials, open, err := j.set.Review(ctx, &policy.Request{Operation: admission.Create, Kind: gvk, Resource: resource,
		Namespace: namespace, Name: o.GetName(), Object: o, Options: &metav1.CreateOptions{}})
	by = map[string]bool{}
	for _, d := range denials {
		if d.Denies && (failing || !d.Failed) {
			by[d.Policy] = true
		}
	}
	return by, len(open) > 0, err
}

func clusterWide(object map[string]any) bool {
	o := unstructured.Unstructured{Object: object}
	return bailey.KindOf(o.GetAPIVersion(), o.GetKind()).IsClusterWide()
}
