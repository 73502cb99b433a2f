package enforce

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce/policy"
)

// Refusal is an object that is there and that a planned policy would refuse if it
// were created now.
type Refusal struct {
	Object  bailey.Ref `json:"object"`
	Message string     `json:"message"`
}

// Impact is what the planned policies would have refused of what is there, by the
// policy's name.
type Impact map[string]*Effect

// Effect is what one policy would have refused of what is there.
type Effect struct {
	// Judged counts the objects that the policy looks at.
	Judged int `json:"judged"`
	// JudgedIn counts them by namespace.
	JudgedIn map[string]int `json:"-"`
	// Refused is sorted by object.
	Refused []Refusal `json:"refused"`
	// Warned are those that a policy which does not deny would have told of.
	Warned []Refusal `json:"warned,omitempty"`
	// Altered are those that a mutating policy would have changed, and how.
	Altered []Alteration `json:"altered,omitempty"`
	// Undecided counts, by the reason, the objects that it could not be evaluated on.
	Undecided map[string]int `json:"undecided,omitempty"`
	// Unseen names what it looks at and was not read: of that, nothing is known.
	Unseen []string `json:"unseen,omitempty"`
}

// Unknown says what keeps the effect from being known whole; empty if nothing does.
func (e *Effect) Unknown() string {
	var parts []string
	if len(e.Unseen) > 0 {
		parts = append(parts, strings.Join(e.Unseen, ", ")+" not read")
	}
	for _, why := range slices.Sorted(maps.Keys(e.Undecided)) {
		parts = append(parts, fmt.Sprintf("%d objects not decided, since %s", e.Undecided[why], why))
	}
	return strings.Join(parts, "; ")
}

// guardAnnotation is what a guard's policy bears.
const guardAnnotation = "bailey.dev/guard"

// Judge evaluates a plan's admission policies, in force, on the objects that it is
// shown. Its methods may be called by several goroutines.
type Judge struct {
	set *policy.Set
	// spare tells that the policies are guards', which read who asks only to spare
	// somebody: the makers of what is there need not be known.
	spare bool

	// mutations are the mutating policies; nil if there are none.
	mutations *policy.Mutations
	// altering are the resources that each of them names.
	altering map[string]map[schema.GroupResource]bool

	// resources are those whose creation or update each validating policy names, with
	// their subresources.
	resources map[string]map[schema.GroupResource]bool

	// history is of the audit log that is replayed.
	history *history

	mu       sync.Mutex
	impact   Impact
	replayed Replayed
}

// NewJudge compiles the plan's policies for the cluster of the snapshot, mutating ones
// too. It is nil where the plan holds none.
func NewJudge(s *bailey.Snapshot, p *Plan) (*Judge, error) {
	mutating, err := mutatingOf(s, p)
	if err != nil {
		return nil, err
	}
	source, err := validatingOf(s, p)
	if err != nil {
		return nil, err
	}
	if len(source.Policies)+len(mutating.Policies) == 0 {
		return nil, nil
	}
	var taken []*admissionv1.ParamKind
	for _, of := range source.Policies {
		taken = append(taken, of.Spec.ParamKind)
	}
	for _, of := range mutating.Policies {
		taken = append(taken, of.Spec.ParamKind)
	}
	params, err := paramsOf(s, p, taken)
	if err != nil {
		return nil, err
	}
	source.Params, mutating.Params = params, params
	j, problems := newJudge(s, source)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	j.mutate(s, mutating)
	return j, nil
}

// newJudge compiles policies for the namespaces of the snapshot. Problems are of
// policies that do not compile: those decide by their failure policy.
func newJudge(s *bailey.Snapshot, source policy.Source) (j *Judge, problems []error) {
	source.Namespaces = namespacesOf(s)
	set, problems := policy.Compile(source)
	j = &Judge{set: set, spare: true, resources: map[string]map[schema.GroupResource]bool{}, impact: Impact{}, history: newHistory(historyBytes),
		replayed: Replayed{Refused: map[string][]RefusedRequests{}, NotEvaluated: map[string]int{}}}
	for _, p := range source.Policies {
		j.spare = j.spare && p.Annotations[guardAnnotation] != ""
		named := resourcesOf(p.Spec.MatchConstraints)
		j.resources[p.Name] = named
		j.impact[p.Name] = &Effect{JudgedIn: map[string]int{}, Refused: []Refusal{}, Undecided: map[string]int{}, Unseen: unseen(s, named)}
	}
	return j, problems
}

// resourcesOf are those whose creation or update a policy names, with their subresources.
func resourcesOf(m *admissionv1.MatchResources) map[schema.GroupResource]bool {
	named := map[schema.GroupResource]bool{}
	if m == nil {
		return named
	}
	for _, rule := range m.ResourceRules {
		if !slices.ContainsFunc(rule.Operations, writes) {
			continue // it says nothing of what is there
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				named[schema.GroupResource{Group: group, Resource: resource}] = true
			}
		}
	}
	return named
}

// namespacesOf are those of the snapshot, with the label that the API server gives each.
func namespacesOf(s *bailey.Snapshot) []*corev1.Namespace {
	var all []*corev1.Namespace
	for _, scope := range scopes(s, bailey.ScopeNamespace) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: scope.Name}}
		if f := s.Get(scope); f != nil {
			if o, ok := f.Object.(*corev1.Namespace); ok {
				ns = o.DeepCopy()
			}
		}
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[corev1.LabelMetadataName] = scope.Name
		all = append(all, ns)
	}
	return all
}

