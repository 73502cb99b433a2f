package policy_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce/policy"
)

// mutatingPolicies take parameters by their name and by labels, merge a configuration, and
// look at what is in no namespace. The first has two bindings.
const mutatingPolicies = `
kind: MutatingAdmissionPolicy
metadata: {name: a-params}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  matchConditions: [{name: spared, expression: "object.metadata.name != params.data.spares"}]
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/labels/' + params.data.key, value: params.data.value}]"}}]
---
kind: MutatingAdmissionPolicyBinding
metadata: {name: a-by-name}
spec: {policyName: a-params, paramRef: {name: one, namespace: NAMESPACE, parameterNotFoundAction: Deny}, matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}}
---
kind: MutatingAdmissionPolicyBinding
metadata: {name: a-by-labels}
spec: {policyName: a-params, paramRef: {selector: {matchLabels: {kind: more}}, parameterNotFoundAction: Deny}, matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}}
---
kind: MutatingAdmissionPolicy
metadata: {name: b-merges}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: "Object{spec: Object.spec{securityContext: Object.spec.securityContext{runAsNonRoot: true}, containers: [Object.spec.containers{name: 'second', workingDir: '/' + namespaceObject.metadata.name}]}}"}
---
kind: MutatingAdmissionPolicyBinding
metadata: {name: b-merges}
spec: {policyName: b-merges, matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}}
---
kind: MutatingAdmissionPolicy
metadata: {name: c-of-the-cluster}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], operations: [CREATE], resources: [clusterroles]}]}
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/labels/by', value: 'policy'}]"}}]
---
kind: MutatingAdmissionPolicyBinding
metadata: {name: c-of-the-cluster}
spec: {policyName: c-of-the-cluster}
`

// mutatingSource reads policies, and gives the path and the text of each object to create.
func mutatingSource(t *testing.T, text string) (source policy.MutatingSource, made [][2]any) {
	t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		into := any(&admissionv1.MutatingAdmissionPolicy{})
		resource := "mutatingadmissionpolicies"
		if o["kind"] == "MutatingAdmissionPolicyBinding" {
			into, resource = &admissionv1.MutatingAdmissionPolicyBinding{}, "mutatingadmissionpolicybindings"
		}
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Fatal(err)
		}
		switch into := into.(type) {
		case *admissionv1.MutatingAdmissionPolicy:
			source.Policies = append(source.Policies, into)
		case *admissionv1.MutatingAdmissionPolicyBinding:
			source.Bindings = append(source.Bindings, into)
		}
		made = append(made, [2]any{resource, o})
	}
	return source, made
}

