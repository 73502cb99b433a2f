package deploy

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/admission"
	"github.com/baileyhq/bailey/derive/network"
	"github.com/baileyhq/bailey/derive/workload"
)

var failsOpen = &bailey.Rule{
	Name:  "fails-open",
	Title: "Webhook or policy admits everything when it fails",
	Doc: `With failurePolicy Ignore, a webhook whose server is down, slow or overloaded lets every request through,
and so does a policy whose expression fails. An attacker who can bring that about has no gate to pass.

A gate that refuses is more severe than one that only sets defaults; one that looks at pods or at what
makes pods more than one that looks at something else. Webhooks for custom resources alone are left out.
A webhook that fails closed must exempt what it needs itself: see blocks-itself.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{goodPractices, webhookReference, policyReference},
	On:       gateKinds,
	Check: eachGate(func(_ *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if !g.FailsOpen || !g.BuiltIn() {
			return nil
		}
		what := "policy"
		if g.Client != nil {
			what = "webhook"
		}
		finding := g.Finding(g.Field("failurePolicy"), "when the "+what+" fails, requests pass unseen")
		if g.Mutating || !g.Looks(admission.CreatePod) && len(g.Workloads()) == 0 {
			finding.Severity = bailey.SeverityLow
		}
		return []bailey.Finding{finding}
	}),
	Fix: fixGate(func(g *admission.Gate, _ bailey.Finding) ([]bailey.PatchOp, string) {
		note := "While its server cannot answer, everything that the webhook looks at is refused: exempt kube-system and the namespace of the server first, and run more than one replica."
		if g.Client == nil {
			note = "A request on which an expression fails is refused from then on: audit first."
		}
		return []bailey.PatchOp{{Op: "replace", Path: g.Pointer(g.Field("failurePolicy")), Value: "Fail"}}, note
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: pods}
webhooks:
- name: pods.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  clientConfig: {service: {namespace: gate, name: gate}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`, `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pods}
spec:
  failurePolicy: Ignore
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "!object.spec.hostPID"}]
`},
}

var unreachableWebhook = &bailey.Rule{
	Name:  "unreachable",
	Title: "Webhook calls a server that is not there",
	Doc: `A webhook whose Service does not exist, lacks the port, or selects no pods fails at every call. If it
fails open, it is off, and nobody notices. If it fails closed, everything that it looks at is refused:
nothing can be deployed, and perhaps nothing repaired.

What the pods behind the Service answer, and whether the certificate in caBundle is theirs, a
configuration does not show.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{goodPractices, webhookReference},
	On:       webhookKinds,
	Needs:    append([]bailey.Kind{bailey.KindService}, bailey.PodBearing...),
	Check: eachGate(func(v *bailey.View, f *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if g.Client == nil || g.Client.Service == nil {
			return nil
		}
		to := g.Client.Service
		port := int32(443)
		if to.Port != nil {
			port = *to.Port
		}
		name := "Service " + to.Namespace + "/" + to.Name
		var message string
		service, _ := bailey.As[*corev1.Service](v.Get(bailey.KindService, to.Namespace, to.Name))
		switch {
		case service == nil:
			message = name + " is not in " + seen(f)
		case !servesPort(service, port):
			message = name + " has no port " + strconv.Itoa(int(port))
		case len(service.Spec.Selector) > 0 && !selectsPods(v, service, to.Namespace):
			message = name + " selects no pods"
		default:
			return nil
		}
		finding := g.Finding(g.Field("clientConfig.service"), message+": ")
		switch {
		case g.FailsOpen:
			finding.Message += "the webhook is never heard, and requests pass"
		case !g.BuiltIn():
			finding.Message += "what the webhook looks at is refused"
		default:
			finding.Message += "what the webhook looks at is refused"
			finding.Severity = bailey.SeverityHigh
		}
		if f.UID == "" && service == nil && len(v.Known(bailey.KindService, to.Namespace)) == 0 && !mayRun(v, to.Namespace) {
			// Nothing of that namespace is in the files: its server may well ship apart.
			finding.Severity = bailey.SeverityLow
		}
		return []bailey.Finding{finding}
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: sidecars}
webhooks:
- name: sidecars.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {service: {namespace: mesh, name: injector}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
---
apiVersion: v1
kind: Service
metadata: {name: injector-old, namespace: mesh}
spec: {ports: [{port: 443}]}
`},
}

func servesPort(s *corev1.Service, port int32) bool {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return true
	}
	for i := range s.Spec.Ports {
		if s.Spec.Ports[i].Port == port {
			return true
		}
	}
	return false
}

// selectsPods reports whether something in the namespace is, or makes, pods
// that the Service selects.
func selectsPods(v *bailey.View, s *corev1.Service, namespace string) bool {
	selector := &metav1.LabelSelector{MatchLabels: s.Spec.Selector}
	for _, k := range bailey.PodBearing {
		for _, f := range v.Known(k, namespace) {
			if w, ok := workload.Of(f); ok && !f.Dormant && network.Matches(selector, w.Meta.Labels) {
				return true
			}
		}
	}
	for _, k := range bailey.PodBearing {
		v.List(k, namespace)
	}
	return false
}

// mayRun reports whether a workload of the namespace was seen.
func mayRun(v *bailey.View, namespace string) bool {
	for _, k := range bailey.PodBearing {
		if len(v.Known(k, namespace)) > 0 {
			return true
		}
	}
	return false
}

