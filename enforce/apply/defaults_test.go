package apply_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce"
)

// TestDefaults applies the policies that set what pods leave open, sees them in place
// and changed, and takes them back.
func TestDefaults(t *testing.T) {
	w := newWorld(t, devclustertest.Own(t))
	plan := func(asked ...string) *enforce.Plan {
		t.Helper()
		s, err := kube.Collect(t.Context(), kube.Options{RESTConfig: w.config})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := enforce.Make(s, []*bailey.Control{compute.PodSecurity}, asked...)
		if err != nil {
			t.Fatal(err)
		}
		plan.Changes = slices.DeleteFunc(plan.Changes, func(c enforce.Change) bool { return !strings.HasPrefix(string(c.Object.Kind), "MutatingAdmission") })
		return plan
	}
	if p := plan(); len(p.Changes) != 0 {
		t.Errorf("planned without being asked for: %v", p.Changes)
	}
	a := w.applier()
	wanted := plan("defaults")
	if len(wanted.Changes) != 4 {
		t.Fatalf("%d changes", len(wanted.Changes))
	}
	for _, s := range wanted.Stages(enforce.Choice{Now: w.now, AuditedSince: a.AuditedSince}) {
		if s.Fields == nil || s.Stage != enforce.StageDeny {
			t.Fatalf("%s waits: %s", s.Object, s.Wait)
		}
		if err := a.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if p := plan("defaults"); len(p.Changes) != 0 || p.InPlace == 0 {
		t.Errorf("applied, and %d changes are planned; %d guards in place", len(p.Changes), p.InPlace)
	}
	binding := "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/bailey-defaults-confined"
	narrowed := map[string]any{"spec": map[string]any{"matchResources": map[string]any{"namespaceSelector": map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "Exists"}}}}}}
	if err := w.cluster.Do(t.Context(), http.MethodPatch, binding, narrowed, nil); err != nil {
		t.Fatal(err)
	}
	if p := plan("defaults"); p.InPlace != 0 {
		t.Error("a binding that was narrowed counts as in place")
	}
	drifts, err := a.Drifts(t.Context())
	if err != nil || len(drifts) != 1 || drifts[0].Object.Name != "bailey-defaults-confined" {
		t.Errorf("drifts %v, %v", drifts, err)
	}
	if _, err := a.Revert(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := plan("defaults"); len(p.Changes) < 3 {
		t.Errorf("reverted, and %d changes are planned", len(p.Changes))
	}
}