// TestMutationsAgreeWithTheServer wants the evaluator to make of objects what the API server
// makes of them.
func TestMutationsAgreeWithTheServer(t *testing.T) {
	cluster := devclustertest.Own(t)
	namespace := devclustertest.NamespaceIn(t, cluster, nil)
	source, made := mutatingSource(t, strings.ReplaceAll(strings.TrimSpace(mutatingPolicies), "NAMESPACE", namespace))
	params := policy.Params{Namespaced: true}
	for name, labels := range map[string]map[string]string{"one": nil, "two": {"kind": "more"}, "three": {"kind": "more"}, "four": {"kind": "others"}} {
		p := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
			Data: map[string]string{"key": "by-" + name, "value": name, "spares": "spared-by-" + name}}
		do(t, cluster, "POST", "/api/v1/namespaces/"+namespace+"/configmaps", p, nil)
		params.Objects = append(params.Objects, p)
	}
	source.Params = map[schema.GroupVersionKind]policy.Params{corev1.SchemeGroupVersion.WithKind("ConfigMap"): params}
	for _, m := range made {
		do(t, cluster, "POST", "/apis/admissionregistration.k8s.io/v1/"+m[0].(string), m[1], nil)
	}
	var ns corev1.Namespace
	do(t, cluster, "GET", "/api/v1/namespaces/"+namespace, nil, &ns)
	source.Namespaces = []*corev1.Namespace{&ns}
	mutations := policy.CompileMutations(source)

	pod := func(name string) *corev1.Pod {
		return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"a": "b"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "first", Image: "a"}, {Name: "second", Image: "b"}}}}
	}
	role := &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: "r", Labels: map[string]string{"a": "b"}}}
	for _, test := range []struct {
		object runtime.Object
		meta   metav1.Object
		path   string
		kind   schema.GroupVersionKind
		want   map[string]string // labels
	}{
		{pod("p"), pod("p"), "/api/v1/namespaces/" + namespace + "/pods", corev1.SchemeGroupVersion.WithKind("Pod"), map[string]string{"a": "b", "by-one": "one", "by-two": "two", "by-three": "three"}},
		{pod("spared-by-two"), pod("spared-by-two"), "/api/v1/namespaces/" + namespace + "/pods", corev1.SchemeGroupVersion.WithKind("Pod"), map[string]string{"a": "b", "by-one": "one", "by-three": "three"}},
		{role, role, "/apis/rbac.authorization.k8s.io/v1/clusterroles", rbacv1.SchemeGroupVersion.WithKind("ClusterRole"), map[string]string{"a": "b", "by": "policy"}},
	} {
		resource := test.kind.GroupVersion().WithResource(strings.ToLower(test.kind.Kind) + "s")
		changed, undecided, err := mutations.Apply(t.Context(), &policy.Request{Operation: admission.Create, Kind: test.kind, Resource: resource, Namespace: test.meta.GetNamespace(), Name: test.meta.GetName(),
			Object: test.object, Options: &metav1.CreateOptions{}, User: &user.DefaultInfo{Name: "somebody"}})
		if err != nil || len(undecided) > 0 || len(changed) == 0 {
			t.Fatalf("%s: %v, undecided %v, %d changes", test.meta.GetName(), err, undecided, len(changed))
		}
		said := ""
		text := outcome(t, changed[len(changed)-1].After)
		for begin := time.Now(); said != text; time.Sleep(100 * time.Millisecond) {
			var stored unstructured.Unstructured
			if err := cluster.Do(t.Context(), "POST", test.path+"?dryRun=All", test.object, &stored.Object); err != nil {
				said = err.Error()
			} else {
				said = outcome(t, &stored)
			}
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("%s: the API server makes of it %s, the evaluator %s", test.meta.GetName(), said, text)
			}
		}
		if !strings.HasPrefix(text, fmt.Sprint(test.want)) {
			t.Errorf("%s: %s", test.meta.GetName(), text)
		}
	}
}

// outcome is what the policies may have changed.
func outcome(t *testing.T, o runtime.Object) string {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	u := unstructured.Unstructured{Object: content}
	nonRoot, _, _ := unstructured.NestedBool(content, "spec", "securityContext", "runAsNonRoot")
	containers, _, _ := unstructured.NestedSlice(content, "spec", "containers")
	var places []string
	for _, c := range containers {
		m, _ := c.(map[string]any)
		places = append(places, fmt.Sprint(m["name"], m["image"], m["workingDir"]))
	}
	return fmt.Sprint(maps.Clone(u.GetLabels()), nonRoot, places)
}