// writes reports whether requests of the operation bring an object in, or change one.
func writes(o admissionv1.OperationType) bool {
	return o == admissionv1.Create || o == admissionv1.Update || o == admissionv1.OperationAll
}

// unseen names the resources, but for subresources, whose objects the snapshot does
// not hold whole.
func unseen(s *bailey.Snapshot, named map[schema.GroupResource]bool) []string {
	seen := map[schema.GroupResource]bool{}
	for _, k := range bailey.KnownKinds() {
		if s.Unseen(k, "", "") == nil {
			kind, group := k.Split()
			resource, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind})
			seen[resource.GroupResource()] = true
		}
	}
	var names []string
	for r := range named {
		if !strings.Contains(r.Resource, "/") && !seen[r] {
			names = append(names, r.String())
		}
	}
	slices.Sort(names)
	return names
}

// Look judges one object as it is in the cluster: whole, nothing cut out. It is
// read and not kept. What a controller made is judged by its maker.
func (j *Judge) Look(ctx context.Context, apiVersion, kind string, object any) error {
	o, err := asObject(object)
	if err != nil {
		return err
	}
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	o.GetObjectKind().SetGroupVersionKind(gvk)
	m, err := meta.Accessor(o)
	if err != nil || madeByWorkload(m) || m.GetDeletionTimestamp() != nil {
		return err
	}
	var who user.Info
	if j.spare {
		who = maker(o, m)
	}
	if pod, ok := o.(*corev1.Pod); ok && pod.UID != "" && pod.Spec.NodeName != "" {
		pod = pod.DeepCopy() // whoever made it, the scheduler named the node
		pod.Spec.NodeName = ""
		o = pod
	}
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	if err := j.alter(ctx, o, m, gvk, resource, who); err != nil {
		return err
	}
	looking := j.lookingAt(resource.GroupResource())
	if len(looking) == 0 {
		return nil
	}
	denials, undecided, err := j.set.Review(ctx, &policy.Request{
		Operation: admission.Create, Kind: gvk, Resource: resource,
		Namespace: m.GetNamespace(), Name: m.GetName(), Object: o, Options: &metav1.CreateOptions{}, User: who,
	})
	if err != nil {
		return err
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
	ref := bailey.Ref{Kind: bailey.KindOf(apiVersion, kind), Namespace: m.GetNamespace(), Name: m.GetName()}
	slices.SortStableFunc(denials, func(a, b policy.Denial) int { return cmp.Compare(rankOf(a), rankOf(b)) })
	said := map[string]bool{}
	for _, d := range denials {
		if said[d.Policy] {
			continue
		}
		said[d.Policy] = true
		e := j.impact[d.Policy]
		if d.Denies {
			e.Refused = append(e.Refused, Refusal{ref, d.Message})
		} else {
			e.Warned = append(e.Warned, Refusal{ref, d.Message})
		}
	}
	return nil
}

// rankOf puts what denies before what warns.
func rankOf(d policy.Denial) int {
	if d.Denies {
		return 0
	}
	return 1
}

// maker is who an object is judged to be made by: a kubelet, if it mirrors a static pod,
// else nobody in particular.
func maker(o runtime.Object, m metav1.Object) user.Info {
	if _, mirror := m.GetAnnotations()[corev1.MirrorPodAnnotationKey]; mirror {
		if pod, ok := o.(*corev1.Pod); ok {
			return &user.DefaultInfo{Name: "system:node:" + pod.Spec.NodeName, Groups: []string{user.NodesGroup, user.AllAuthenticated}}
		}
	}
	return &user.DefaultInfo{Name: "bailey:nobody-in-particular", Groups: []string{user.AllAuthenticated}}
}

// lookingAt gives the validating policies that name a resource.
func (j *Judge) lookingAt(r schema.GroupResource) []string { return naming(j.resources, r) }

func naming(policies map[string]map[schema.GroupResource]bool, r schema.GroupResource) []string {
	var names []string
	for name, named := range policies {
		if named[r] {
			names = append(names, name)
		}
	}
	return names
}

// Impact is what Look has seen so far.
func (j *Judge) Impact() Impact {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.impact {
		for _, list := range [][]Refusal{e.Refused, e.Warned} {
			slices.SortFunc(list, func(a, b Refusal) int { return a.Object.Compare(b.Object) })
		}
		slices.SortFunc(e.Altered, func(a, b Alteration) int { return a.Object.Compare(b.Object) })
	}
	return j.impact
}

func asObject(object any) (runtime.Object, error) {
	switch o := object.(type) {
	case runtime.Object:
		return o, nil
	case map[string]any:
		return &unstructured.Unstructured{Object: o}, nil
	}
	return nil, fmt.Errorf("an object of type %T cannot be judged", object)
}

// madeByWorkload reports whether a workload of the built-in kinds controls the object.
func madeByWorkload(m metav1.Object) bool {
	owner := metav1.GetControllerOf(m)
	return owner != nil && bailey.KindOf(owner.APIVersion, owner.Kind).IsPodBearing()
}
