package enforce

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce/policy"
)

// Alteration is an object that is there and that a planned mutating policy would change if
// it were created now.
type Alteration struct {
	Object bailey.Ref `json:"object"`
	Fields []Altered  `json:"fields"`
}

// Altered is a field that would come out changed.
type Altered struct {
	// Field is its path: spec.containers[0].securityContext.
	Field string `json:"field"`
	// Was and Is are its values; nil where it is not set.
	Was any `json:"was,omitempty"`
	Is  any `json:"is,omitempty"`
}

// mutate lets the judge apply mutating policies too.
func (j *Judge) mutate(s *bailey.Snapshot, source policy.MutatingSource) {
	if len(source.Policies) == 0 {
		return
	}
	j.mutations, j.altering = policy.CompileMutations(source), map[string]map[schema.GroupResource]bool{}
	for _, p := range source.Policies {
		named := resourcesOf(p.Spec.MatchConstraints)
		j.altering[p.Name] = named
		j.impact[p.Name] = &Effect{JudgedIn: map[string]int{}, Refused: []Refusal{}, Undecided: map[string]int{}, Unseen: unseen(s, named)}
	}
}

// alter notes what the mutating policies would make of an object.
func (j *Judge) alter(ctx context.Context, o runtime.Object, m metav1.Object, gvk schema.GroupVersionKind, resource schema.GroupVersionResource, who user.Info) error {
	looking := naming(j.altering, resource.GroupResource())
	if len(looking) == 0 {
		return nil
	}
	if who == nil {
		who = maker(o, m)
	}
	changed, undecided, err := j.mutations.Apply(ctx, &policy.Request{Operation: admission.Create, Kind: gvk, Resource: resource,
		Namespace: m.GetNamespace(), Name: m.GetName(), Object: o, Options: &metav1.CreateOptions{}, User: who})
	if err != nil {
		return err
	}
	altered := map[string][]Altered{}
	for _, c := range changed {
		before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.Before)
		if err != nil {
			return err
		}
		after, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c.After)
		if err != nil {
			return err
		}
		altered[c.Policy] = append(altered[c.Policy], alterations("", before, after)...)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, name := range looking {
		j.impact[name].Judged++
		j.impact[name].JudgedIn[m.GetNamespace()]++
	}
	for _, u := range undecided {
		j.impact[u.Policy].Undecided[u.Why]++
	}
	ref := bailey.Ref{Kind: bailey.KindOf(gvk.GroupVersion().String(), gvk.Kind), Namespace: m.GetNamespace(), Name: m.GetName()}
	for name, fields := range altered {
		j.impact[name].Altered = append(j.impact[name].Altered, Alteration{ref, fields})
	}
	return nil
}

// alterations gives the smallest fields in which two values differ. Lists of one length are
// compared by place.
func alterations(path string, was, is any) []Altered {
	if reflect.DeepEqual(was, is) {
		return nil
	}
	before, wasMap := was.(map[string]any)
	after, isMap := is.(map[string]any)
	if isMap && (wasMap || was == nil) && len(after) > 0 {
		var all []Altered
		keys := map[string]bool{}
		for _, m := range []map[string]any{before, after} {
			for k := range m {
				keys[k] = true
			}
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			all = append(all, alterations(strings.TrimPrefix(path+"."+k, "."), before[k], after[k])...)
		}
		return all
	}
	old, wasList := was.([]any)
	list, isList := is.([]any)
	if wasList && isList && len(old) == len(list) {
		var all []Altered
		for i := range list {
			all = append(all, alterations(fmt.Sprintf("%s[%d]", path, i), old[i], list[i])...)
		}
		return all
	}
	return []Altered{{path, was, is}}
}