// TestMutationsUndecided: what a policy depends on and was not seen is told, of that policy
// alone.
func TestMutationsUndecided(t *testing.T) {
	const text = `
kind: MutatingAdmissionPolicy
metadata: {name: tried}
spec:
  matchConstraints: {resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE], resources: ["*"]}]}
  SPEC
---
kind: MutatingAdmissionPolicyBinding
metadata: {name: tried}
spec: {policyName: tried, BINDING}
---
kind: MutatingAdmissionPolicy
metadata: {name: z-sound}
spec:
  matchConstraints: {resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: [CREATE], resources: ["*"]}]}
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'by': 'policy'}}]"}}]
---
kind: MutatingAdmissionPolicyBinding
metadata: {name: z-sound}
spec: {policyName: z-sound}
`
	const label = `mutations: [{patchType: JSONPatch, jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'by': 'tried'}}]"}}]`
	const asks = `authorizer.group('').resource('pods').check('get').allowed()`
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "shop"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	role := &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: "r"}}
	namespace := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	custom := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Shop", "metadata": map[string]any{"name": "s", "namespace": "shop"}}}
	for what, test := range map[string]struct {
		spec, binding string
		object        runtime.Object
		why           string // empty: it is decided
	}{
		"in no namespace":                        {label, "", role, ""},
		"a namespace":                            {label, "", namespace, ""},
		"a namespace that was not seen":          {label, "", pod, ""},
		"reads one that was not seen":            {strings.Replace(label, "'tried'", "namespaceObject.metadata.name", 1), "", pod, "namespace shop was not seen"},
		"parameters that were not seen":          {"paramKind: {apiVersion: v1, kind: ConfigMap}\n  " + label, "paramRef: {name: x, namespace: shop, parameterNotFoundAction: Deny}", pod, "parameter kind ConfigMap was not seen"},
		"does not compile":                       {strings.Replace(label, "'tried'", "nobody.knows", 1), "", pod, "it does not compile: spec.mutations[0]"},
		"a condition that does not compile":      {"matchConditions: [{name: a, expression: 'nobody.knows'}]\n  " + label, "", pod, "it does not compile: spec.matchConditions[0]"},
		"a patch type that is not known":         {"mutations: [{patchType: Later}]", "", pod, `the patchType "Later" is not known`},
		"who asks":                               {"matchConditions: [{name: a, expression: \"request.userInfo.username == 'x'\"}]\n  " + label, "", pod, "it reads who asks, which is not known"},
		"asks the authorizer":                    {strings.Replace(label, "'tried'", asks+" ? 'a' : 'b'", 1), "", pod, "it asks the authorizer, who was not asked"},
		"asks the authorizer in a condition":     {"matchConditions: [{name: a, expression: \"" + asks + "\"}]\n  " + label, "", pod, "it asks the authorizer, who was not asked"},
		"a condition that is false all the same": {"matchConditions: [{name: a, expression: \"" + asks + " && object.metadata.name == 'other'\"}]\n  " + label, "", pod, "it asks the authorizer, who was not asked"},
		"merges into a custom kind":              {"mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: \"Object{metadata: Object.metadata{labels: Object.metadata.labels{by: 'tried'}}}\"}}]", "", custom, "the schema of Shop.example.com was not seen"},
	} {
		source, _ := mutatingSource(t, strings.TrimSpace(strings.NewReplacer("SPEC", test.spec, ", BINDING", strings.TrimSuffix(", "+test.binding, ", ")).Replace(text)))
		m, ok := test.object.(metav1.Object)
		if !ok {
			t.Fatal(what)
		}
		kind := test.object.GetObjectKind().GroupVersionKind()
		changed, undecided, err := policy.CompileMutations(source).Apply(t.Context(), &policy.Request{Operation: admission.Create, Kind: kind, Resource: kind.GroupVersion().WithResource(strings.ToLower(kind.Kind) + "s"),
			Namespace: m.GetNamespace(), Name: m.GetName(), Object: test.object, Options: &metav1.CreateOptions{}})
		if err != nil {
			t.Fatal(err)
		}
		var by []string
		for _, c := range changed {
			by = append(by, c.Policy)
		}
		switch {
		case test.why == "" && (len(undecided) > 0 || fmt.Sprint(by) != "[tried z-sound]"):
			t.Errorf("%s: undecided %v, changed by %q", what, undecided, by)
		case test.why != "" && (len(undecided) != 1 || undecided[0].Policy != "tried" || !strings.Contains(undecided[0].Why, test.why) || fmt.Sprint(by) != "[z-sound]"):
			t.Errorf("%s: undecided %v, changed by %q", what, undecided, by)
		}
	}
}
