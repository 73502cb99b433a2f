package apply_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls/deploy"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce"
)

// TestParametersKept: a parameter cannot be deleted while a policy reads it, by its name or
// with others, and a revert takes both away.
func TestParametersKept(t *testing.T) {
	w := newWorld(t, devclustertest.Own(t))
	w.publishListed()
	const configMaps = "/api/v1/namespaces/kube-system/configmaps"
	w.awaitKept()
	if err := w.cluster.Do(t.Context(), http.MethodDelete, configMaps+"?labelSelector=app.kubernetes.io/managed-by=bailey", nil, nil); err == nil || !strings.Contains(err.Error(), "parameter-kept") {
		t.Errorf("deleted with others: %v", err)
	}
	if err := w.cluster.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+w.namespace+"/configmaps", map[string]any{"metadata": map[string]any{"name": bailey.PublishedParam}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.Do(t.Context(), http.MethodDelete, "/api/v1/namespaces/"+w.namespace+"/configmaps/"+bailey.PublishedParam, nil, nil); err != nil {
		t.Errorf("one of that name elsewhere: %v", err)
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
	if err := w.cluster.Do(t.Context(), http.MethodGet, parameterPath, nil, nil); err == nil || len(left) != 5 {
		t.Errorf("%d objects are reverted, and the parameter is there: %v", len(left), err)
	}
}

// publishListed puts the guard that reads a ConfigMap in place, denying.
func (w *world) publishListed() {
	t := w.t
	t.Helper()
	s, err := kube.Collect(t.Context(), kube.Options{RESTConfig: w.config})
	if err != nil {
		t.Fatal(err)
	}
	admission := *deploy.Admission
	admission.Guards = nil
	for _, g := range deploy.Admission.Guards {
		if g.Name == "published-services-listed" {
			admission.Guards = append(admission.Guards, g)
		}
	}
	plan, err := enforce.Make(s, []*bailey.Control{&admission})
	if err != nil {
		t.Fatal(err)
	}
	a := w.applier()
	for _, staged := range plan.Stages(enforce.Choice{Now: w.now, AuditedSince: a.AuditedSince}) {
		staged.Fields = staged.Apply // in force at once
		if err := a.Apply(t.Context(), staged); err != nil {
			t.Fatal(err)
		}
	}
}

// TestParameterThatIsReadStays: where somebody else made a policy and its binding anew, a
// revert leaves them, and the ConfigMap that they read: without it everything is refused.
func TestParameterThatIsReadStays(t *testing.T) {
	w := newWorld(t, devclustertest.Own(t))
	w.publishListed()
	for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		w.anew(resource, listed)
	}
	left := w.left(w.applier())
	want := map[bailey.Kind]string{
		bailey.KindValidatingAdmissionPolicy:        listed + madeAnew,
		bailey.KindValidatingAdmissionPolicyBinding: listed + madeAnew,
		bailey.KindConfigMap:                        bailey.PublishedParam + ": ValidatingAdmissionPolicyBinding " + listed + " reads it as a parameter, and stays",
	}
	if !maps.Equal(left, want) {
		t.Errorf("left: %v", left)
	}
	if !w.parameterIsThere() {
		t.Error("the parameter is gone")
	}
}
