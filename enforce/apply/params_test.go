package apply_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

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
	const configMaps = "/api/v1/namespaces/kube-system/configmaps"
	const parameter = configMaps + "/" + bailey.PublishedParam
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := w.cluster.Do(t.Context(), http.MethodDelete, parameter+"?dryRun=All", nil, nil)
		if err != nil && strings.Contains(err.Error(), "bailey-published-services-listed-parameter-kept") {
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("the policy is not in force: %v", err)
		}
	}
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
	if err := w.cluster.Do(t.Context(), http.MethodGet, parameter, nil, nil); err == nil || len(left) != 5 {
		t.Errorf("%d objects are reverted, and the parameter is there: %v", len(left), err)
	}
}
