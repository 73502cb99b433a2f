package deploy

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// kyvernoKinds are Kyverno's policies that can refuse a request: those with
// rules, and those in CEL.
var kyvernoKinds = []bailey.Kind{
	"ClusterPolicy.kyverno.io", "Policy.kyverno.io",
	"ValidatingPolicy.policies.kyverno.io", "NamespacedValidatingPolicy.policies.kyverno.io",
	"ImageValidatingPolicy.policies.kyverno.io", "NamespacedImageValidatingPolicy.policies.kyverno.io",
}

const templateKind bailey.Kind = "ConstraintTemplate.templates.gatekeeper.sh"

// constraintKinds are the kinds of the constraints in Gatekeeper's own library
// that bear on pods, hosts and who may do what. Others have names of their own,
// which nobody can list beforehand.
var constraintKinds = []bailey.Kind{
	"K8sPSPPrivilegedContainer.constraints.gatekeeper.sh", "K8sPSPHostNamespace.constraints.gatekeeper.sh",
	"K8sPSPHostNetworkingPorts.constraints.gatekeeper.sh", "K8sPSPHostFilesystem.constraints.gatekeeper.sh",
	"K8sPSPAllowPrivilegeEscalationContainer.constraints.gatekeeper.sh", "K8sPSPCapabilities.constraints.gatekeeper.sh",
	"K8sPSPAllowedUsers.constraints.gatekeeper.sh", "K8sPSPReadOnlyRootFilesystem.constraints.gatekeeper.sh",
	"K8sPSPSeccomp.constraints.gatekeeper.sh", "K8sPSPSeccompV2.constraints.gatekeeper.sh",
	"K8sPSPAppArmor.constraints.gatekeeper.sh", "K8sPSPSELinuxV2.constraints.gatekeeper.sh",
	"K8sPSPProcMount.constraints.gatekeeper.sh", "K8sPSPForbiddenSysctls.constraints.gatekeeper.sh",
	"K8sPSPFlexVolumes.constraints.gatekeeper.sh", "K8sPSPVolumeTypes.constraints.gatekeeper.sh", "K8sPSPFSGroup.constraints.gatekeeper.sh",
	"K8sAllowedRepos.constraints.gatekeeper.sh", "K8sDisallowedRepos.constraints.gatekeeper.sh", "K8sDisallowedTags.constraints.gatekeeper.sh",
	"K8sImageDigests.constraints.gatekeeper.sh", "K8sContainerLimits.constraints.gatekeeper.sh", "K8sContainerRequests.constraints.gatekeeper.sh",
	"K8sBlockNodePort.constraints.gatekeeper.sh", "K8sBlockLoadBalancer.constraints.gatekeeper.sh", "K8sBlockWildcardIngress.constraints.gatekeeper.sh",
	"K8sExternalIPs.constraints.gatekeeper.sh", "K8sHttpsOnly.constraints.gatekeeper.sh", "K8sUniqueIngressHost.constraints.gatekeeper.sh",
	"K8sRequiredLabels.constraints.gatekeeper.sh", "K8sPodDisruptionBudget.constraints.gatekeeper.sh",
	"K8sDisallowAnonymous.constraints.gatekeeper.sh", "K8sBlockEndpointEditDefaultRole.constraints.gatekeeper.sh",
	"K8sDisallowInteractiveTTY.constraints.gatekeeper.sh", "K8sDisallowedRoleBindingSubjects.constraints.gatekeeper.sh",
	"K8sPSPAutomountServiceAccountTokenPod.constraints.gatekeeper.sh", "K8sEnforceCloudArmorBackendConfig.constraints.gatekeeper.sh",
}

