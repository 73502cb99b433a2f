package enforce_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/enforce"
)

const registration = "/apis/admissionregistration.k8s.io/v1/"

// TestStaticPoliciesLive: an administrator cannot delete or weaken a guard that an API server
// with Bailey's files keeps; who was given that can, and what is also a file goes on refusing.
func TestStaticPoliciesLive(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane, which -short leaves out")
	}
	folder := t.TempDir()
	settingsIn(t, unseen(t), folder)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{State: filepath.Join(t.TempDir(), "state"),
		ExtraAPIServerArgs: []string{"--admission-control-config-file=" + filepath.Join(folder, "control-plane", "admission.yaml")}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	do := func(method, path string, in, out any) error { return cluster.Do(ctx, method, path, in, out) }
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	kept := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "bailey-policies-kept.static.k8s.io") || !strings.Contains(err.Error(), "needs the verb unguard") {
			t.Errorf("%s: %v", what, err)
		}
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(75 * time.Second); !done(); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it did not come about that %s", what)
			}
		}
	}

	// A guard is put in place as an object.
	const guard = "bailey-images-pinned"
	for _, c := range planWhere(t, nil).Changes {
		if c.Object.Name == guard {
			resource := "validatingadmissionpolicies"
			if c.Object.Kind == bailey.KindValidatingAdmissionPolicyBinding {
				resource = "validatingadmissionpolicybindings"
			}
			must("the guard", do(http.MethodPost, registration+resource, c.Apply, nil))
		}
	}
	pod := func(image string) error {
		return do(http.MethodPost, "/api/v1/namespaces/default/pods?dryRun=All", map[string]any{"metadata": map[string]any{"name": "p"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": image}}, "automountServiceAccountToken": false}}, nil)
	}
	const tagged = "registry.example/a:1"
	pinned := "registry.example/a@sha256:" + strings.Repeat("0", 64)
	until("the guard refuses", func() bool { return pod(tagged) != nil })
	if err := pod(tagged); !strings.Contains(err.Error(), "'"+guard+"'") {
		t.Errorf("the file refuses too, before its object does: %v", err)
	}
	must("its twin", pod(pinned))

	// Now that the object refuses, so does its file.
	settingsIn(t, planInPlace(t, cluster, guard), folder)
	until("the file refuses", func() bool {
		err := pod(tagged)
		return err != nil && strings.Contains(err.Error(), guard+".static.k8s.io")
	})

	// An administrator: of system:masters, and by the role cluster-admin.
	binding := registration + "validatingadmissionpolicybindings/" + guard
	until("the policy that keeps the others is read", func() bool {
		err := do(http.MethodDelete, binding+"?dryRun=All", nil, nil)
		return err != nil && strings.Contains(err.Error(), "bailey-policies-kept.static.k8s.io")
	})
	kept("an administrator deletes the binding", do(http.MethodDelete, binding, nil, nil))
	kept("an administrator deletes all bindings", do(http.MethodDelete, registration+"validatingadmissionpolicybindings", nil, nil))
	grant(t, cluster, "chief", "*", "*", "*")
	chief := clientOf(t, cluster, "chief")
	kept("cluster-admin by a role", chief.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(ctx, guard, metav1.DeleteOptions{}))
	kept("and the policy", chief.AdmissionregistrationV1().ValidatingAdmissionPolicies().Delete(ctx, guard, metav1.DeleteOptions{}))
	change := func(path string, change func(object map[string]any)) error {
		var object map[string]any
		must("read it", do(http.MethodGet, path, nil, &object))
		change(object)
		return do(http.MethodPut, path+"?dryRun=All", object, nil)
	}
	kept("it only warns", change(binding, func(o map[string]any) { o["spec"].(map[string]any)["validationActions"] = []any{"Warn"} }))
	kept("it loses its label", change(binding, func(o map[string]any) { delete(o["metadata"].(map[string]any), "labels") }))
	must("an annotation is free", change(binding, func(o map[string]any) {
		o["metadata"].(map[string]any)["annotations"].(map[string]any)["team"] = "a"
	}))
	must("another policy", do(http.MethodPost, registration+"validatingadmissionpolicybindings", map[string]any{"metadata": map[string]any{"name": "theirs"},
		"spec": map[string]any{"policyName": "theirs", "validationActions": []any{"Audit"}}}, nil))
	must("which is not Bailey's", do(http.MethodDelete, registration+"validatingadmissionpolicybindings/theirs", nil, nil))
	t.Run("webhooks", func(t *testing.T) { webhooksKept(t, cluster, kept, change) })

	// Whoever holds every verb on a kind does not hold this one, as many operators do.
	const operator = "system:serviceaccount:default:operator"
	grant(t, cluster, operator, "admissionregistration.k8s.io", "validatingwebhookconfigurations", "*")
	hooks := clientOf(t, cluster, operator).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	must("another webhook", do(http.MethodPost, registration+"validatingwebhookconfigurations", map[string]any{"metadata": map[string]any{"name": "theirs"}}, nil))
	until("the operator deletes what is not Bailey's", func() bool { return hooks.Delete(ctx, "theirs", metav1.DeleteOptions{}) == nil })
	kept("an operator with every verb", hooks.Delete(ctx, "kept", metav1.DeleteOptions{}))

	t.Run("by objects", func(t *testing.T) { objectsSeeNoPolicies(t, cluster, change, until) })

	// Who holds the verb may, and the file stays.
	grant(t, cluster, "guardian", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "delete")
	guardian := clientOf(t, cluster, "guardian")
	remove := func() error {
		return guardian.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(ctx, guard, metav1.DeleteOptions{})
	}
	until("who may delete, and has not the verb, is refused by the policy", func() bool { // and no longer for want of the grant
		err := remove()
		return err != nil && strings.Contains(err.Error(), "bailey-policies-kept.static.k8s.io")
	})
	grant(t, cluster, "guardian", "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "unguard")
	until("who holds the verb deletes the binding", func() bool { return remove() == nil })
	if err := do(http.MethodGet, binding, nil, nil); err == nil {
		t.Error("the binding is there still")
	}
	until("the object refuses no more, and the file does", func() bool {
		err := pod(tagged)
		return err != nil && !strings.Contains(err.Error(), "'"+guard+"'") && strings.Contains(err.Error(), guard+".static.k8s.io")
	})
	must("its twin", pod(pinned))
}

// planInPlace is the plan for a cluster in which a guard's objects are as they were read.
func planInPlace(t *testing.T, cluster *devcluster.Cluster, guard string) *enforce.Plan {
	t.Helper()
	var policy admissionv1.ValidatingAdmissionPolicy
	var binding admissionv1.ValidatingAdmissionPolicyBinding
	for resource, o := range map[string]any{"validatingadmissionpolicies": &policy, "validatingadmissionpolicybindings": &binding} {
		if err := cluster.Do(t.Context(), http.MethodGet, registration+resource+"/"+guard, nil, o); err != nil {
			t.Fatal(err)
		}
	}
	return planWhere(t, map[bailey.Ref]any{
		{Kind: bailey.KindValidatingAdmissionPolicy, Name: guard}:        &policy,
		{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: guard}: &binding,
	})
}

// planWhere is the plan for a cluster with one namespace and these objects.
func planWhere(t *testing.T, objects map[bailey.Ref]any) *enforce.Plan {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
	for _, kind := range []bailey.Kind{bailey.KindNamespace, bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding} {
		b.Saw(kind, "")
	}
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: "default"}, APIVersion: "v1", Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}})
	for ref, o := range objects {
		b.Add(&bailey.Fact{Ref: ref, APIVersion: "admissionregistration.k8s.io/v1", Object: o})
	}
	plan, err := enforce.Make(b.Snapshot(), controls.All())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// grant lets a user do something everywhere.
