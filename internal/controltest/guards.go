package controltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/enforce/policy"
)

// Sample is one text of objects that a rule judges: a Bad, or a case's.
type Sample struct {
	Name string
	Text []byte
	// settings of the case that it comes from.
	settings caseSettings
}

// isThere is the file of a case that holds what is there without anybody's having asked
// for it, like the roles that the API server makes: rules judge it, guards are not asked.
const isThere = "there.yaml"

// Samples gives the Bad objects of the rules and the cases of the control.
func Samples(t *testing.T, c *bailey.Control) []Sample {
	t.Helper()
	var all []Sample
	for _, r := range c.Rules {
		for _, bad := range r.Bad {
			all = append(all, Sample{Name: "Bad of " + r.Name, Text: []byte(bad), settings: caseSettings{version: bailey.LatestVersion}})
		}
	}
	_, name, _ := strings.Cut(c.ID, "/")
	files, err := filepath.Glob(filepath.Join("testdata", name, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		archive := txtar.Parse(data)
		sample := Sample{Name: file, settings: settings(t, archive.Comment)}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".yaml") && f.Name != isThere {
				sample.Text = append(append(sample.Text, "\n---\n"...), f.Data...)
			}
		}
		all = append(all, sample)
	}
	return all
}

// Guards holds a control's admission policies and its rules together: what a
// covered rule finds in an object, its policy refuses when the object is created,
// and what no covered rule finds it admits. The objects are those of Samples.
func Guards(t *testing.T, c *bailey.Control) {
	t.Helper()
	for _, g := range c.Guards {
		policies, bindings := admissionPolicies(t, g)
		if len(policies) == 0 {
			continue
		}
		t.Run("guard "+g.Name, func(t *testing.T) {
			checkCost(t, policies, bindings)
			if !slices.ContainsFunc(g.Covers, func(r *bailey.Rule) bool { return looksAtBad(t, policies, r) }) {
				return // it refuses requests, and its experiments try them
			}
			refused, admitted := 0, 0
			for _, sample := range Samples(t, c) {
				if !sample.settings.version.AtLeast(1, 34) { // guards are for versions that are supported, and one back
					continue
				}
				if lacksParam(t, sample, policies, bindings) {
					continue
				}
				found := evaluate(g.Covers, sample.settings.snapshot(Facts(t, sample.Text), nil))
				set := compile(t, sample, policies, bindings)
				for _, document := range documents(t, sample.Text) {
					request := creation(t, document)
					if !slices.ContainsFunc(policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool { return looksAt(p, request) }) {
						continue
					}
					if lacksLocalParam(t, sample, request.Namespace, policies, bindings) {
						continue
					}
					if request.Kind.Kind == "Pod" && bytes.Contains(sample.Text, []byte("kind: LimitRange")) {
						continue // admission fills pods in before policies see them
					}
					judged, unknown, finding := false, false, ""
					for key, outcome := range found.outcomes {
						if key.object == refOf(request) {
							judged, unknown = true, unknown || outcome.kind == "unknown"
							if outcome.kind == "finding" {
								finding = key.rule
							}
						}
					}
					if !judged || unknown {
						continue
					}
					denials, undecided, err := set.Review(t.Context(), request)
					if err != nil || len(undecided) > 0 {
						t.Fatalf("%s: %v %v", sample.Name, undecided, err)
					}
					switch {
					case finding != "" && len(denials) == 0:
						t.Errorf("%s: rule %s finds something in it, and the guard admits it:\n%s", sample.Name, finding, document)
					case finding == "" && len(denials) > 0:
						t.Errorf("%s: no covered rule finds anything in it, and the guard refuses it: %+v\n%s", sample.Name, denials, document)
					case len(denials) > 0:
						refused++
						if denials[0].Failed {
							t.Errorf("%s: the policy fails: %s\n%s", sample.Name, denials[0].Message, document)
						}
					default:
						admitted++
					}
				}
			}
			if refused == 0 || admitted == 0 {
				t.Errorf("%d refused and %d admitted: too little was tried", refused, admitted)
			}
		})
	}
}

// looksAtBad reports whether the policies look at some Bad object of the rule.
func looksAtBad(t *testing.T, policies []*admissionv1.ValidatingAdmissionPolicy, r *bailey.Rule) bool {
	for _, bad := range r.Bad {
		for _, document := range documents(t, []byte(bad)) {
			request := creation(t, document)
			if slices.ContainsFunc(policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool { return looksAt(p, request) }) {
				return true
			}
		}
	}
	return false
}

