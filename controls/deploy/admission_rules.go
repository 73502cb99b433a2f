package deploy

import (
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/admission"
)

var admissionRules = []*bailey.Rule{
	failsOpen, unreachableWebhook, blocksItself, exactMatch, slowWebhook, fixedAddress, interceptsVital,
	objectExempts, namespaceExempts,
	missedPaths, forgottenContainers, unwatchedPaths,
	unboundPolicy, danglingBinding, onlyWarns, missingParams,
	engineOnlyAudits, engineFailsOpen,
	refusedToday, foreignRegistry, unlistedService,
}

var (
	webhookKinds = []bailey.Kind{bailey.KindValidatingWebhookConfiguration, bailey.KindMutatingWebhookConfiguration}
	policyKinds  = []bailey.Kind{bailey.KindValidatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicy}
	bindingKinds = []bailey.Kind{bailey.KindValidatingAdmissionPolicyBinding, bailey.KindMutatingAdmissionPolicyBinding}
	gateKinds    = []bailey.Kind{
		bailey.KindValidatingWebhookConfiguration, bailey.KindMutatingWebhookConfiguration,
		bailey.KindValidatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicy,
	}
)

var goodPractices = ref.Kubernetes("concepts/cluster-administration/admission-webhooks-good-practices/", "Admission Webhook Good Practices")
var webhookReference = ref.Kubernetes("reference/access-authn-authz/extensible-admission-controllers/", "Dynamic Admission Control")
var policyReference = ref.Kubernetes("reference/access-authn-authz/validating-admission-policy/", "Validating Admission Policy")

// eachGate makes the Check of a rule about single webhooks and policies. find
// gives the findings about one.
func eachGate(find func(v *bailey.View, f *bailey.Fact, g *admission.Gate) []bailey.Finding) func(*bailey.View, *bailey.Fact) []bailey.Finding {
	return func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		var findings []bailey.Finding
		for _, g := range admission.Gates(f) {
			findings = append(findings, find(v, f, &g)...)
		}
		return findings
	}
}

// fixGate makes the Fix of such a rule: fix gives the operations for the gate
// that the finding is about, and a note.
func fixGate(fix func(g *admission.Gate, finding bailey.Finding) ([]bailey.PatchOp, string)) func(*bailey.View, *bailey.Fact, bailey.Finding) []bailey.Change {
	return func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		for _, g := range admission.Gates(f) {
			if !strings.HasPrefix(finding.Field, g.Field("")) {
				continue
			}
			if patch, note := fix(&g, finding); len(patch) > 0 {
				return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: patch, Note: note}}
			}
		}
		return nil
	}
}

// isSystem reports whether the namespace is one that Kubernetes keeps for itself.
func isSystem(namespace string) bool { return strings.HasPrefix(namespace, "kube-") }

// seen says what a finding was taken from: "these files" or "the cluster".
func seen(f *bailey.Fact) string {
	if f.UID == "" {
		return "these files"
	}
	return "the cluster"
}