var engineOnlyAudits = &bailey.Rule{
	Name:  "engine-only-audits",
	Title: "Kyverno or Gatekeeper policy refuses nothing, or not everywhere",
	Doc: `A Kyverno policy whose rules audit, one that is not evaluated at admission, and a Gatekeeper constraint
with enforcementAction dryrun or warn, or scoped without deny at admission, report what they find and admit it.
Kyverno's validate rules audit unless told otherwise. Where overrides for namespaces make a rule enforce in some
and audit in others, that is found as info, with their names.

Policies of Kyverno with no validate rule are left out. A constraint of Gatekeeper is found on its
template, and only if the template is one of Gatekeeper's own library.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Page("Kyverno documentation", "Validate Rules", "https://kyverno.io/docs/policy-types/cluster-policy/validate"),
		ref.Page("Gatekeeper documentation", "Handling Constraint Violations", "https://open-policy-agent.github.io/gatekeeper/website/docs/violations/"),
	},
	On:    append(slices.Clone(kyvernoKinds), templateKind),
	Needs: constraintKinds,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		object, _ := f.Object.(map[string]any)
		spec := under(object, "spec")
		switch _, group := f.Kind.Split(); group {
		case "kyverno.io":
			return auditingRules(spec)
		case "policies.kyverno.io":
			if under(under(spec, "evaluation"), "admission")["enabled"] == false {
				return []bailey.Finding{{Field: "spec.evaluation.admission.enabled", Message: "it is not evaluated at admission: it refuses nothing"}}
			}
			if actions, given := spec["validationActions"].([]any); given && len(actions) > 0 && !slices.Contains(actions, any("Deny")) {
				return []bailey.Finding{{Field: "spec.validationActions", Message: "what it finds is reported and admitted"}}
			}
		case "templates.gatekeeper.sh":
			return reportingConstraints(v, spec)
		}
		return nil
	},
	Fix: fixReportingEngine,
	Bad: []string{`
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: no-host-pid}
spec:
  rules:
  - name: no-host-pid
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {message: no host PID, pattern: {spec: {=(hostPID): "false"}}}
`, `
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: k8spspprivilegedcontainer}
spec: {crd: {spec: {names: {kind: K8sPSPPrivilegedContainer}}}}
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: K8sPSPPrivilegedContainer
metadata: {name: privileged}
spec: {enforcementAction: dryrun, match: {kinds: [{apiGroups: [""], kinds: [Pod]}]}}
`},
}

// fixReportingEngine has the policy, or the constraint that the finding names, refuse.
func fixReportingEngine(v *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
	change := bailey.Change{Object: f.Ref, APIVersion: f.APIVersion, Note: "First read in the reports what it would have refused."}
	set := func(pointer string, value any) {
		change.Patch = []bailey.PatchOp{{Op: "add", Path: pointer, Value: value}}
	}
	switch _, group := f.Kind.Split(); {
	case group == "templates.gatekeeper.sh":
		if len(finding.Related) != 1 {
			return nil
		}
		if c := v.Get(finding.Related[0].Kind, "", finding.Related[0].Name); c != nil {
			change.Object, change.APIVersion = c.Ref, c.APIVersion
			set("/spec/enforcementAction", "deny")
		}
	case finding.Field == "spec.validationActions":
		set("/spec/validationActions", []any{"Deny"})
	case finding.Field == "spec.admission", finding.Field == "spec.evaluation.admission.enabled":
		set("/"+strings.ReplaceAll(finding.Field, ".", "/"), true)
	default: // spec.rules[0].validate.failureAction, spec.validationFailureActionOverrides[0].action
		set("/"+strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(finding.Field), "Enforce")
	}
	if change.Patch == nil {
		return nil
	}
	return []bailey.Change{change}
}

func under(m map[string]any, key string) map[string]any {
	child, _ := m[key].(map[string]any)
	return child
}

var engineFailsOpen = &bailey.Rule{
	Name:  "engine-fails-open",
	Title: "Kyverno policy admits everything when Kyverno fails",
	Doc: `With failurePolicy Ignore, Kyverno registers the policy with a webhook that fails open: while Kyverno is
down or slow, what the policy would refuse is admitted. Policies that are meant to refuse need Fail, the
default.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Page("Kyverno documentation", "Policy Settings", "https://kyverno.io/docs/policy-types/cluster-policy/policy-settings"),
	},
	On: kyvernoKinds,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		object, _ := f.Object.(map[string]any)
		spec := under(object, "spec")
		const message = "while Kyverno is down, what the policy would refuse is admitted"
		switch {
		case spec["failurePolicy"] == "Ignore":
			return []bailey.Finding{{Field: "spec.failurePolicy", Message: message}}
		case under(spec, "webhookConfiguration")["failurePolicy"] == "Ignore":
			return []bailey.Finding{{Field: "spec.webhookConfiguration.failurePolicy", Message: message}}
		}
		return nil
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "replace", Path: "/" + strings.ReplaceAll(finding.Field, ".", "/"), Value: "Fail"}},
			Note:  "While Kyverno is down, what the policy looks at is refused: run more than one replica."}}
	},
	Bad: []string{`
apiVersion: kyverno.io/v1
kind: Policy
metadata: {name: no-host-pid, namespace: shop}
spec:
  failurePolicy: Ignore
  rules:
  - name: no-host-pid
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {failureAction: Enforce, message: no host PID, pattern: {spec: {=(hostPID): "false"}}}
`},
}