func grant(t *testing.T, cluster *devcluster.Cluster, user, group, resource, verb string) {
	t.Helper()
	name := fmt.Sprintf("%s-%s", user, strings.ReplaceAll(verb, "*", "all"))
	for path, object := range map[string]any{
		"clusterroles": map[string]any{"metadata": map[string]any{"name": name}, "rules": []any{map[string]any{"apiGroups": []any{group}, "resources": []any{resource}, "verbs": []any{verb}}}},
		"clusterrolebindings": map[string]any{"metadata": map[string]any{"name": name}, "roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}}},
	} {
		if err := cluster.Do(t.Context(), http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/"+path, object, nil); err != nil {
			t.Fatal(err)
		}
	}
	// The authorizer learns of each on its own time.
	review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{"user": user, "groups": []any{"system:authenticated"},
		"resourceAttributes": map[string]any{"group": group, "resource": resource, "verb": verb}}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var said struct{ Status struct{ Allowed bool } }
		if err := cluster.Do(t.Context(), http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", review, &said); err != nil {
			t.Fatal(err)
		}
		if said.Status.Allowed {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s may not yet %s %s", user, verb, resource)
		}
	}
}

func clientOf(t *testing.T, cluster *devcluster.Cluster, user string) *kubernetes.Clientset {
	t.Helper()
	file, err := cluster.KubeconfigFor(user, "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// objectsSeeNoPolicies: the same kind of policy as an object of the API sees webhook
// configurations, and neither policies nor bindings.
func objectsSeeNoPolicies(t *testing.T, cluster *devcluster.Cluster, change func(string, func(map[string]any)) error, until func(string, func() bool)) {
	resources := []string{"validatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings"}
	for _, object := range []struct {
		resource string
		content  map[string]any
	}{
		{resources[0], map[string]any{"metadata": map[string]any{"name": "seen"}}},
		{resources[1], map[string]any{"metadata": map[string]any{"name": "seen"}, "spec": map[string]any{
			"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{"admissionregistration.k8s.io"}, "apiVersions": []any{"*"}, "operations": []any{"UPDATE"}, "resources": []any{"*"}}}},
			"validations":      []any{map[string]any{"expression": "object.metadata.name != 'seen'", "message": "nobody changes it"}}}}},
		{resources[2], map[string]any{"metadata": map[string]any{"name": "seen"}, "spec": map[string]any{"policyName": "seen", "validationActions": []any{"Deny"}}}},
	} {
		if err := cluster.Do(t.Context(), http.MethodPost, registration+object.resource, object.content, nil); err != nil {
			t.Fatal(err)
		}
	}
	mark := func(resource string) error {
		return change(registration+resource+"/seen", func(o map[string]any) {
			o["metadata"].(map[string]any)["annotations"] = map[string]any{"team": "a"}
		})
	}
	until("a webhook configuration is guarded by an object", func() bool {
		err := mark(resources[0])
		return err != nil && strings.Contains(err.Error(), "nobody changes it")
	})
	for _, resource := range resources[1:] {
		if err := mark(resource); err != nil {
			t.Errorf("%s: %v", resource, err)
		}
	}
}

// webhooksKept tries every field of a webhook of Bailey's.
func webhooksKept(t *testing.T, cluster *devcluster.Cluster, kept func(string, error), change func(string, func(map[string]any)) error) {
	hook := func(name string) map[string]any {
		return map[string]any{"name": name, "sideEffects": "None", "admissionReviewVersions": []any{"v1"}, "failurePolicy": "Fail",
			"clientConfig": map[string]any{"url": "https://127.0.0.1:1/a"}, "rules": []any{map[string]any{"apiGroups": []any{"nothing.example"}, "apiVersions": []any{"*"}, "operations": []any{"CREATE"}, "resources": []any{"*"}}}}
	}
	for _, resource := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		path := registration + resource
		if err := cluster.Do(t.Context(), http.MethodPost, path, map[string]any{"metadata": map[string]any{"name": "kept", "labels": map[string]any{"app.kubernetes.io/managed-by": "bailey"}},
			"webhooks": []any{hook("a.example.com"), hook("b.example.com")}}, nil); err != nil {
			t.Fatal(err)
		}
		path += "/kept"
		kept(resource+": deleted", cluster.Do(t.Context(), http.MethodDelete, path, nil, nil))
		second := func(set func(w map[string]any)) func(map[string]any) {
			return func(o map[string]any) { set(o["webhooks"].([]any)[1].(map[string]any)) }
		}
		to := func(field string, value any) func(map[string]any) {
			return second(func(w map[string]any) { w[field] = value })
		}
		for what, weaken := range map[string]func(map[string]any){
			"one less":        func(o map[string]any) { o["webhooks"] = o["webhooks"].([]any)[:1] },
			"none":            func(o map[string]any) { o["webhooks"] = []any{} },
			"one renamed":     to("name", "c.example.com"),
			"it fails open":   to("failurePolicy", "Ignore"),
			"other requests":  to("rules", []any{}),
			"exact":           to("matchPolicy", "Exact"),
			"some namespaces": to("namespaceSelector", map[string]any{"matchLabels": map[string]any{"a": "b"}}),
			"some objects":    to("objectSelector", map[string]any{"matchLabels": map[string]any{"a": "b"}}),
			"a condition":     to("matchConditions", []any{map[string]any{"name": "never", "expression": "false"}}),
			"another timeout": to("timeoutSeconds", 1),
			"side effects":    to("sideEffects", "NoneOnDryRun"),
			"another server":  second(func(w map[string]any) { w["clientConfig"] = map[string]any{"url": "https://127.0.0.1:2/a"} }),
			"another Service": second(func(w map[string]any) {
				w["clientConfig"] = map[string]any{"service": map[string]any{"namespace": "a", "name": "b"}}
			}),
			"without its label": func(o map[string]any) { delete(o["metadata"].(map[string]any), "labels") },
		} {
			kept(resource+": "+what, change(path, weaken))
		}
		if err := change(path, second(func(w map[string]any) {
			w["clientConfig"].(map[string]any)["caBundle"] = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJkekNDQVIyZ0F3SUJBZ0lCQURBS0JnZ3Foa2pPUFFRREFqQWpNU0V3SHdZRFZRUUREQmhyTTNNdGMyVnkKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
		})); err != nil && strings.Contains(err.Error(), "policies-kept") {
			t.Errorf("%s: a renewed CA bundle is refused: %v", resource, err)
		}
		if err := change(path, func(o map[string]any) {
			o["metadata"].(map[string]any)["annotations"] = map[string]any{"team": "a"}
		}); err != nil {
			t.Errorf("%s: an annotation is refused: %v", resource, err)
		}
	}
}