var blocksItself = &bailey.Rule{
	Name:  "blocks-itself",
	Title: "Webhook that fails closed stands in the way of its own repair",
	Doc: `A webhook that fails closed and looks at the pods of its own namespace refuses the pod that would bring
its server back: after a node is lost, nothing starts until somebody deletes the webhook. One that looks
at kube-system does the same to the cluster's network and DNS. In the night when that happens, the
webhook goes, and with it the gate.

A selector on objects or a match condition is taken to exempt what is needed.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{goodPractices},
	On:       webhookKinds,
	Needs:    []bailey.Kind{bailey.KindNamespace},
	Check: eachGate(func(v *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if g.FailsOpen || !g.Looks(admission.CreatePod) || len(g.Conditions) > 0 || g.Objects != nil && !network.IsEmpty(g.Objects) {
			return nil
		}
		var blocked []string
		if looksInto(v, g, "kube-system") {
			blocked = append(blocked, "of kube-system")
		}
		if g.Client != nil && g.Client.Service != nil && g.Client.Service.Namespace != "kube-system" && looksInto(v, g, g.Client.Service.Namespace) {
			blocked = append(blocked, "of its own namespace ("+g.Client.Service.Namespace+")")
		}
		if len(blocked) == 0 {
			return nil
		}
		return []bailey.Finding{g.Finding(g.Selector("namespaceSelector"), "when its server is down, no pod "+strings.Join(blocked, ", nor ")+" can start")}
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: all}
webhooks:
- name: all.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {service: {namespace: gate, name: gate}}
  rules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/*"]}]
`},
}

// looksInto reports whether the gate's namespace selector lets it look into the
// namespace. The namespace is read only if the selector asks for more than its name.
func looksInto(v *bailey.View, g *admission.Gate, namespace string) bool {
	if g.Namespaces == nil || network.IsEmpty(g.Namespaces) {
		return true
	}
	named := true
	for key := range g.Namespaces.MatchLabels {
		named = named && key == network.NameLabel
	}
	for i := range g.Namespaces.MatchExpressions {
		named = named && g.Namespaces.MatchExpressions[i].Key == network.NameLabel
	}
	var labels map[string]string
	if !named {
		ns := v.Get(bailey.KindNamespace, "", namespace)
		if ns == nil {
			return false
		}
		labels = ns.Labels
	}
	return network.MatchesNamespace(g.Namespaces, namespace, labels)
}

var exactMatch = &bailey.Rule{
	Name:  "exact-match",
	Title: "Webhook or policy looks at the named API versions only",
	Doc: `With matchPolicy Exact, a request for the same object in another version, or in another group that serves
it, is not looked at. The next upgrade of Kubernetes or of a custom resource may open such a way.
Equivalent, the default, converts the request instead, and costs nothing.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{webhookReference, policyReference},
	On:       gateKinds,
	Check: eachGate(func(_ *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if !g.Exact {
			return nil
		}
		return []bailey.Finding{g.Finding(g.Selector("matchPolicy"), "with Exact, requests in other API versions pass unseen")}
	}),
	Fix: fixGate(func(g *admission.Gate, _ bailey.Finding) ([]bailey.PatchOp, string) {
		return []bailey.PatchOp{{Op: "replace", Path: g.Pointer(g.Selector("matchPolicy")), Value: "Equivalent"}}, ""
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: deployments}
webhooks:
- name: deployments.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  matchPolicy: Exact
  clientConfig: {service: {namespace: gate, name: gate}}
  rules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]
`},
}

// slowSeconds is the default timeout; more is asked for seldom, and holds up
// every request that the webhook looks at.
const slowSeconds = 10

var slowWebhook = &bailey.Rule{
	Name:  "slow",
	Title: "Webhook may hold up a request for long",
	Doc: `Every request that a webhook looks at waits for its answer. One with a timeout of more than ten seconds,
and a server that hangs, slows the API server down for everybody: controllers time out, and leases are
lost. The webhook that comes after it may not be asked in time.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{goodPractices},
	On:       webhookKinds,
	Check: eachGate(func(_ *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if g.Timeout == nil || *g.Timeout <= slowSeconds {
			return nil
		}
		return []bailey.Finding{g.Finding(g.Field("timeoutSeconds"), "a request may wait "+strconv.Itoa(int(*g.Timeout))+" seconds for this webhook")}
	}),
	Fix: fixGate(func(g *admission.Gate, _ bailey.Finding) ([]bailey.PatchOp, string) {
		return []bailey.PatchOp{{Op: "replace", Path: g.Pointer(g.Field("timeoutSeconds")), Value: slowSeconds}}, "Make sure that the server answers within that time."
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: slow}
webhooks:
- name: slow.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 30
  clientConfig: {service: {namespace: gate, name: gate}}
  rules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]
`},
}

var fixedAddress = &bailey.Rule{
	Name:  "fixed-address",
	Title: "Webhook is called at a fixed address",
	Doc: `A webhook with a URL that holds an IP address, or localhost, is bound to one machine. When the address is
given to another, whoever has it sees every object that the webhook looks at, if its certificate is
trusted. A Service follows its pods.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{webhookReference},
	On:       webhookKinds,
	Check: eachGate(func(_ *bailey.View, _ *bailey.Fact, g *admission.Gate) []bailey.Finding {
		if g.Client == nil || g.Client.URL == nil {
			return nil
		}
		u, err := url.Parse(*g.Client.URL)
		if err != nil {
			return nil
		}
		if _, err := netip.ParseAddr(u.Hostname()); err != nil && u.Hostname() != "localhost" {
			return nil
		}
		return []bailey.Finding{g.Finding(g.Field("clientConfig.url"), "the webhook is called at the fixed address "+u.Hostname())}
	}),
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: outside}
webhooks:
- name: outside.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {url: "https://192.0.2.7:8443/validate"}
  rules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]
`},
}
