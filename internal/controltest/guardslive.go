package controltest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// testLabel marks the objects that a policy under test may look at, in the place of
// a namespace.
const testLabel = "bailey.example/guard"

// GuardsLive puts each of the controls' admission policies in place on the API server,
// for a namespace of its own, and sends every Bad, every pod of one in every other way
// into the cluster, and the objects of the cases. What a covered rule finds must be
// refused by the policy, and nothing else may be. The control plane is the caller's own:
// its other tests would meet the policies.
func GuardsLive(t *testing.T, cluster *devcluster.Cluster, controls ...*bailey.Control) {
	t.Helper()
	for _, c := range controls {
		for _, g := range c.Guards {
			policies, bindings := admissionPolicies(t, g)
			if len(policies) == 0 || !slices.ContainsFunc(g.Covers, func(r *bailey.Rule) bool { return looksAtBad(t, policies, r) }) {
				continue
			}
			t.Run(g.Name, func(t *testing.T) { guardLive(t, cluster, c, g, policies, bindings) })
		}
	}
}

func guardLive(t *testing.T, cluster *devcluster.Cluster, c *bailey.Control, g *bailey.Guard, policies []*admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding) {
	l := &live{t: t, cluster: cluster, guard: g, policies: policies, bindings: bindings, namespace: devclustertest.NamespaceIn(t, cluster, nil)}
	if slices.ContainsFunc(policies, asksAuthorizer) {
		l.as = WithoutGrants(t, cluster)
	}
	var samples []Sample
	for _, r := range g.Covers {
		for _, bad := range r.Bad {
			if sample := (Sample{Name: "Bad of " + r.Name, Text: []byte(bad)}); l.takes(sample) {
				samples = append(samples, sample)
			}
		}
	}
	bads := len(samples)
	for _, sample := range Samples(t, c) {
		if strings.HasSuffix(sample.Name, ".txtar") && l.takes(sample) {
			samples = append(samples, sample)
		}
	}
	l.install()
	for i, sample := range samples {
		for _, document := range documents(t, sample.Text) {
			if i < bads {
				l.offer(sample.Name, document)
				continue
			}
			o := l.object(document)
			if said := l.send(o); said == "" || l.isRefusal(said) { // some cases are no objects for a server
				l.compare(sample.Name, o, said)
			}
		}
	}
	if l.refused == 0 || l.admitted == 0 {
		t.Errorf("%d refused and %d admitted: too little was tried", l.refused, l.admitted)
	}
	t.Logf("%d refused, %d admitted", l.refused, l.admitted)
}

// takes adds the sample's parameters to those that are in place, and reports whether
// they can be there together with what was there before.
func (l *live) takes(sample Sample) bool {
	l.t.Helper()
	var more []*unstructured.Unstructured
	for _, u := range paramsIn(l.t, sample.Text, l.policies) {
		if l.isLocal(u) {
			u.SetNamespace(l.namespace)
		}
		there := append(slices.Clip(l.params), more...)
		at := slices.IndexFunc(there, func(p *unstructured.Unstructured) bool {
			return p.GetKind() == u.GetKind() && p.GetName() == u.GetName()
		})
		switch {
		case at < 0:
			more = append(more, u)
		case !equality.Semantic.DeepEqual(there[at].Object, u.Object):
			return false
		}
	}
	l.params = append(l.params, more...)
	return true
}

type live struct {
	t         *testing.T
	cluster   *devcluster.Cluster
	guard     *bailey.Guard
	policies  []*admissionv1.ValidatingAdmissionPolicy
	bindings  []*admissionv1.ValidatingAdmissionPolicyBinding
	params    []*unstructured.Unstructured // as the samples have them
	namespace string

	// as is who sends the objects; the administrator if nil.
	as *http.Client

	refused, admitted int
	debugged          bool // the pod that is debugged is there
}

