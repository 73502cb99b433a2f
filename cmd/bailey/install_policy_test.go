package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestPolicyOfChart: the chart holds the prober by the policy that bailey install and --explain print, be it to dry-runs or to its own namespaces.
func TestPolicyOfChart(t *testing.T) {
	for _, acts := range []bool{false, true} {
		holdsAsPlanned(t, acts)
	}
}

func holdsAsPlanned(t *testing.T, acts bool) {
	t.Helper()
	out, errs, code := program(t, "install", "--set", fmt.Sprintf("image=registry.example.com/bailey:1,prober.isolated=%t", acts), "--namespace", "watch")
	if code != exitOK {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	chart := map[string]*unstructured.Unstructured{}
	for _, o := range objectsIn(t, out) {
		if o.GetName() == "bailey-dry-runs" {
			chart[o.GetKind()] = o
		}
	}
	for _, want := range proberPolicy("system:serviceaccount:watch:bailey-prober", acts) {
		kind, _ := want["kind"].(string)
		if chart[kind] == nil {
			t.Fatalf("the chart has no %s", kind)
		}
		spec, _ := want["spec"].(map[string]any)
		if kind == "ValidatingAdmissionPolicyBinding" {
			spec["policyName"] = "bailey-dry-runs"
		}
		wanted, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(chart[kind].Object["spec"])
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(wanted) {
			t.Errorf("%s of the chart:\n%s\nwant\n%s", kind, got, wanted)
		}
	}
}
