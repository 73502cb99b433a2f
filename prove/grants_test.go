package prove

import (
	"slices"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestGrantsOfOthers asks for no right where somebody else makes the request,
// and for what a role gives where the prober makes one.
func TestGrantsOfOthers(t *testing.T) {
	get := func(who bailey.Identity) bailey.Step {
		return bailey.Step{Request: &bailey.Request{As: who, Verb: "get", Path: "/apis"}}
	}
	masters := []string{"system:masters"}
	probe := bailey.Probe{
		Setup: []bailey.Step{{Request: &bailey.Request{Verb: "create", APIVersion: "rbac.authorization.k8s.io/v1", Resource: "clusterroles", Real: true,
			Object: map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"certificates.k8s.io"}, "resources": []any{"signers"},
				"verbs": []any{"approve"}, "resourceNames": []any{"bailey.dev/probe"}}}}}}},
		Twin: get(bailey.Identity{Proxied: true, User: "admin", Groups: masters}),
		Try:  get(bailey.Identity{Token: "${token}", User: "admin", Groups: masters}),
	}
	grants := Grants([]Unit{{Experiment: &bailey.Experiment{Danger: bailey.DangerIsolated}, Probes: []bailey.Probe{probe}}})
	approve := false
	for _, g := range grants {
		if slices.Contains(g.Verbs, "impersonate") {
			t.Errorf("the prober is to %v %s %v", g.Verbs, g.Resource, g.Names)
		}
		approve = approve || g.Group == "certificates.k8s.io" && g.Resource == "signers" && slices.Equal(g.Names, []string{"bailey.dev/probe"})
	}
	if !approve {
		t.Errorf("the prober gives the right to approve and is not to hold it: %v", grants)
	}
}

// TestGrantsToCleanUp: what a minted identity makes, where it should have been
// refused, the prober may remove; what is only asked needs nothing.
func TestGrantsToCleanUp(t *testing.T) {
	minted := bailey.Identity{Token: "${token}"}
	create := func(apiVersion, resource string) bailey.Step {
		return bailey.Step{Request: &bailey.Request{As: minted, Verb: "create", APIVersion: apiVersion, Resource: resource, Namespace: "bailey-probe-${run}-a", Real: true}}
	}
	probe := bailey.Probe{Try: create("v1", "pods"), Twin: create("authentication.k8s.io/v1", "selfsubjectreviews")}
	for _, g := range Grants([]Unit{{Experiment: &bailey.Experiment{Danger: bailey.DangerIsolated}, Probes: []bailey.Probe{probe}}}) {
		switch g.Resource {
		case "pods":
			if !slices.Equal(g.Verbs, []string{"delete", "get"}) {
				t.Errorf("the prober is to %v pods", g.Verbs)
			}
		case "selfsubjectreviews":
			t.Errorf("the prober is to %v reviews", g.Verbs)
		}
		probe.Path += g.Resource
	}
	if probe.Path != "pods" {
		t.Errorf("rights on %q", probe.Path)
	}
}

// TestGrantsOfWhatIsClaimed: what asks whether anything is claimed needs its rights too.
func TestGrantsOfWhatIsClaimed(t *testing.T) {
	dry := func(resource string) *bailey.Step {
		return &bailey.Step{Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: resource, Namespace: "shop"}}
	}
	probe := bailey.Probe{Given: dry("pods"), GivenTwin: dry("services"), Twin: *dry("configmaps"), Try: *dry("configmaps")}
	var asked []string
	for _, g := range Grants([]Unit{{Experiment: &bailey.Experiment{Danger: bailey.DangerDryRun}, Probes: []bailey.Probe{probe}}}) {
		if g.Namespace == "shop" {
			asked = append(asked, g.Resource)
		}
	}
	if want := []string{"configmaps", "pods", "services"}; !slices.Equal(asked, want) {
		t.Errorf("rights on %v, want %v", asked, want)
	}
}
