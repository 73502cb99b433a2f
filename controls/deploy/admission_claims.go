package deploy

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/admission"
	"github.com/baileyhq/bailey/derive/network"
)

// claim is a webhook, or a policy with a binding that denies, that looks at new
// pods.
type claim struct {
	name   string
	policy *bailey.Fact // nil for a webhook
	gates  []admission.Gate
	// varies tells that it decides by namespace or for one by design: an engine
	// behind a webhook that holds many policies, or a policy with parameters.
	varies bool
}

// claims gives the gates that may refuse a new pod, sorted by name.
func claims(v *bailey.View) []claim {
	var all []claim
	for _, k := range []bailey.Kind{bailey.KindValidatingWebhookConfiguration, bailey.KindMutatingWebhookConfiguration} {
		for _, f := range v.List(k, "") {
			for _, g := range admission.Gates(f) {
				if g.Looks(admission.CreatePod) {
					all = append(all, claim{name: f.Name + "/" + g.Name, gates: []admission.Gate{g}, varies: isEngine(f.Name, &g)})
				}
			}
		}
	}
	for _, f := range v.List(bailey.KindValidatingAdmissionPolicyBinding, "") {
		b, ok := f.Object.(*admissionv1.ValidatingAdmissionPolicyBinding)
		if !ok || !denies(f, b.Spec.PolicyName) {
			continue
		}
		policy := v.Get(bailey.KindValidatingAdmissionPolicy, "", b.Spec.PolicyName)
		if policy == nil {
			continue
		}
		gates := append(admission.Gates(policy), admission.Gates(f)...)
		if slices.ContainsFunc(gates, func(g admission.Gate) bool { return !g.Looks(admission.CreatePod) }) || holdsProber(policy) {
			continue
		}
		all = append(all, claim{name: f.Name, policy: policy, gates: gates,
			varies: b.Spec.ParamRef != nil || reads(policy, "namespaceObject")})
	}
	slices.SortFunc(all, func(a, b claim) int { return cmp.Compare(a.name, b.name) })
	return all
}

// isEngine reports whether a webhook belongs to a policy engine, whose policies
// name the namespaces that each of them is about.
func isEngine(configuration string, g *admission.Gate) bool {
	text := configuration + " " + g.Name
	return strings.Contains(text, "kyverno") || strings.Contains(text, "gatekeeper") || strings.Contains(text, "kubewarden") || strings.Contains(text, "opa")
}

// reads reports whether the policy's expressions or conditions name the word.
func reads(policy *bailey.Fact, word string) bool {
	return admission.Words(append(expressions(policy), conditions(policy)...)...)[word]
}

// conditions gives the expressions of a policy's match conditions.
func conditions(policy *bailey.Fact) []string {
	var all []string
	for _, g := range admission.Gates(policy) {
		for i := range g.Conditions {
			all = append(all, g.Conditions[i].Expression)
		}
	}
	return all
}

// holdsProber reports whether the policy is one of those that hold a prober to dry-runs: by its conditions it looks at what one user does, and
// at no dry-run. It claims nothing of pods. Any other that leaves out dry-runs is a gate, which they get past.
func holdsProber(policy *bailey.Fact) bool {
	one, real := false, false
	for _, expression := range conditions(policy) {
		expression = strings.Join(strings.Fields(expression), "")
		one = one || oneUser.MatchString(expression)
		real = real || expression == "!(has(request.dryRun)&&request.dryRun)"
	}
	return one && real
}

// oneUser is a condition that takes in one user.
var oneUser = regexp.MustCompile(`^request\.userInfo\.username==("[^"\\]*"|'[^'\\]*')$`)

// on reports whether the claim's selectors choose the namespace.
func (c *claim) on(ns *bailey.Fact) bool {
	for i := range c.gates {
		if s := c.gates[i].Namespaces; s != nil && !network.MatchesNamespace(s, ns.Name, ns.Labels) {
			return false
		}
	}
	return true
}

// domain is a set of namespaces that the same gates look into.
type domain struct {
	claims     []claim
	namespaces []string // sorted
}

// domains bounds how many sets of namespaces are tried, and peers how many
// namespaces of one.
const (
	maxDomains = 4
	maxPeers   = 8
)

// domainsOf groups the namespaces by the gates that look at new pods in them; those into
// which none looks only if ungated. Kubernetes' own are left out: gates spare them for
// good reason.
func domainsOf(v *bailey.View, ungated bool) []domain {
	all := claims(v)
	index := map[string]int{}
	var domains []domain
	for _, ns := range v.List(bailey.KindNamespace, "") {
		if isSystem(ns.Name) || strings.HasPrefix(ns.Name, bailey.ProbePrefix) || terminating(ns) {
			continue
		}
		var d domain
		var names []string
		for _, c := range all {
			if c.on(ns) {
				d.claims = append(d.claims, c)
				names = append(names, c.name)
			}
		}
		if len(d.claims) == 0 && !ungated {
			continue
		}
		key := strings.Join(names, "\n")
		i, known := index[key]
		if !known {
			i = len(domains)
			index[key] = i
			domains = append(domains, d)
		}
		domains[i].namespaces = append(domains[i].namespaces, ns.Name)
	}
	// Those with the most gates first: what is left out is looked at by fewer.
	slices.SortStableFunc(domains, func(a, b domain) int { return cmp.Compare(len(b.claims), len(a.claims)) })
	return domains[:min(len(domains), maxDomains)]
}

// varies reports whether some gate of the domain may treat its namespaces
// differently by design.
func (d *domain) varies() bool {
	return slices.ContainsFunc(d.claims, func(c claim) bool { return c.varies })
}

// terminating reports whether the namespace is going, so that nothing new gets in.
func terminating(ns *bailey.Fact) bool {
	o, ok := ns.Object.(*corev1.Namespace)
	return ok && (o.DeletionTimestamp != nil || o.Status.Phase == corev1.NamespaceTerminating)
}