// lacksParam reports whether a binding names a parameter that the sample does not hold.
func lacksParam(t *testing.T, sample Sample, policies []*admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding) bool {
	t.Helper()
	params := paramsIn(t, sample.Text, policies)
	for _, b := range bindings {
		if b.Spec.ParamRef == nil || b.Spec.ParamRef.Name == "" {
			continue
		}
		if !slices.ContainsFunc(params, func(u *unstructured.Unstructured) bool { return u.GetName() == b.Spec.ParamRef.Name }) {
			return true
		}
	}
	return false
}

// lacksLocalParam reports whether a binding names a parameter of the request's namespace
// that the sample does not hold there.
func lacksLocalParam(t *testing.T, sample Sample, namespace string, policies []*admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding) bool {
	t.Helper()
	return slices.ContainsFunc(bindings, func(b *admissionv1.ValidatingAdmissionPolicyBinding) bool {
		return isLocal(b) && !slices.ContainsFunc(paramsIn(t, sample.Text, policies), func(u *unstructured.Unstructured) bool {
			return u.GetName() == b.Spec.ParamRef.Name && u.GetNamespace() == namespace
		})
	})
}

// isLocal reports whether a binding's parameter is an object that each namespace has.
func isLocal(b *admissionv1.ValidatingAdmissionPolicyBinding) bool {
	return b.Spec.ParamRef != nil && b.Spec.ParamRef.Name != "" && b.Spec.ParamRef.Namespace == ""
}

// paramsIn gives the objects of a text that are of a kind that policies take as parameters.
func paramsIn(t *testing.T, text []byte, policies []*admissionv1.ValidatingAdmissionPolicy) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, document := range documents(t, text) {
		u := &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(document, &u.Object); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool {
			return p.Spec.ParamKind != nil && p.Spec.ParamKind.APIVersion == u.GetAPIVersion() && p.Spec.ParamKind.Kind == u.GetKind()
		}) {
			if namespaced, known := object.Namespaced(object.KindOf(u.GetAPIVersion(), u.GetKind())); known && namespaced && u.GetNamespace() == "" {
				u.SetNamespace("default")
			}
			all = append(all, u)
		}
	}
	return all
}

// paramSource is the parameters of a text as the evaluator takes them: every kind that
// the policies name counts as listed.
func paramSource(t *testing.T, text []byte, policies []*admissionv1.ValidatingAdmissionPolicy) map[schema.GroupVersionKind]policy.Params {
	t.Helper()
	source := map[schema.GroupVersionKind]policy.Params{}
	for _, p := range policies {
		if p.Spec.ParamKind == nil {
			continue
		}
		gvk := schema.FromAPIVersionAndKind(p.Spec.ParamKind.APIVersion, p.Spec.ParamKind.Kind)
		namespaced, _ := object.Namespaced(object.KindOf(p.Spec.ParamKind.APIVersion, p.Spec.ParamKind.Kind))
		params := policy.Params{Namespaced: namespaced}
		for _, u := range paramsIn(t, text, policies) {
			if u.GroupVersionKind() == gvk {
				params.Objects = append(params.Objects, u)
			}
		}
		source[gvk] = params
	}
	return source
}

// looksAt reports whether a policy names the request's operation and resource.
func looksAt(p *admissionv1.ValidatingAdmissionPolicy, r *policy.Request) bool {
	return slices.ContainsFunc(p.Spec.MatchConstraints.ResourceRules, func(rule admissionv1.NamedRuleWithOperations) bool {
		return slices.Contains(rule.Operations, admissionv1.OperationType(r.Operation)) && slices.Contains(rule.APIGroups, r.Resource.Group) && slices.Contains(rule.Resources, r.Resource.Resource)
	})
}

// chosen are labels that a namespace bears for guards to look into it.
var chosen = map[string]string{"bailey.dev/accounts": "own"}

// admissionPolicies gives the policies and bindings that the guard makes on an
// empty cluster, in force.
func admissionPolicies(t *testing.T, g *bailey.Guard) (policies []*admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding) {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{At: At, Medium: "cluster", Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: "default"}, APIVersion: "v1", Labels: chosen, Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: chosen}}})
	view := bailey.NewView(b.Snapshot())
	view.Allow(nil, g.Needs, g.Derives)
	scope := bailey.Ref{}
	if g.Scope == bailey.ScopeNamespace {
		scope = bailey.Ref{Kind: bailey.KindNamespace, Name: "default"}
	}
	if g.Objects == nil {
		return nil, nil // settings are no objects
	}
	for _, change := range g.Objects(view, scope) {
		switch change.Object.Kind {
		case bailey.KindValidatingAdmissionPolicy:
			policies = append(policies, convert[admissionv1.ValidatingAdmissionPolicy](t, change.Content))
		case bailey.KindValidatingAdmissionPolicyBinding:
			bindings = append(bindings, convert[admissionv1.ValidatingAdmissionPolicyBinding](t, change.Content))
		}
	}
	return policies, bindings
}

