package deploy

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/internal/controltest"
)

// TestProberIsNoGate: the policy that holds the prober to dry-runs claims nothing of pods; one that leaves out dry-runs otherwise does.
func TestProberIsNoGate(t *testing.T) {
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
    - {name: who, expression: "WHO"}
    - {name: how, expression: "HOW"}
  validations: [{expression: "false"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: p}
spec: {policyName: p, validationActions: [Deny]}
`
	const prober, real = "request.userInfo.username == 'system:serviceaccount:bailey:bailey-prober'", "!(has(request.dryRun) && request.dryRun)"
	for conditions, want := range map[[2]string]int{
		{prober, real}: 0,
		{prober, "!(has(request.dryRun) || request.dryRun)"}:   1,
		{prober, "request.name == 'x' || " + real}:             1,
		{"request.userInfo.username != 'somebody'", real}:      1,
		{"true || " + prober, real}:                            1,
		{prober + " || request.userInfo.username != ''", real}: 1,
		{"request.name != 'x'", real}:                          1,
	} {
		b := bailey.NewBuilder(bailey.Meta{At: controltest.At, Medium: "cluster", Version: bailey.LatestVersion})
		for _, kind := range bailey.KnownKinds() {
			b.Saw(kind, "")
		}
		b.Add(controltest.Facts(t, []byte(strings.NewReplacer("WHO", conditions[0], "HOW", conditions[1]).Replace(policy)))...)
		view := bailey.NewView(b.Snapshot())
		view.Allow(nil, refusedByEveryWay.Needs, refusedByEveryWay.Derives)
		if got := claims(view); len(got) != want {
			t.Errorf("%q: %d claims, want %d", conditions, len(got), want)
		}
	}
}