// install creates the policies under names of the test's own, bound for its namespace,
// or outside of namespaces for what bears its label, and waits until they refuse.
func (l *live) install() {
	const path = "/apis/admissionregistration.k8s.io/v1/"
	for _, p := range l.policies {
		p.Name += "-" + l.namespace
		l.create(path+"validatingadmissionpolicies", p.Name, p)
	}
	for _, b := range l.bindings {
		b.Name, b.Spec.PolicyName = b.Name+"-"+l.namespace, b.Spec.PolicyName+"-"+l.namespace
		selector := &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": l.namespace}}
		b.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: selector}
		if ref := b.Spec.ParamRef; ref != nil && ref.Namespace != "" {
			ref.Namespace = l.namespace
		}
		if l.guard.Scope == bailey.ScopeCluster { // what lies in namespaces bears the label too
			b.Spec.MatchResources = &admissionv1.MatchResources{ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{testLabel: l.namespace}}}
		}
		l.create(path+"validatingadmissionpolicybindings", b.Name, b)
	}
	for _, p := range l.params {
		p = p.DeepCopy()
		if l.isLocal(p) {
			l.settle(p)
			continue
		}
		if p.GetNamespace() != "" {
			p.SetNamespace(l.namespace)
		}
		l.create(pathOf(p), p.GetName(), p.Object)
	}
	begin := time.Now()
	for _, document := range l.bads() {
		for said := "-"; !l.isRefusal(said); time.Sleep(50 * time.Millisecond) {
			if said = l.send(l.object(document)); time.Since(begin) > 30*time.Second {
				l.t.Fatalf("the policy is not in force: the server says %q to %s", said, document)
			}
		}
	}
}

// isLocal reports whether an object is a parameter that each namespace has.
func (l *live) isLocal(u *unstructured.Unstructured) bool {
	return slices.ContainsFunc(l.bindings, func(b *admissionv1.ValidatingAdmissionPolicyBinding) bool {
		return isLocal(b) && b.Spec.ParamRef.Name == u.GetName()
	})
}

// settle gives a parameter that Kubernetes makes in the test's namespace the fields of the
// sample's.
func (l *live) settle(p *unstructured.Unstructured) {
	fields := map[string]any{}
	for key, value := range p.Object {
		if key != "apiVersion" && key != "kind" && key != "metadata" {
			fields[key] = value
		}
	}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) { // until its controller has made it
		err := l.cluster.Do(l.t.Context(), http.MethodPatch, pathOf(p)+"/"+p.GetName(), fields, nil)
		if err == nil {
			return
		}
		if time.Since(begin) > 30*time.Second {
			l.t.Fatal(err)
		}
	}
}

func asksAuthorizer(p *admissionv1.ValidatingAdmissionPolicy) bool {
	return slices.ContainsFunc(p.Spec.Validations, func(v admissionv1.Validation) bool { return strings.Contains(v.Expression, "authorizer") })
}

// bads gives the Bad objects that the policies look at, the first of each text.
func (l *live) bads() [][]byte {
	var all [][]byte
	for _, r := range l.guard.Covers {
		for _, bad := range r.Bad {
			if first := documents(l.t, []byte(bad))[0]; l.looksAt(first) {
				all = append(all, first)
			}
		}
	}
	return all
}

func (l *live) looksAt(document []byte) bool {
	request := creation(l.t, document)
	return slices.ContainsFunc(l.policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool { return looksAt(p, request) })
}

func (l *live) create(path, name string, object any) {
	l.t.Helper()
	if err := l.cluster.Do(l.t.Context(), http.MethodPost, path, object, nil); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := l.cluster.Do(context.WithoutCancel(l.t.Context()), http.MethodDelete, path+"/"+name, nil, nil); err != nil {
			l.t.Error(err)
		}
	})
}

// offer sends the object, and where it is or makes a pod, that pod in every other way.
func (l *live) offer(from string, document []byte) {
	o := l.object(document)
	l.judge(from, o)
	template := templateIn(o)
	if template == nil {
		return
	}
	for _, kind := range bailey.PodBearing {
		if kind != bailey.KindOf(o.GetAPIVersion(), o.GetKind()) {
			l.judge(from, l.carrier(kind, template))
		}
	}
	l.debug(from, template)
}

