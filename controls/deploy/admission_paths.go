package deploy

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/admission"
)

// manyWorkloads is how many kinds that make pods a webhook must look at before
// it is taken to be about their pods.
const manyWorkloads = 3

var missedPaths = &bailey.Rule{
	Name:  "missed-paths",
	Title: "Webhook or policy about pods misses ways in which pods come about",
	Doc: `A pod's containers can come in three ways: with the pod, by an update that changes an image, and as an
ephemeral container (kubectl debug) through pods/ephemeralcontainers. A gate that looks at the creation
of pods only is passed by the other two. One that looks at Deployments and Jobs, and not at pods, is
passed by a bare pod, and by every controller that it has not heard of.

What a webhook is about is not known; one that looks at pods is taken to be about containers, and one
that looks at three or more kinds that make pods to be about pods. Of a policy the expressions tell:
ephemeral containers count if they speak of containers, updates if they speak of images, annotations or
labels. Webhooks and policies that only set defaults are left out.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{goodPractices, policyReference,
		ref.Kubernetes("concepts/workloads/pods/ephemeral-containers/", "Ephemeral Containers")},
	On: []bailey.Kind{bailey.KindValidatingWebhookConfiguration, bailey.KindValidatingAdmissionPolicy},
	Check: eachGate(func(_ *bailey.View, f *bailey.Fact, g *admission.Gate) []bailey.Finding {
		field := g.Selector("rules")
		var words map[string]bool
		if g.Client == nil {
			field = g.Selector("resourceRules")
			words = admission.Words(expressions(f)...)
		}
		if !g.Looks(admission.CreatePod) {
			kinds := g.Workloads()
			if words == nil && len(kinds) < manyWorkloads || words != nil && (len(kinds) == 0 || !words["template"]) {
				return nil
			}
			return []bailey.Finding{g.Finding(field, "it looks at "+strings.Join(kinds, ", ")+" and not at pods: a bare pod, or one of another controller, passes")}
		}
		var missed []string
		if !g.Looks(admission.UpdatePod) && (words == nil || words["image"] || words["annotations"] || words["labels"]) {
			missed = append(missed, "updates of pods, which can change images")
		}
		if !g.Looks(admission.UpdateEphemeral) && (words == nil || words["containers"]) {
			missed = append(missed, "pods/ephemeralcontainers, which adds a container to a running pod")
		}
		if len(missed) == 0 {
			return nil
		}
		return []bailey.Finding{g.Finding(field, "it looks at new pods and not at "+strings.Join(missed, ", nor at "))}
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: pods}
webhooks:
- name: pods.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {service: {namespace: gate, name: gate}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`, `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: deployments}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]}
  validations: [{expression: "!object.spec.template.spec.hostPID"}]
`},
}

var forgottenContainers = &bailey.Rule{
	Name:  "forgotten-containers",
	Title: "Policy reads containers and forgets other kinds of them",
	Doc: `A policy that reads spec.containers alone is passed by the same fault in an init container, which may be
a sidecar and run as long as the pod, and in an ephemeral container. One that reads the images of
containers is passed by a volume of type image, which mounts the content of any image (on by default
since 1.35).

The words in the expressions are compared, not their meaning: a policy that names a kind of container is
taken to judge it. Ephemeral containers count where the policy is asked about them; they have no
resources, so that a policy about resources need not read them.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{policyReference,
		ref.Kubernetes("concepts/workloads/pods/sidecar-containers/", "Sidecar Containers"),
		ref.Kubernetes("concepts/workloads/pods/ephemeral-containers/", "Ephemeral Containers")},
	On: []bailey.Kind{bailey.KindValidatingAdmissionPolicy},
	Check: eachGate(func(v *bailey.View, f *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if !g.Looks(admission.CreatePod) && len(g.Workloads()) == 0 {
			return nil
		}
		words := admission.Words(expressions(f)...)
		if !words["containers"] {
			return nil
		}
		var findings []bailey.Finding
		if !words["initContainers"] {
			findings = append(findings, bailey.Finding{Field: "spec.validations", Message: "it reads containers and forgets init containers, sidecars among them"})
		}
		if g.Looks(admission.UpdateEphemeral) && !words["ephemeralContainers"] && !words["resources"] {
			findings = append(findings, bailey.Finding{Field: "spec.validations", Message: "it reads containers and forgets ephemeral containers"})
		}
		if v.Version().AtLeast(1, 35) && words["image"] && !words["volumes"] {
			findings = append(findings, bailey.Finding{Field: "spec.validations", Severity: bailey.SeverityLow, Message: "it reads the images of containers and forgets volumes of type image"})
		}
		return findings
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pods}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}]}
  validations: [{expression: "object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))"}]
`},
}