func convert[T any](t *testing.T, content map[string]any) *T {
	t.Helper()
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, into); err != nil {
		t.Fatal(err)
	}
	return into
}

func compile(t *testing.T, sample Sample, policies []*admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding) *policy.Set {
	t.Helper()
	source := policy.Source{Version: sample.settings.version, Policies: policies, Bindings: bindings, Params: paramSource(t, sample.Text, policies)}
	seen := map[string]bool{}
	for _, document := range documents(t, sample.Text) {
		var u unstructured.Unstructured
		if err := utiljson.Unmarshal(document, &u.Object); err != nil {
			t.Fatal(err)
		}
		if u.GetKind() == "Namespace" {
			seen[u.GetName()] = true
			ns := convert[corev1.Namespace](t, u.Object)
			if ns.Labels == nil {
				ns.Labels = map[string]string{}
			}
			maps.Copy(ns.Labels, chosen)
			source.Namespaces = append(source.Namespaces, ns)
		}
	}
	for _, f := range append(Facts(t, sample.Text), &bailey.Fact{Ref: bailey.Ref{Namespace: "default"}}) {
		if name := f.Namespace; name != "" && !seen[name] {
			seen[name] = true
			labels := maps.Clone(chosen)
			labels[corev1.LabelMetadataName] = name
			source.Namespaces = append(source.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
		}
	}
	set, problems := policy.Compile(source)
	for _, p := range problems {
		t.Fatal(p)
	}
	return set
}

// creation is the request that creates the object.
func creation(t *testing.T, document []byte) *policy.Request {
	t.Helper()
	var u unstructured.Unstructured
	if err := utiljson.Unmarshal(document, &u.Object); err != nil {
		t.Fatal(err)
	}
	kind := schema.FromAPIVersionAndKind(u.GetAPIVersion(), u.GetKind())
	if namespaced, known := object.Namespaced(object.KindOf(u.GetAPIVersion(), u.GetKind())); (namespaced || !known) && u.GetNamespace() == "" {
		u.SetNamespace("default")
	}
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return &policy.Request{Operation: admission.Create, Kind: kind, Resource: resource,
		Namespace: u.GetNamespace(), Name: u.GetName(), Object: &u, Options: &metav1.CreateOptions{}, User: somebody, Authorizer: allowsNothing}
}

// somebody is who asks: the authorizer knows of no right of theirs.
var (
	somebody      = &user.DefaultInfo{Name: "somebody"}
	allowsNothing = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "", nil
	})
)

func refOf(r *policy.Request) bailey.Ref {
	return bailey.Ref{Kind: bailey.KindOf(r.Kind.GroupVersion().String(), r.Kind.Kind), Namespace: r.Namespace, Name: r.Name}
}

// etcdLimit is how large an object can be, in bytes.
const etcdLimit = 1_500_000

// checkCost wants the policies to decide on the largest objects that there can be,
// within the API server's cost budget: created, updated in their last part, and labelled.
func checkCost(t *testing.T, policies []*admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding) {
	t.Helper()
	set := compile(t, Sample{Text: []byte(largeParams()), settings: caseSettings{version: bailey.LatestVersion}}, policies, bindings)
	for name, large := range largeObjects(t) {
		old := &unstructured.Unstructured{Object: large.object}
		changed := old.DeepCopy()
		list, _, err := unstructured.NestedSlice(changed.Object, large.list...)
		if err != nil {
			t.Fatal(err)
		}
		unstructured.SetNestedField(list[len(list)-1].(map[string]any), "other", large.field)
		if err := unstructured.SetNestedSlice(changed.Object, list, large.list...); err != nil {
			t.Fatal(err)
		}
		kind := old.GroupVersionKind()
		resource, _ := meta.UnsafeGuessKindToResource(kind)
		for operation, request := range map[string]*policy.Request{
			"created":  {Operation: admission.Create, Object: old, Options: &metav1.CreateOptions{}},
			"updated":  {Operation: admission.Update, Object: changed, Old: old, Options: &metav1.UpdateOptions{}},
			"labelled": {Operation: admission.Update, Object: old, Old: old, Options: &metav1.UpdateOptions{}},
		} {
			request.Kind, request.Resource, request.Namespace, request.Name = kind, resource, old.GetNamespace(), "large"
			request.User, request.Authorizer = somebody, allowsNothing
			denials, undecided, err := set.Review(t.Context(), request)
			if err != nil || len(undecided) > 0 {
				t.Fatalf("%v %v", undecided, err)
			}
			for _, d := range denials {
				if d.Failed {
					t.Errorf("a %s of 1.5 MB with many %s, %s: %s", old.GetKind(), name, operation, d.Message)
				}
			}
		}
	}
}

