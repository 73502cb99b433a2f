package deploy

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/internal/controltest"
)

// TestClaimsNeedDryRuns: a policy that looks at no dry-run, as the one that holds the prober, claims nothing that a dry-run could show.
func TestClaimsNeedDryRuns(t *testing.T) {
	const policy = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  matchConstraints: {resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"], operations: ["*"]}]}
  matchConditions:
    - {name: who, expression: "request.userInfo.username == 'system:serviceaccount:bailey:bailey-prober'"}
    - {name: how, expression: "CONDITION"}
  validations: [{expression: "false"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: p}
spec: {policyName: p, validationActions: [Deny]}
`
	for condition, want := range map[string]int{
		"!(has(request.dryRun) && request.dryRun)":  0,
		"!has(request.dryRun)  || !request.dryRun":  0,
		"request.dryRun != true":                    0,
		"!request.dryRun":                           0,
		"!request.dryRun || request.name == 'x'":    1, // looks at some
		"has(request.dryRun) && request.dryRun":     1,
		"request.userInfo.username != 'somebody'":   1,
		"!(has(request.dryRun) || request.dryRun) ": 1, // of no use, and not known
	} {
		b := bailey.NewBuilder(bailey.Meta{At: controltest.At, Medium: "cluster", Version: bailey.LatestVersion})
		for _, kind := range bailey.KnownKinds() {
			b.Saw(kind, "")
		}
		b.Add(controltest.Facts(t, []byte(strings.Replace(policy, "CONDITION", condition, 1)))...)
		view := bailey.NewView(b.Snapshot())
		view.Allow(nil, refusedByEveryWay.Needs, refusedByEveryWay.Derives)
		if got := claims(view); len(got) != want {
			t.Errorf("%s: %d claims, want %d", condition, len(got), want)
		}
	}
}