// debug adds the pod's first container to a running pod, as kubectl debug does.
func (l *live) debug(from string, template map[string]any) {
	if !l.looksAtEphemeral() {
		return
	}
	const name = "debugged"
	path := "/api/v1/namespaces/" + l.namespace + "/pods"
	pod := map[string]any{"metadata": map[string]any{"name": name}, "spec": map[string]any{"automountServiceAccountToken": false,
		"containers": []any{map[string]any{"name": "main", "image": "registry.example/app@sha256:" + strings.Repeat("a", 64),
			"securityContext": map[string]any{"readOnlyRootFilesystem": true},
			"resources":       map[string]any{"requests": map[string]any{"cpu": "1m"}, "limits": map[string]any{"memory": "1Mi"}}}}}}
	if !l.debugged {
		if err := l.cluster.Do(l.t.Context(), http.MethodPost, path, pod, nil); err != nil {
			l.t.Fatalf("the pod that is debugged: %v", err)
		}
		l.debugged = true
	}
	containers, _, _ := unstructured.NestedSlice(template, "spec", "containers")
	if len(containers) == 0 {
		return
	}
	container := map[string]any{"name": "debugger"}
	for _, key := range []string{"image", "imagePullPolicy", "securityContext", "env", "command", "args"} {
		if value := containers[0].(map[string]any)[key]; value != nil {
			container[key] = value
		}
	}
	var o unstructured.Unstructured
	said := "409"
	for try := 0; try < 10 && strings.HasPrefix(said, "409"); try++ { // the scheduler writes the pod's status meanwhile
		o.Object = nil
		if err := l.cluster.Do(l.t.Context(), http.MethodGet, path+"/"+name, nil, &o.Object); err != nil {
			l.t.Fatal(err)
		}
		if err := unstructured.SetNestedSlice(o.Object, []any{container}, "spec", "ephemeralContainers"); err != nil {
			l.t.Fatal(err)
		}
		said = ""
		if err := l.cluster.Do(l.t.Context(), http.MethodPut, path+"/"+name+"/ephemeralcontainers?dryRun=All", o.Object, nil); err != nil {
			said = err.Error()
		}
	}
	l.compare(from, &o, said)
}

func (l *live) looksAtEphemeral() bool {
	for _, p := range l.policies {
		for _, rule := range p.Spec.MatchConstraints.ResourceRules {
			if slices.Contains(rule.Resources, "pods/ephemeralcontainers") {
				return true
			}
		}
	}
	return false
}

// judge sends the object, and compares.
func (l *live) judge(from string, o *unstructured.Unstructured) { l.compare(from, o, l.send(o)) }

// compare sets what the server said to an object beside what the covered rules do.
func (l *live) compare(from string, o *unstructured.Unstructured, said string) {
	text, err := json.Marshal(o.Object)
	if err != nil {
		l.t.Fatal(err)
	}
	facts := Facts(l.t, text)
	for _, p := range l.params {
		context, err := json.Marshal(p.Object)
		if err != nil {
			l.t.Fatal(err)
		}
		facts = append(facts, Facts(l.t, context)...)
	}
	found := evaluate(l.guard.Covers, caseSettings{version: bailey.LatestVersion}.snapshot(facts, nil))
	switch {
	case !l.looksAt(text):
	case len(found.findings) > 0 && !l.isRefusal(said):
		l.t.Errorf("%s: a covered rule finds %s, and the server says %q:\n%s", from, found.findings[0].Message, said, text)
	case len(found.findings) == 0 && l.isRefusal(said):
		l.t.Errorf("%s: no covered rule finds anything, and the server says %q:\n%s", from, said, text)
	case l.isRefusal(said):
		l.refused++
	case said == "":
		l.admitted++
	}
}

// send creates the object by dry-run, and gives what the server says; nothing where
// it is admitted.
func (l *live) send(o *unstructured.Unstructured) string {
	do := l.cluster.Do
	if l.as != nil {
		do = func(ctx context.Context, method, path string, in, out any) error {
			return l.cluster.DoAs(ctx, l.as, method, path, in, out)
		}
	}
	if err := do(l.t.Context(), http.MethodPost, pathOf(o)+"?dryRun=All", o.Object, nil); err != nil {
		return err.Error()
	}
	return ""
}

// WithoutGrants gives the client of a user who may do everything that RBAC knows by a
// verb, and holds none of the verbs that policies ask the authorizer about.
func WithoutGrants(t *testing.T, cluster *devcluster.Cluster) *http.Client {
	t.Helper()
	const name, path = "bailey-without-grants", "/apis/rbac.authorization.k8s.io/v1/"
	everything := map[string]any{"metadata": map[string]any{"name": name}, "rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"},
		"verbs": []any{"get", "list", "watch", "create", "update", "patch", "delete", "escalate", "bind", "approve", "sign", "attest"}}}}
	binding := map[string]any{"metadata": map[string]any{"name": name},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}}}
	for resource, o := range map[string]any{"clusterroles": everything, "clusterrolebindings": binding} {
		var status *devcluster.StatusError
		if err := cluster.Do(t.Context(), http.MethodPost, path+resource, o, nil); err != nil && !(errors.As(err, &status) && status.Code == http.StatusConflict) {
			t.Fatal(err)
		}
	}
	client, err := cluster.HTTPClientFor(name)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// pathOf is where objects like this are created.
