package deploy

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/admission"
	"github.com/baileyhq/bailey/derive/network"
)

var objectExempts = &bailey.Rule{
	Name:  "object-exempts",
	Title: "Whoever writes an object can exempt it from a webhook or policy",
	Doc: `Labels and annotations of an object are set by whoever creates it. A gate that leaves out objects with a
certain label, by objectSelector or by a match condition on labels or annotations, is left out by an
attacker at will. A gate that looks only at objects with a certain label is left out by leaving the label
off.

For a gate that only sets defaults this is less severe, and looking at labelled objects alone is how it
is meant. Gates for custom resources alone are left out. Match conditions are searched for the words
object.metadata.labels and object.metadata.annotations, not understood.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{goodPractices, webhookReference},
	On:       append(slices.Clone(gateKinds), bindingKinds...),
	Check: eachGate(func(_ *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if !g.BuiltIn() {
			return nil
		}
		var findings []bailey.Finding
		field := g.Selector("objectSelector")
		if label := admission.OptOut(g.Objects); label != "" {
			findings = append(findings, g.Finding(field, "an object with the label "+label+" is not looked at, and its author sets the label"))
		} else if label := admission.OptIn(g.Objects); label != "" && !g.Mutating {
			finding := g.Finding(field, "an object without the label "+label+" is not looked at, and its author sets the label")
			finding.Severity = bailey.SeverityLow
			findings = append(findings, finding)
		}
		for i := range g.Conditions {
			text := g.Conditions[i].Expression
			if strings.Contains(text, "object.metadata.labels") || strings.Contains(text, "object.metadata.annotations") {
				findings = append(findings, g.Finding(g.Field("matchConditions"),
					"condition "+g.Conditions[i].Name+" depends on labels or annotations, which the object's author sets"))
			}
		}
		for i := range findings {
			if g.Mutating {
				findings[i].Severity = bailey.SeverityLow
			}
		}
		return findings
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: pods}
webhooks:
- name: pods.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  objectSelector: {matchExpressions: [{key: example.com/skip, operator: DoesNotExist}]}
  clientConfig: {service: {namespace: gate, name: gate}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`, `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pods}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  matchConditions: [{name: not-exempt, expression: "!has(object.metadata.annotations) || !('example.com/exempt' in object.metadata.annotations)"}]
  validations: [{expression: "!object.spec.hostPID"}]
`},
}

var namespaceExempts = &bailey.Rule{
	Name:  "namespace-exempts",
	Title: "Webhook or policy spares namespaces",
	Doc: `A gate that spares every namespace with a certain label can be switched off by whoever may label a
namespace, or create one. Who that is, RBAC says. A gate that spares namespaces by name leaves them open:
that is right for kube-system and for the namespace of its own server, and a gap elsewhere.

Gates that only set defaults, gates for custom resources alone, and those that look only at namespaces
with a certain label are left out.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{goodPractices, policyReference},
	On:       []bailey.Kind{bailey.KindValidatingWebhookConfiguration, bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding},
	Check: eachGate(func(_ *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if g.Namespaces == nil || !g.BuiltIn() {
			return nil
		}
		var findings []bailey.Finding
		field := g.Selector("namespaceSelector")
		if label := admission.OptOut(g.Namespaces, network.NameLabel); label != "" {
			findings = append(findings, g.Finding(field, "every namespace with the label "+label+" is spared"))
		}
		if spared := sparedByName(g); len(spared) > 0 {
			finding := g.Finding(field, "it spares what is in "+strings.Join(spared, ", "))
			finding.Severity = bailey.SeverityInfo
			findings = append(findings, finding)
		}
		return findings
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pods}
spec:
  matchConstraints:
    namespaceSelector: {matchExpressions: [{key: example.com/exempt, operator: NotIn, values: ["true"]}]}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations: [{expression: "!object.spec.hostPID"}]
`},
}

// sparedByName gives the namespaces that a gate leaves out by their names,
// without those of Kubernetes itself and that of the gate's own server.
func sparedByName(g *admission.Gate) []string {
	var spared []string
	for i := range g.Namespaces.MatchExpressions {
		r := &g.Namespaces.MatchExpressions[i]
		if r.Key != network.NameLabel || r.Operator != metav1.LabelSelectorOpNotIn {
			continue
		}
		for _, name := range r.Values {
			own := g.Client != nil && g.Client.Service != nil && g.Client.Service.Namespace == name
			if !own && !isSystem(name) {
				spared = append(spared, name)
			}
		}
	}
	return spared
}
