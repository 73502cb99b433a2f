package vap

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// TestPresent tells a policy that is in place from one that is there and refuses less.
func TestPresent(t *testing.T) {
	p := Policy{Control: "a/b", Name: "g", Resources: PodBearing, Variables: PodVariables, Checks: []Check{Pods("size(variables.containers) < 9", "'no'")}}
	type policy = admissionv1.ValidatingAdmissionPolicy
	type binding = admissionv1.ValidatingAdmissionPolicyBinding
	for name, test := range map[string]struct {
		change func(*policy, *binding)
		scope  string // shop if empty
		lack   string // in place if empty
	}{
		"as it is made":      {change: func(*policy, *binding) {}},
		"under another name": {change: func(p *policy, b *binding) { p.Name, b.Spec.PolicyName = "ours", "ours" }},
		"without a selector": {change: func(_ *policy, b *binding) { b.Spec.MatchResources = nil }},
		"by a label of the namespace": {change: func(_ *policy, b *binding) {
			b.Spec.MatchResources.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
		}},
		"only audits": {change: func(_ *policy, b *binding) {
			b.Spec.ValidationActions = []admissionv1.ValidationAction{"Warn", "Audit"}
		}, lack: "does not deny"},
		"fails open":         {change: func(p *policy, _ *binding) { ignore := admissionv1.Ignore; p.Spec.FailurePolicy = &ignore }, lack: "fails open"},
		"another expression": {change: func(p *policy, _ *binding) { p.Spec.Validations[0].Expression = "true" }, lack: "expressions are others"},
		"another variable": {change: func(p *policy, _ *binding) {
			p.Spec.Variables = append([]admissionv1.Variable{}, p.Spec.Variables...)
			p.Spec.Variables[2].Expression = "[]"
		}, lack: "expressions are others"},
		"a match condition": {change: func(p *policy, _ *binding) {
			p.Spec.MatchConditions = []admissionv1.MatchCondition{{Name: "n", Expression: "false"}}
		}, lack: "match conditions"},
		"fewer requests": {change: func(p *policy, _ *binding) {
			p.Spec.MatchConstraints.ResourceRules = p.Spec.MatchConstraints.ResourceRules[:1]
		}, lack: "other requests"},
		"one version of the API only": {change: func(p *policy, _ *binding) { exact := admissionv1.Exact; p.Spec.MatchConstraints.MatchPolicy = &exact }, lack: "of one API version"},
		"requests left out":           {change: func(p *policy, _ *binding) { p.Spec.MatchConstraints.ExcludeResourceRules = PodBearing[:1] }, lack: "leaves some requests out"},
		"objects left out": {change: func(p *policy, _ *binding) {
			p.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}, lack: "leaves some requests out"},
		"objects left out when bound": {change: func(_ *policy, b *binding) {
			b.Spec.MatchResources.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}, lack: "by their labels"},
		"bound for another namespace": {change: func(_ *policy, b *binding) {
			b.Spec.MatchResources.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "b"}}
		}, lack: "does not choose namespace shop"},
		"bound to another policy":        {change: func(_ *policy, b *binding) { b.Spec.PolicyName = "other" }, lack: "no binding"},
		"a namespace of Kubernetes' own": {change: func(*policy, *binding) {}, scope: "kube-system", lack: "alone"},
	} {
		own, bound := p.policy("g"), p.binding("g")
		test.change(own, bound)
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}, Labels: map[string]string{"team": "a"}, Object: &corev1.Namespace{}},
			&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicy, Name: own.Name}, Object: own},
			&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: bound.Name}, Object: bound})
		scope := "shop"
		if test.scope != "" {
			scope = test.scope
		}
		g := Guard(p)
		view := bailey.NewView(b.Snapshot())
		view.Allow(nil, g.Needs, g.Derives)
		got := g.Present(view, bailey.Ref{Kind: bailey.KindNamespace, Name: scope})
		if got.InPlace != (test.lack == "") || !strings.Contains(got.Why, test.lack) {
			t.Errorf("%s: in place %t: %s", name, got.InPlace, got.Why)
		}
	}
}

// TestPresentWithParams wants the parameters to be the guard's own, and to be there.
func TestPresentWithParams(t *testing.T) {
	p := Policy{Control: "a/b", Name: "g", Resources: PodBearing, Variables: PodVariables, Checks: []Check{Pods("has(params.data)", "'no'")},
		Param: &Param{APIVersion: "v1", Kind: bailey.KindConfigMap, Namespace: ParamNamespace, Name: "list", Object: func(*bailey.View) (map[string]string, string) {
			return map[string]string{"a": "b"}, "look at it"
		}}}
	allow := admissionv1.AllowAction
	kept := p.keepsParam()
	type binding = admissionv1.ValidatingAdmissionPolicyBinding
	for name, test := range map[string]struct {
		change  func(*binding)
		keeps   func(*binding) // what becomes of the binding of the policy that keeps the object
		unkept  bool
		missing bool
		lack    string
		plans   int
	}{
		"as it is made":         {change: func(*binding) {}},
		"the object is missing": {change: func(*binding) {}, missing: true, lack: "is missing", plans: 3},
		"nothing keeps it":      {change: func(*binding) {}, unkept: true, lack: "no ValidatingAdmissionPolicy bailey-g-parameter-kept", plans: 2},
		"another object":        {change: func(b *binding) { b.Spec.ParamRef.Name = "other" }, lack: "parameters are others", plans: 2},
		"no object":             {change: func(b *binding) { b.Spec.ParamRef = nil }, lack: "parameters are others", plans: 2},
		"without it all passes": {change: func(b *binding) { b.Spec.ParamRef.ParameterNotFoundAction = &allow }, lack: "parameters are others", plans: 2},
		"of another namespace":  {change: func(b *binding) { b.Spec.ParamRef.Namespace = "shop" }, lack: "parameters are others", plans: 2},
		"kept in some namespaces": {change: func(*binding) {}, keeps: func(b *binding) {
			b.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}}
		}, lack: "bailey-g-parameter-kept is there, but it leaves namespaces out", plans: 2},
		"kept in all, as the API server fills it in": {change: func(*binding) {}, keeps: func(b *binding) {
			b.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{}}
		}},
	} {
		own, bound := p.policy("g"), p.binding("g")
		test.change(bound)
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicy, Name: own.Name}, Object: own},
			&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: bound.Name}, Object: bound})
		if !test.unkept {
			keeps, by := kept.policy("g"), kept.binding("g")
			if test.keeps != nil {
				test.keeps(by)
			}
			b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicy, Name: keeps.Name}, Object: keeps},
				&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: by.Name}, Object: by})
		}
		if !test.missing {
			b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindConfigMap, Namespace: ParamNamespace, Name: "list"}, Object: &corev1.ConfigMap{}})
		}
		g := Guard(p)
		view := bailey.NewView(b.Snapshot())
		view.Allow(nil, g.Needs, g.Derives)
		scope := bailey.Ref{Kind: bailey.KindNamespace, Name: "shop"}
		got := g.Present(view, scope)
		if got.InPlace != (test.lack == "") || !strings.Contains(got.Why, test.lack) {
			t.Errorf("%s: in place %t: %s", name, got.InPlace, got.Why)
		}
		if n := len(g.Objects(view, scope)); n != test.plans {
			t.Errorf("%s: %d objects are planned, want %d", name, n, test.plans)
		}
	}
}