// expressions gives what a policy evaluates to decide; nil for anything else.
func expressions(f *bailey.Fact) []string {
	p, ok := f.Object.(*admissionv1.ValidatingAdmissionPolicy)
	if !ok {
		return nil
	}
	var all []string
	for i := range p.Spec.Variables {
		all = append(all, p.Spec.Variables[i].Expression)
	}
	for i := range p.Spec.Validations {
		all = append(all, p.Spec.Validations[i].Expression)
	}
	return all
}

// path is a way into the cluster that admission can watch.
type path struct {
	name   string
	target admission.Target
}

// paths are the ways to make, change, place and enter pods, and to remove them
// by eviction.
var paths = []path{
	{"pods (create)", admission.CreatePod},
	{"pods (update)", admission.UpdatePod},
	{"pods/ephemeralcontainers", admission.UpdateEphemeral},
	{"pods/resize", admission.Target{Version: "v1", Resource: "pods", Subresource: "resize", Operation: admissionv1.Update}},
	{"pods/binding", admission.Target{Version: "v1", Resource: "pods", Subresource: "binding", Operation: admissionv1.Create}},
	{"pods/eviction", admission.Target{Version: "v1", Resource: "pods", Subresource: "eviction", Operation: admissionv1.Create}},
	{"pods/exec", admission.Target{Version: "v1", Resource: "pods", Subresource: "exec", Operation: admissionv1.Connect}},
	{"pods/attach", admission.Target{Version: "v1", Resource: "pods", Subresource: "attach", Operation: admissionv1.Connect}},
	{"pods/portforward", admission.Target{Version: "v1", Resource: "pods", Subresource: "portforward", Operation: admissionv1.Connect}},
}

var unwatchedPaths = &bailey.Rule{
	Name:  "unwatched-paths",
	Title: "No webhook or policy watches some ways into the cluster",
	Doc: `The ways in which pods are made, changed, placed and entered, and for each whether any validating webhook
that fails closed, or any ValidatingAdmissionPolicy that fails closed and is bound with Deny, looks at
it, in whatever namespaces. What no gate watches is held by RBAC alone, and by Pod Security for pods and
their ephemeral containers.

The finding informs: not every cluster needs a gate on each. It is on the kube-system namespace, which
stands for the cluster. The built-in admission plugins are not counted.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{webhookReference, policyReference},
	On:       []bailey.Kind{bailey.KindNamespace},
	Needs:    []bailey.Kind{bailey.KindValidatingWebhookConfiguration, bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if f.Name != "kube-system" {
			return nil
		}
		bindings := v.List(bailey.KindValidatingAdmissionPolicyBinding, "")
		var gates []admission.Gate
		for _, w := range v.List(bailey.KindValidatingWebhookConfiguration, "") {
			gates = append(gates, admission.Gates(w)...)
		}
		for _, p := range v.List(bailey.KindValidatingAdmissionPolicy, "") {
			if slices.ContainsFunc(bindings, func(b *bailey.Fact) bool { return denies(b, p.Name) }) {
				gates = append(gates, admission.Gates(p)...)
			}
		}
		var open []string
		for _, p := range paths {
			if !slices.ContainsFunc(gates, func(g admission.Gate) bool { return !g.FailsOpen && g.Looks(p.target) }) {
				open = append(open, p.name)
			}
		}
		if len(open) == 0 {
			return nil
		}
		return []bailey.Finding{{Message: "no webhook and no policy that refuses looks at " + strings.Join(open, ", ")}}
	},
	Bad: []string{`
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pods}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: ["pods/*"]}]}
  validations: [{expression: "!object.spec.hostPID"}]
`},
}

// denies reports whether the fact is a binding that makes the policy refuse.
func denies(f *bailey.Fact, policy string) bool {
	b, ok := f.Object.(*admissionv1.ValidatingAdmissionPolicyBinding)
	return ok && b.Spec.PolicyName == policy && slices.Contains(b.Spec.ValidationActions, admissionv1.Deny)
}