func pathOf(o *unstructured.Unstructured) string {
	gvk := o.GroupVersionKind()
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	path := "/apis/" + gvk.Group + "/" + gvk.Version
	if gvk.Group == "" {
		path = "/api/" + gvk.Version
	}
	if o.GetNamespace() != "" {
		path += "/namespaces/" + o.GetNamespace()
	}
	return path + "/" + resource.Resource
}

func (l *live) isRefusal(said string) bool {
	for _, p := range l.policies {
		if strings.Contains(said, "ValidatingAdmissionPolicy '"+p.Name+"'") {
			return true
		}
	}
	return false
}

// object is the document as an object of the test's namespace.
func (l *live) object(document []byte) *unstructured.Unstructured {
	request := creation(l.t, document)
	o := request.Object.(*unstructured.Unstructured)
	if o.GetNamespace() != "" {
		o.SetNamespace(l.namespace)
	}
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[testLabel] = l.namespace
	o.SetLabels(labels)
	return o
}

// templateIn is the pod that an object is or makes, with metadata and spec; nil if none.
func templateIn(o *unstructured.Unstructured) map[string]any {
	path, bears := templatePaths[bailey.KindOf(o.GetAPIVersion(), o.GetKind())]
	if !bears {
		return nil
	}
	template, _, _ := unstructured.NestedMap(o.Object, path...)
	kept := map[string]any{"spec": template["spec"]}
	labels, _, _ := unstructured.NestedMap(template, "metadata", "labels")
	if labels == nil {
		labels = map[string]any{}
	}
	labels["app"] = "guarded"
	notes, _, _ := unstructured.NestedMap(template, "metadata", "annotations")
	kept["metadata"] = map[string]any{"labels": labels, "annotations": notes}
	return kept
}

var templatePaths = map[bailey.Kind][]string{
	bailey.KindPod: {}, bailey.KindPodTemplate: {"template"}, bailey.KindCronJob: {"spec", "jobTemplate", "spec", "template"},
	bailey.KindDeployment: {"spec", "template"}, bailey.KindReplicaSet: {"spec", "template"}, bailey.KindStatefulSet: {"spec", "template"},
	bailey.KindDaemonSet: {"spec", "template"}, bailey.KindJob: {"spec", "template"}, bailey.KindReplicationController: {"spec", "template"},
}

// carrier is an object of the kind that makes the pod.
func (l *live) carrier(kind bailey.Kind, template map[string]any) *unstructured.Unstructured {
	name, group := kind.Split()
	gvk := schema.GroupVersionKind{Group: group, Version: "v1", Kind: name}
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(gvk)
	template = (&unstructured.Unstructured{Object: template}).DeepCopy().Object
	spec := template["spec"].(map[string]any)
	switch kind {
	case bailey.KindJob, bailey.KindCronJob:
		if spec["restartPolicy"] == nil || spec["restartPolicy"] == "Always" {
			spec["restartPolicy"] = "Never"
		}
	case bailey.KindPod, bailey.KindPodTemplate:
	default:
		delete(spec, "restartPolicy")
	}
	if path := templatePaths[kind]; len(path) > 0 {
		if err := unstructured.SetNestedMap(o.Object, template, path...); err != nil {
			l.t.Fatal(err)
		}
	} else {
		o.Object["spec"], o.Object["metadata"] = spec, template["metadata"]
	}
	selector := map[string]any{"app": "guarded"}
	switch kind {
	case bailey.KindDeployment, bailey.KindReplicaSet, bailey.KindStatefulSet, bailey.KindDaemonSet:
		o.Object["spec"].(map[string]any)["selector"] = map[string]any{"matchLabels": selector}
		if kind == bailey.KindStatefulSet {
			o.Object["spec"].(map[string]any)["serviceName"] = "guarded"
		}
	case bailey.KindReplicationController:
		o.Object["spec"].(map[string]any)["selector"] = selector
	case bailey.KindCronJob:
		o.Object["spec"].(map[string]any)["schedule"] = "0 0 1 1 *"
	}
	o.SetName("guarded")
	o.SetNamespace(l.namespace)
	return o
}
