package enforce

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// onlyNamed is a policy about pods and Secrets, bound for every namespace, that refuses
// what bears the name "forbidden".
func onlyNamed(expression string) *Plan {
	const version = "admissionregistration.k8s.io/v1"
	rules := []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods", "pods/ephemeralcontainers", "secrets"}}}
	meta := map[string]any{"name": "p"}
	return &Plan{Changes: []Change{
		{Object: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicy, Name: "p"}, Apply: map[string]any{"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": meta,
			"spec": map[string]any{"matchConstraints": map[string]any{"resourceRules": rules}, "validations": []any{map[string]any{"expression": expression, "message": "no"}}}}},
		{Object: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: "p"}, Apply: map[string]any{"apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": meta,
			"spec": map[string]any{"policyName": "p", "validationActions": []any{"Deny"}}}},
	}}
}

func TestImpactNamesWhatIsNotKnown(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
	b.Saw(bailey.KindNamespace, "")
	b.Saw(bailey.KindPod, "")
	b.Add(namespaceFact("shop", nil))
	look := func(expression, namespace string, names ...string) *Effect {
		judge, err := NewJudge(b.Snapshot(), onlyNamed(expression))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
			if err := judge.Look(t.Context(), "v1", "Pod", pod); err != nil {
				t.Fatal(err)
			}
			if err := judge.Look(t.Context(), "v1", "ConfigMap", &corev1.ConfigMap{ObjectMeta: pod.ObjectMeta}); err != nil {
				t.Fatal(err)
			}
		}
		return judge.Impact()["p"]
	}
	e := look("object.metadata.name != 'forbidden'", "shop", "fine", "forbidden")
	if e.Judged != 2 || len(e.Refused) != 1 || e.Refused[0].Object.Name != "forbidden" || e.Unknown() != "secrets not read" {
		t.Errorf("%+v, unknown %q", e, e.Unknown())
	}
	for expression, why := range map[string]string{
		"request.userInfo.username == 'x'":                                "secrets not read; 1 objects not decided, since it reads who asks, which is not known",
		"authorizer.group('').resource('pods').check('create').allowed()": "secrets not read; 1 objects not decided, since it asks the authorizer, who was not asked",
	} {
		if e := look(expression, "shop", "fine"); len(e.Refused) > 0 || e.Unknown() != why {
			t.Errorf("%s: %+v, unknown %q, want %q", expression, e.Refused, e.Unknown(), why)
		}
	}
	if e := look("namespaceObject.metadata.name == 'x'", "elsewhere", "fine"); len(e.Refused) > 0 || e.Unknown() != "secrets not read; 1 objects not decided, since namespace elsewhere was not seen" {
		t.Errorf("%+v, unknown %q", e.Refused, e.Unknown())
	}
}
