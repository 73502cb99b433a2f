package deploy

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/admission"
	"github.com/baileyhq/bailey/derive/network"
)

// vital are requests that the cluster itself rests on, and that no webhook has anything to say of.
var vital = []struct {
	target    admission.Target
	namespace string // where the request comes, if it is in one
	what      string
}{
	{admission.Target{Group: "coordination.k8s.io", Version: "v1", Resource: "leases", Operation: admissionv1.Update}, "kube-node-lease", "nodes' leases, without which nodes count as lost"},
	{admission.Target{Group: "authentication.k8s.io", Version: "v1", Resource: "tokenreviews", Operation: admissionv1.Create, ClusterWide: true}, "", "token reviews, by which kubelets and others know who calls"},
	{admission.Target{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews", Operation: admissionv1.Create, ClusterWide: true}, "", "access reviews, by which kubelets and others ask what a caller may"},
}

var interceptsVital = &bailey.Rule{
	Name:  "intercepts-control-plane",
	Title: "Webhook looks at what the cluster itself rests on",
	Doc: `Reads webhooks whose rules match nodes' leases, token reviews or access reviews, mostly by wildcards. There is nothing
to decide about them, each is a call to the webhook's server many times a second, and one that fails closed takes
nodes and authentication with it when its server is down. A webhook with match conditions, or with a selector on
objects, is taken to leave them out.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{goodPractices, webhookReference},
	On:       webhookKinds,
	Needs:    []bailey.Kind{bailey.KindNamespace},
	Check: eachGate(func(v *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if len(g.Conditions) > 0 || g.Objects != nil && !network.IsEmpty(g.Objects) {
			return nil
		}
		var seen []string
		for i := range vital {
			if g.Looks(vital[i].target) && (vital[i].namespace == "" || looksInto(v, g, vital[i].namespace)) {
				seen = append(seen, vital[i].what)
			}
		}
		if len(seen) == 0 {
			return nil
		}
		finding := g.Finding(g.Field("rules"), "looks at "+strings.Join(seen, "; at "))
		if !g.FailsOpen {
			finding.Severity = bailey.SeverityMedium
		}
		return []bailey.Finding{finding}
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: all}
webhooks:
- name: all.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {service: {namespace: gate, name: gate}}
  rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/*"]}]
`},
}