// largeObject is an object as large as etcd takes, with the list that is changed in its
// last item's field.
type largeObject struct {
	object map[string]any
	list   []string
	field  string
}

// largeObjects are of the kinds that policies look at, by what makes them large.
func largeObjects(t *testing.T) map[string]largeObject {
	t.Helper()
	many := func(item func(i int) map[string]any) []any {
		var list []any
		for i, size := 0, 0; size < etcdLimit; i++ {
			list = append(list, item(i))
			text, err := json.Marshal(list[i])
			if err != nil {
				t.Fatal(err)
			}
			size += len(text) + 1
		}
		return list
	}
	of := func(apiVersion, kind, namespace string, fields map[string]any) map[string]any {
		metadata := map[string]any{"name": "large"}
		if namespace != "" {
			metadata["namespace"] = namespace
		}
		o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
		for key, value := range fields {
			o[key] = value
		}
		return o
	}
	const rbac = "rbac.authorization.k8s.io/v1"
	rules := many(func(int) map[string]any {
		return map[string]any{"apiGroups": []any{""}, "resources": []any{"secrets", "nodes/proxy", "*"}, "verbs": []any{"*", "get", "impersonate"}}
	})
	subjects := many(func(i int) map[string]any { return map[string]any{"kind": "User", "name": fmt.Sprintf("user-%d", i)} })
	admin := map[string]any{"subjects": subjects, "roleRef": map[string]any{"kind": "ClusterRole", "name": "cluster-admin"}}
	return map[string]largeObject{
		"containers":            {largePod(t, true), []string{"spec", "containers"}, "image"},
		"variables":             {largePod(t, false), []string{"spec", "containers"}, "image"},
		"rules":                 {of(rbac, "Role", "default", map[string]any{"rules": rules}), []string{"rules"}, "other"},
		"rules, clusterwide":    {of(rbac, "ClusterRole", "", map[string]any{"rules": rules}), []string{"rules"}, "other"},
		"subjects":              {of(rbac, "RoleBinding", "default", admin), []string{"subjects"}, "name"},
		"subjects, clusterwide": {of(rbac, "ClusterRoleBinding", "", admin), []string{"subjects"}, "name"},
	}
}

// largePod is a pod as large as etcd takes: of many small containers, or of one with
// many variables.
func largePod(t *testing.T, wide bool) map[string]any {
	t.Helper()
	var containers []any
	size := 0
	add := func(list *[]any, item map[string]any) {
		*list = append(*list, item)
		text, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		size += len(text) + 1
	}
	if wide {
		for i := 0; size < etcdLimit; i++ {
			add(&containers, map[string]any{"name": fmt.Sprintf("c%d", i), "image": "registry.example/team/application:1.2.3",
				"securityContext": map[string]any{"privileged": true, "seccompProfile": map[string]any{"type": "Unconfined"}}})
		}
	} else {
		var variables []any
		for i := 0; size < etcdLimit; i++ {
			add(&variables, map[string]any{"name": fmt.Sprintf("V%d", i), "value": strings.Repeat("x", 80)})
		}
		containers = []any{map[string]any{"name": "c", "image": "registry.example/team/application:1.2.3", "env": variables}}
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "large", "namespace": "default"},
		"spec": map[string]any{"containers": containers}}
}

// largeParams are parameters as a large cluster has them.
func largeParams() string {
	var b strings.Builder
	b.WriteString("{apiVersion: v1, kind: ConfigMap, metadata: {name: " + bailey.RegistriesParam + ", namespace: kube-system}, data: {registries: \"")
	for i := range 50 {
		fmt.Fprintf(&b, "registry-%d.example.com/team-%d\\n", i, i)
	}
	b.WriteString("\"}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: " + bailey.PublishedParam + ", namespace: kube-system}, data: {services: \"")
	for i := range 500 {
		fmt.Fprintf(&b, "namespace-%d LoadBalancer\\n", i)
	}
	b.WriteString("\"}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: " + bailey.StorageClassesParam + ", namespace: kube-system}, data: {classes: \"")
	for i := range 500 {
		fmt.Fprintf(&b, "class-%d\\n", i)
	}
	b.WriteString("\"}}\n")
	b.WriteString("---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}\n")
	for i := range 3 {
		fmt.Fprintf(&b, "---\n{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: class-%d}, handler: runc}\n", i)
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: Node, metadata: {name: node-%d}, spec: {taints: [{key: a, effect: NoSchedule}]}}\n", i)
	}
	return b.String()
}
