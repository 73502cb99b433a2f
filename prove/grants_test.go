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
