// Package admission reads the gates that a request to the API server passes:
// webhooks and admission policies, what they look at, and how Pod Security
// judges a pod. It is pure.
package admission

import (
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Gate is what webhooks, admission policies and their bindings have in common:
// which requests they look at, and what happens when they cannot.
type Gate struct {
	// Name is the webhook's, or the policy's.
	Name     string
	Mutating bool
	// FailsOpen tells that a request passes when the gate cannot decide.
	FailsOpen  bool
	Namespaces *metav1.LabelSelector
	Objects    *metav1.LabelSelector
	Conditions []admissionv1.MatchCondition
	Exact      bool // matchPolicy
	// Client and Timeout are a webhook's; nil for a policy.
	Client  *admissionv1.WebhookClientConfig
	Timeout *int32

	rules    []admissionv1.RuleWithOperations
	named    []admissionv1.NamedRuleWithOperations
	excluded []admissionv1.NamedRuleWithOperations
	all      bool // a binding that narrows nothing
	index    int
	webhook  bool
	match    string // the field that holds the selectors, with a dot behind it
}

// Gates gives the gates of a webhook configuration, a policy or a binding; none
// for any other fact.
func Gates(f *bailey.Fact) []Gate {
	switch o := f.Object.(type) {
	case *admissionv1.ValidatingWebhookConfiguration:
		gates := make([]Gate, len(o.Webhooks))
		for i := range o.Webhooks {
			w := &o.Webhooks[i]
			gates[i] = webhook(i, w.Name, &w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector, w.MatchConditions, w.TimeoutSeconds)
		}
		return gates
	case *admissionv1.MutatingWebhookConfiguration:
		gates := make([]Gate, len(o.Webhooks))
		for i := range o.Webhooks {
			w := &o.Webhooks[i]
			gates[i] = webhook(i, w.Name, &w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector, w.MatchConditions, w.TimeoutSeconds)
			gates[i].Mutating = true
		}
		return gates
	case *admissionv1.ValidatingAdmissionPolicy:
		return []Gate{policyGate(f.Name, o.Spec.MatchConstraints, o.Spec.FailurePolicy, o.Spec.MatchConditions)}
	case *admissionv1.MutatingAdmissionPolicy:
		g := policyGate(f.Name, o.Spec.MatchConstraints, o.Spec.FailurePolicy, o.Spec.MatchConditions)
		g.Mutating = true
		return []Gate{g}
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		return []Gate{binding(f.Name, o.Spec.MatchResources)}
	case *admissionv1.MutatingAdmissionPolicyBinding:
		g := binding(f.Name, o.Spec.MatchResources)
		g.Mutating = true
		return []Gate{g}
	}
	return nil
}

func webhook(i int, name string, c *admissionv1.WebhookClientConfig, rules []admissionv1.RuleWithOperations, fails *admissionv1.FailurePolicyType,
	matches *admissionv1.MatchPolicyType, namespaces, objects *metav1.LabelSelector, conditions []admissionv1.MatchCondition, timeout *int32) Gate {
	return Gate{
		Name: name, FailsOpen: fails != nil && *fails == admissionv1.Ignore, Exact: matches != nil && *matches == admissionv1.Exact,
		Namespaces: namespaces, Objects: objects, Conditions: conditions, Client: c, Timeout: timeout, rules: rules, index: i, webhook: true,
	}
}

func policyGate(name string, m *admissionv1.MatchResources, fails *admissionv1.FailurePolicyType, conditions []admissionv1.MatchCondition) Gate {
	g := Gate{Name: name, FailsOpen: fails != nil && *fails == admissionv1.Ignore, Conditions: conditions, match: "matchConstraints."}
	g.narrow(m)
	return g
}

func binding(name string, m *admissionv1.MatchResources) Gate {
	g := Gate{Name: name, match: "matchResources."}
	g.narrow(m)
	g.all = len(g.named) == 0
	return g
}

func (g *Gate) narrow(m *admissionv1.MatchResources) {
	if m != nil {
		g.Namespaces, g.Objects, g.Exact = m.NamespaceSelector, m.ObjectSelector, m.MatchPolicy != nil && *m.MatchPolicy == admissionv1.Exact
		g.named, g.excluded = m.ResourceRules, m.ExcludeResourceRules
	}
}

// Field is the path of one of the gate's own fields ("failurePolicy").
func (g *Gate) Field(name string) string {
	if g.webhook {
		return "webhooks[" + strconv.Itoa(g.index) + "]." + name
	}
	return "spec." + name
}

// Selector is Field for what stands with the rules and selectors, which in a
// policy is a level deeper.
func (g *Gate) Selector(name string) string {
	if g.webhook {
		return g.Field(name)
	}
	return "spec." + g.match + name
}

// Named is a path that Field or Selector gave, with the name of the webhook in
// the place of its index.
func (g *Gate) Named(field string) string {
	if !g.webhook {
		return field
	}
	_, rest, _ := strings.Cut(field, "].")
	return "webhooks[" + g.Name + "]." + rest
}

// Pointer is a path that Field or Selector gave, as a JSON pointer.
func (g *Gate) Pointer(field string) string {
	return "/" + strings.NewReplacer("].", "/", "[", "/", ".", "/").Replace(field)
}

// Finding is a finding about a field that Field or Selector gave.
func (g *Gate) Finding(field, message string) bailey.Finding {
	return bailey.Finding{Field: field, Named: g.Named(field), Message: message}
}

// Target is a request that may come: an operation on a resource.
type Target struct {
	Group, Version, Resource, Subresource string
	Operation                             admissionv1.OperationType
	// ClusterWide tells that the resource is in no namespace.
	ClusterWide bool
}

// Pods are the ways in which a container can get into a pod.
var (
	CreatePod        = Target{Version: "v1", Resource: "pods", Operation: admissionv1.Create}
	UpdatePod        = Target{Version: "v1", Resource: "pods", Operation: admissionv1.Update}
	UpdateEphemeral  = Target{Version: "v1", Resource: "pods", Subresource: "ephemeralcontainers", Operation: admissionv1.Update}
	workloadsCreated = []Target{
		{"apps", "v1", "deployments", "", admissionv1.Create, false},
		{"apps", "v1", "replicasets", "", admissionv1.Create, false},
		{"apps", "v1", "statefulsets", "", admissionv1.Create, false},
		{"apps", "v1", "daemonsets", "", admissionv1.Create, false},
		{"batch", "v1", "jobs", "", admissionv1.Create, false},
		{"batch", "v1", "cronjobs", "", admissionv1.Create, false},
		{"", "v1", "replicationcontrollers", "", admissionv1.Create, false},
	}
)

// Looks reports whether the gate's rules match the request, whatever its
// selectors and conditions say.
func (g *Gate) Looks(t Target) bool {
	for i := range g.excluded {
		if matches(&g.excluded[i].RuleWithOperations, t) && len(g.excluded[i].ResourceNames) == 0 {
			return false
		}
	}
	if g.all {
		return true
	}
	for i := range g.rules {
		if matches(&g.rules[i], t) {
			return true
		}
	}
	for i := range g.named {
		if matches(&g.named[i].RuleWithOperations, t) && len(g.named[i].ResourceNames) == 0 {
			return true
		}
	}
	return false
}

// Workloads gives the plural names of the kinds beside Pod that make pods and
// whose creation the gate looks at.
func (g *Gate) Workloads() []string {
	var names []string
	for _, t := range workloadsCreated {
		if g.Looks(t) {
			names = append(names, t.Resource)
		}
	}
	return names
}

// BuiltIn reports whether the gate looks at a kind of Kubernetes' own, rather
// than at custom resources alone.
func (g *Gate) BuiltIn() bool {
	if g.all {
		return true
	}
	for i := range g.rules {
		if slices.ContainsFunc(g.rules[i].APIGroups, isBuiltIn) {
			return true
		}
	}
	for i := range g.named {
		if slices.ContainsFunc(g.named[i].APIGroups, isBuiltIn) {
			return true
		}
	}
	return false
}

func isBuiltIn(group string) bool {
	switch group {
	case "", "*", "apps", "batch", "autoscaling", "policy", "extensions",
		"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
		"certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io",
		"networking.k8s.io", "node.k8s.io", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io":
		return true
	}
	return false
}

// matches reports whether a rule matches the request, as the API server decides it.
func matches(r *admissionv1.RuleWithOperations, t Target) bool {
	if r.Scope != nil && (*r.Scope == admissionv1.NamespacedScope && t.ClusterWide || *r.Scope == admissionv1.ClusterScope && !t.ClusterWide) {
		return false
	}
	if !slices.Contains(r.Operations, admissionv1.OperationAll) && !slices.Contains(r.Operations, t.Operation) {
		return false
	}
	if !holds(r.APIGroups, t.Group) || !holds(r.APIVersions, t.Version) {
		return false
	}
	for _, entry := range r.Resources {
		resource, sub, _ := strings.Cut(entry, "/")
		if (resource == "*" || resource == t.Resource) && (sub == "*" || sub == t.Subresource) {
			return true
		}
	}
	return false
}

func holds(list []string, item string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, item)
}

// OptOut gives the first requirement of a selector that a label's bearer fails,
// so that setting the label takes the object out; empty if there is none. Of the
// labels in but, which their bearer cannot set, none counts.
func OptOut(s *metav1.LabelSelector, but ...string) string {
	if s == nil {
		return ""
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		if slices.Contains(but, r.Key) {
			continue
		}
		switch r.Operator {
		case metav1.LabelSelectorOpDoesNotExist:
			return r.Key
		case metav1.LabelSelectorOpNotIn:
			if len(r.Values) == 1 {
				return r.Key + "=" + r.Values[0]
			}
			return r.Key
		}
	}
	return ""
}

// OptIn gives the first label that an object must bear to be selected; empty if
// there is none.
func OptIn(s *metav1.LabelSelector) string {
	if s == nil {
		return ""
	}
	first := ""
	for key := range s.MatchLabels {
		if first == "" || key < first {
			first = key
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		if first == "" && (r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpExists) {
			return r.Key
		}
	}
	return first
}

// Words gives the identifiers in CEL expressions, those in string literals
// included: object["spec"] reads what object.spec reads.
func Words(expressions ...string) map[string]bool {
	words := map[string]bool{}
	for _, text := range expressions {
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			words[word] = true
		}
	}
	return words
}
