package apply_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce"
	"github.com/baileyhq/bailey/enforce/apply"
)

type world struct {
	t         *testing.T
	cluster   *devcluster.Cluster
	config    *rest.Config
	namespace string
	folder    string
	policy    string
	now       time.Time
}

func newWorld(t *testing.T, cluster *devcluster.Cluster) *world {
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, cluster: cluster, config: config, folder: filepath.Join(t.TempDir(), "enforce"), now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	w.namespace = devclustertest.NamespaceIn(t, cluster, map[string]string{"team": "a", "pod-security.kubernetes.io/warn": "baseline"})
	w.policy = "bailey-" + w.namespace
	t.Cleanup(func() {
		for _, path := range w.paths() {
			_ = cluster.Do(context.WithoutCancel(t.Context()), http.MethodDelete, path, nil, nil)
		}
	})
	return w
}

// paths are where the objects that the plan creates are.
func (w *world) paths() []string {
	return []string{
		"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/" + w.policy,
		"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/" + w.policy,
		"/apis/networking.k8s.io/v1/namespaces/" + w.namespace + "/networkpolicies/deny",
	}
}

func (w *world) applier() *apply.Applier {
	w.t.Helper()
	a, err := apply.New(w.config, w.folder, func() time.Time { return w.now })
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) plan() *enforce.Plan {
	meta := func(name string) map[string]any { return map[string]any{"name": name} }
	const admission = "admissionregistration.k8s.io/v1"
	return &enforce.Plan{Changes: []enforce.Change{
		{Object: bailey.Ref{Kind: bailey.KindNamespace, Name: w.namespace}, APIVersion: "v1", Apply: map[string]any{"apiVersion": "v1", "kind": "Namespace",
			"metadata": map[string]any{"name": w.namespace, "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/audit": "restricted"}}}},
		{Object: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicy, Name: w.policy}, APIVersion: admission, Creates: true, Apply: map[string]any{"apiVersion": admission, "kind": "ValidatingAdmissionPolicy",
			"metadata": meta(w.policy), "spec": map[string]any{"failurePolicy": "Fail",
				"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"configmaps"}}}},
				"validations":      []any{map[string]any{"expression": "object.metadata.name != 'forbidden'"}}}}},
		{Object: bailey.Ref{Kind: bailey.KindNetworkPolicy, Namespace: w.namespace, Name: "deny"}, APIVersion: "networking.k8s.io/v1", Creates: true, Apply: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
			"metadata": map[string]any{"name": "deny", "namespace": w.namespace}, "spec": map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress"}}}},
		{Object: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: w.policy}, APIVersion: admission, Creates: true, Apply: map[string]any{"apiVersion": admission, "kind": "ValidatingAdmissionPolicyBinding",
			"metadata": meta(w.policy), "spec": map[string]any{"policyName": w.policy, "validationActions": []any{"Deny", "Audit"},
				"matchResources": map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": w.namespace}}}}}},
	}}
}

// apply applies the plan as far as it goes now, and ends after so many objects.
func (w *world) apply(a *apply.Applier, most int) {
	w.t.Helper()
	for i, s := range w.plan().Stages(enforce.Choice{Now: w.now, Quiet: enforce.DefaultQuiet, AcceptUnobserved: true, Impact: enforce.Impact{w.policy: {Judged: 1}}, AuditedSince: a.AuditedSince}) {
		if i == most {
			return
		}
		if err := a.Apply(w.t.Context(), s); err != nil {
			w.t.Fatal(err)
		}
	}
}

// state is what the cluster holds of the plan's objects, without what each write changes.
func (w *world) state() map[string]string {
	w.t.Helper()
	state := map[string]string{}
	for _, path := range append(w.paths(), "/api/v1/namespaces/"+w.namespace) {
		var o map[string]any
		err := w.cluster.Do(w.t.Context(), http.MethodGet, path, nil, &o)
		var status *devcluster.StatusError
		if errors.As(err, &status) && status.Code == http.StatusNotFound {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		meta := o["metadata"].(map[string]any)
		for _, key := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"} {
			delete(meta, key)
		}
		delete(o, "status")
		text, err := json.Marshal(o)
		if err != nil {
			w.t.Fatal(err)
		}
		state[path] = string(text)
	}
	return state
}

func TestStagesAndRevert(t *testing.T) {
	w := newWorld(t, devclustertest.Own(t))
	before := w.state()
	w.apply(w.applier(), 10)
	audited := w.state()
	binding, namespace := w.paths()[0], "/api/v1/namespaces/"+w.namespace
	if !strings.Contains(audited[binding], `"validationActions":["Warn","Audit"]`) || strings.Contains(audited[namespace], "security.kubernetes.io/enforce") || !strings.Contains(audited[namespace], "security.kubernetes.io/audit") {
		t.Errorf("the first stage audits and warns: %v", audited)
	}
	w.now = w.now.Add(6 * 24 * time.Hour)
	w.apply(w.applier(), 10)
	if got := w.state(); !maps.Equal(got, audited) {
		t.Errorf("before the quiet period is over nothing changes: %v", got)
	}
	w.now = w.now.Add(25 * time.Hour)
	w.apply(w.applier(), 10)
	denying := w.state()
	if !strings.Contains(denying[binding], `"validationActions":["Deny","Audit"]`) || !strings.Contains(denying[namespace], `security.kubernetes.io/enforce":"restricted`) {
		t.Errorf("after it, it denies: %v", denying)
	}
	left, err := w.applier().Revert(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range left {
		if r.Left != "" {
			t.Errorf("%s: %s", r.Object, r.Left)
		}
	}
	if got := w.state(); !maps.Equal(got, before) {
		t.Errorf("reverted:\n%v\nbefore:\n%v", got, before)
	}
	if entries, err := os.ReadDir(w.folder); err != nil || len(entries) > 0 {
		t.Errorf("records are left: %v %v", entries, err)
	}
}

// TestCutOff applies the plan up to each object, as if the program had been killed
// there, and then whole: the end must be the same, and what was there before must come
// back.
func TestCutOff(t *testing.T) {
	cluster := devclustertest.Own(t)
	for most := range 4 {
		w := newWorld(t, cluster)
		before := w.state()
		w.apply(w.applier(), most)
		w.apply(w.applier(), 10)
		if got := w.state(); len(got) != 4 {
			t.Errorf("cut off after %d objects, then applied: %v", most, got)
		}
		if _, err := w.applier().Revert(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.state(); !maps.Equal(got, before) {
			t.Errorf("cut off after %d objects, applied and reverted:\n%v\nbefore:\n%v", most, got, before)
		}
	}
}

func TestDrift(t *testing.T) {
	w := newWorld(t, devclustertest.Own(t))
	w.apply(w.applier(), 10)
	if drifts, err := w.applier().Drifts(t.Context()); err != nil || len(drifts) > 0 {
		t.Fatalf("right after the apply: %+v %v", drifts, err)
	}

	if _, err := w.cluster.Kubectl(t.Context(), "label", "--overwrite", "namespace", w.namespace, "pod-security.kubernetes.io/audit=privileged"); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Do(t.Context(), http.MethodDelete, w.paths()[2], nil, nil); err != nil {
		t.Fatal(err)
	}
	drifts, err := w.applier().Drifts(t.Context())
	if err != nil || len(drifts) != 2 {
		t.Fatalf("%+v %v", drifts, err)
	}
	for _, d := range drifts {
		switch d.Object.Kind {
		case bailey.KindNamespace:
			if !strings.Contains(d.What, `is "privileged", and was applied as "restricted"`) || !slices.ContainsFunc(d.By, func(by string) bool { return strings.HasPrefix(by, "kubectl") }) {
				t.Errorf("%+v", d)
			}
		case bailey.KindNetworkPolicy:
			if d.What != "it is gone" {
				t.Errorf("%+v", d)
			}
		}
	}
	// What somebody else changed since is theirs.
	left, err := w.applier().Revert(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(left, func(r apply.Reverted) bool { return strings.Contains(r.Left, "pod-security.kubernetes.io/audit") }) {
		t.Errorf("the changed label is not named: %+v", left)
	}
	if got := w.state()["/api/v1/namespaces/"+w.namespace]; !strings.Contains(got, `security.kubernetes.io/audit":"privileged"`) {
		t.Errorf("the revert took what somebody else set: %s", got)
	}
}

// TestConflict wants a field that somebody else owns by server-side apply to be left
// to them.
func TestConflict(t *testing.T) {
	w := newWorld(t, devclustertest.Own(t))
	path := "/api/v1/namespaces/" + w.namespace + "?fieldManager=flux&force=true"
	client, err := rest.HTTPClientFor(w.config)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + w.namespace + `","labels":{"pod-security.kubernetes.io/audit":"baseline"}}}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, w.config.Host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/apply-patch+yaml")
	answer, err := client.Do(request)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(err, answer)
	}
	_ = answer.Body.Close()
	a := w.applier()
	stages := w.plan().Stages(enforce.Choice{Now: w.now, Quiet: enforce.DefaultQuiet, Impact: enforce.Impact{w.policy: {Judged: 1}}, AuditedSince: a.AuditedSince})
	if err := a.Apply(t.Context(), stages[0]); err == nil || !strings.Contains(err.Error(), "flux") {
		t.Errorf("the conflict is not told: %v", err)
	}
	if got := w.state()["/api/v1/namespaces/"+w.namespace]; !strings.Contains(got, `security.kubernetes.io/audit":"baseline"`) {
		t.Errorf("it was changed all the same: %s", got)
	}
	if drifts, err := w.applier().Drifts(t.Context()); err != nil || len(drifts) > 0 {
		t.Errorf("what was refused counts as applied: %+v %v", drifts, err)
	}
	a.Force = true
	if err := a.Apply(t.Context(), stages[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := w.applier().Revert(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.state()["/api/v1/namespaces/"+w.namespace]; !strings.Contains(got, `security.kubernetes.io/audit":"baseline"`) {
		t.Errorf("what was taken over was not given back: %s", got)
	}
}

// TestLaterPlanKeepsWhatIsApplied applies a plan that names other fields of the same
// object, as the next level of a namespace does: what was applied before stays.
func TestLaterPlanKeepsWhatIsApplied(t *testing.T) {
	w := newWorld(t, devclustertest.Own(t))
	before := w.state()
	labelled := func(label, value string) enforce.Staged {
		change := w.plan().Changes[0]
		fields := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": w.namespace,
			"labels": map[string]any{"pod-security.kubernetes.io/" + label: value}}}
		return enforce.Staged{Change: &change, Fields: fields, Stage: enforce.StageDeny}
	}
	for _, s := range []enforce.Staged{labelled("enforce", "baseline"), labelled("audit", "restricted")} {
		if err := w.applier().Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	got := w.state()["/api/v1/namespaces/"+w.namespace]
	for _, label := range []string{`security.kubernetes.io/enforce":"baseline"`, `security.kubernetes.io/audit":"restricted"`} {
		if !strings.Contains(got, label) {
			t.Errorf("%s is gone: %s", label, got)
		}
	}
	if _, err := w.applier().Revert(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.state(); !maps.Equal(got, before) {
		t.Errorf("reverted:\n%v\nbefore:\n%v", got, before)
	}
}
