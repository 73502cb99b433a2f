package compute

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/pod-security-admission/api"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/minted"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// relaxVerb on a namespace lets one lower its Pod Security levels.
const relaxVerb = "relax"

// levelCEL ranks the value of a label in CEL: what is no level refuses nothing, like
// privileged; minorCEL ranks a version, where none is the latest.
func levelCEL(labels, key string) string {
	return "{'baseline': 1, 'restricted': 2}[?" + labels + "[?'" + key + "'].orValue('')].orValue(0)"
}

func minorCEL(labels string) string {
	version := labels + "[?'" + api.EnforceVersionLabel + "'].orValue('latest')"
	return "(" + version + " == 'latest' ? 1000 : " + version + ".matches('^v1[.][0-9]{1,3}$') ? int(" + version + ".substring(3)) : 0)"
}

var levelsKept = vap.Guard(vap.Policy{
	Control: "compute/pod-security", Name: "levels-kept",
	Title: "Only who was granted it lowers a namespace's Pod Security levels",
	Doc: `A ValidatingAdmissionPolicy refuses updates of namespaces, by whatever subresource, that lower or remove the levels that
Pod Security enforces, audits or warns about, or that pin the enforced one to an older version, by everybody whom the
authorizer does not allow the verb relax on the namespace. Who labels namespaces else decides what pods may do. The
right to delete a namespace and make it anew is not held by it.`,
	Tried:       []*bailey.Experiment{levelsLowered},
	ClusterWide: true,
	Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Update},
		Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"namespaces", "namespaces/status", "namespaces/finalize"}}}}},
	Variables: []admissionv1.Variable{
		{Name: "before", Expression: "oldObject.metadata.?labels.orValue({})"},
		{Name: "after", Expression: "object.metadata.?labels.orValue({})"},
		{Name: "lowered", Expression: "(" + levelCEL("variables.after", api.EnforceLevelLabel) + " < " + levelCEL("variables.before", api.EnforceLevelLabel) + " ? ['enforce'] : []) + " +
			"(" + levelCEL("variables.after", api.AuditLevelLabel) + " < " + levelCEL("variables.before", api.AuditLevelLabel) + " ? ['audit'] : []) + " +
			"(" + levelCEL("variables.after", api.WarnLevelLabel) + " < " + levelCEL("variables.before", api.WarnLevelLabel) + " ? ['warn'] : []) + " +
			"(" + levelCEL("variables.before", api.EnforceLevelLabel) + " > 0 && " + minorCEL("variables.after") + " < " + minorCEL("variables.before") + " ? ['enforce-version'] : [])"},
	},
	Checks: []vap.Check{{Expression: "size(variables.lowered) == 0 || authorizer.group('').resource('namespaces').name(object.metadata.name).check('" + relaxVerb + "').allowed()",
		MessageExpression: "'to lower pod-security.kubernetes.io/' + variables.lowered.join(', ') + ' takes the verb " + relaxVerb + " on the namespace'"}},
})

var levelsLowered = &bailey.Experiment{
	Name:  "levels-lowered",
	Title: "Who may label a namespace cannot lower its Pod Security levels",
	Doc: `Where Bailey's policy about the labels of namespaces is in place, Bailey makes a namespace with all levels at
restricted, and a ServiceAccount with a token of 10 minutes and a ClusterRole of its own that lets it change that
namespace. With the token it tries, by server-side dry-run, to lower each level, to remove the enforced one, also by the
subresource status and by an update of the whole, and to pin an old version. The policy must refuse each. The twin adds
another label with the same token. Everything is removed.

Where no such policy is in place nobody claims it, and nothing is tried.`,
	Hypothesis: "The right to change a namespace is not enough to lower its Pod Security levels.",
	Danger:     bailey.DangerIsolated,
	Technique:  "T1562",
	Scope:      bailey.ScopeCluster,
	Needs:      vap.ClaimNeeds,
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		if !vap.Claimed(v, "levels-kept") {
			return nil
		}
		namespace := minted.Namespace("levels")
		labels := map[string]any{api.EnforceLevelLabel: "restricted", api.AuditLevelLabel: "restricted", api.WarnLevelLabel: "restricted"}
		made := minted.MakeNamespace(namespace)
		made.Request.Object["metadata"].(map[string]any)["labels"] = labels
		changes := minted.Rule("", []string{"namespaces", "namespaces/status"}, []string{"get", "patch", "update"})
		changes["resourceNames"] = []any{namespace}
		me := bailey.Identity{Token: "${token}"}
		change := func(subresource string, changed map[string]any) bailey.Request {
			return bailey.Request{Verb: "patch", APIVersion: "v1", Resource: "namespaces", Subresource: subresource, Name: namespace,
				Object: map[string]any{"metadata": map[string]any{"labels": changed}}}
		}
		other := map[string]any{"bailey.dev/twin": "yes"}
		setup := append([]bailey.Step{made, minted.MakeAccount(namespace, "labeller")},
			minted.ClusterRole(namespace+"-labeller", namespace, "labeller", changes)...)
		setup = append(setup, minted.Mint(bailey.Identity{}, namespace, "labeller", "token", nil), minted.Awaited(minted.Request(me, change("", other))))
		var probes []bailey.Probe
		add := func(name, subresource string, changed map[string]any) {
			path := "patch namespaces"
			if subresource != "" {
				path += "/" + subresource
			}
			probes = append(probes, bailey.Probe{Name: name, Path: path, Setup: setup, Twin: minted.Request(me, change(subresource, other)),
				Try: minted.Request(me, change(subresource, changed), bailey.RefuserPolicy, bailey.RefuserWebhook)})
		}
		add("enforce lowered", "", map[string]any{api.EnforceLevelLabel: "baseline"})
		add("enforce removed", "", map[string]any{api.EnforceLevelLabel: nil})
		add("enforce privileged", "status", map[string]any{api.EnforceLevelLabel: "privileged"})
		add("enforce pinned to an old version", "", map[string]any{api.EnforceVersionLabel: "v1.24"})
		add("audit removed", "", map[string]any{api.AuditLevelLabel: nil})
		add("warn lowered", "", map[string]any{api.WarnLevelLabel: "privileged"})
		return probes
	},
}
