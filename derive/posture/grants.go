package posture

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/rbac"
)

// place is where a grant holds: for whom, in which namespace ("" for all), on what.
type place struct {
	subject   bailey.Ref
	namespace string
	target    string // "pods", "deployments.apps", "secrets/name", "/metrics"
}

// grants are the verbs for each place, with the source of each.
type grants map[place]map[string]bailey.Source

// roleVerb is the verb under which a role is held that the files do not have.
const roleVerb = "role"

// grantsOf spells out every binding. Bindings whose role is not among the files
// give the role as such.
func grantsOf(s *bailey.Snapshot) grants {
	v := bailey.NewView(s)
	v.Allow(nil, []bailey.Kind{bailey.KindRole, bailey.KindClusterRole, bailey.KindRoleBinding, bailey.KindClusterRoleBinding}, nil)
	all := grants{}
	bind := func(f *bailey.Fact, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		role := rbac.RoleOf(ref, f.Namespace)
		source := f.Source
		rules, known := rbac.RulesGiven(v, role)
		if known {
			source = s.Get(role).Source
		}
		for i := range subjects {
			subject := refOf(rbac.SubjectOf(&subjects[i], f.Namespace))
			if !known {
				all.add(place{subject, f.Namespace, role.Kind.Short() + " " + role.Name}, roleVerb, source)
			}
			for j := range rules {
				all.addRule(subject, f.Namespace, &rules[j], source)
			}
		}
	}
	for _, f := range s.List(bailey.KindRoleBinding, "") {
		if b, is := bailey.As[*rbacv1.RoleBinding](f); is {
			bind(f, b.RoleRef, b.Subjects)
		}
	}
	for _, f := range s.List(bailey.KindClusterRoleBinding, "") {
		if b, is := bailey.As[*rbacv1.ClusterRoleBinding](f); is {
			bind(f, b.RoleRef, b.Subjects)
		}
	}
	return all
}

func refOf(s rbac.Subject) bailey.Ref {
	return bailey.Ref{Kind: bailey.Kind(s.Kind), Namespace: s.Namespace, Name: s.Name}
}

func (g grants) add(p place, verb string, source bailey.Source) {
	if g[p] == nil {
		g[p] = map[string]bailey.Source{}
	}
	if _, known := g[p][verb]; !known {
		g[p][verb] = source
	}
}

func (g grants) addRule(subject bailey.Ref, namespace string, r *rbacv1.PolicyRule, source bailey.Source) {
	for _, verb := range r.Verbs {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				target := resource
				switch group {
				case "":
				case "*":
					target += ".*"
				default:
					target += "." + group
				}
				names := r.ResourceNames
				if len(names) == 0 {
					names = []string{""}
				}
				for _, name := range names {
					at := target
					if name != "" {
						at += " " + name
					}
					g.add(place{subject, namespace, at}, verb, source)
				}
			}
		}
		if namespace == "" {
			for _, url := range r.NonResourceURLs {
				g.add(place{subject, "", url}, verb, source)
			}
		}
	}
}

// has reports whether the grants give the verb there, as such or by a wildcard.
func (g grants) has(p place, verb string) bool {
	resource, group, _ := strings.Cut(p.target, ".")
	targets := []string{p.target, "*.*"}
	if unnamed, _, named := strings.Cut(p.target, " "); named {
		targets = append(targets, unnamed)
	}
	if !strings.HasPrefix(p.target, "/") {
		targets = append(targets, resource+".*")
		if group == "" {
			targets = append(targets, "*")
		} else {
			targets = append(targets, "*."+group)
		}
	}
	for _, namespace := range []string{p.namespace, ""} {
		for _, t := range targets {
			verbs := g[place{p.subject, namespace, t}]
			_, exact := verbs[verb]
			_, every := verbs["*"]
			if exact || every && verb != roleVerb {
				return true
			}
		}
	}
	return false
}

// compareGrants says which grants have come and gone. Verbs of one place are told
// together.
func compareGrants(base, head grants) []bailey.Effect {
	var effects []bailey.Effect
	differ := func(from, to grants, added bool) {
		for p, verbs := range to {
			var fresh []string
			for verb := range verbs {
				if !from.has(p, verb) {
					fresh = append(fresh, verb)
				}
			}
			if len(fresh) == 0 {
				continue
			}
			slices.Sort(fresh)
			effects = append(effects, bailey.Effect{Class: bailey.EffectGrant, Gain: worth(p, fresh), Added: added, Object: p.subject, Text: p.text(fresh), Source: verbs[fresh[0]]})
		}
	}
	differ(base, head, true)
	differ(head, base, false)
	return effects
}

func (p place) text(verbs []string) string {
	where := "in namespace " + p.namespace
	if p.namespace == "" {
		where = "everywhere"
	}
	if len(verbs) == 1 && verbs[0] == roleVerb {
		return fmt.Sprintf("holds %s %s", p.target, where)
	}
	if strings.HasPrefix(p.target, "/") {
		return fmt.Sprintf("may %s the URL %s", strings.Join(verbs, ", "), p.target)
	}
	return fmt.Sprintf("may %s %s %s", strings.Join(verbs, ", "), p.target, where)
}

// Resources that give more than they are: whoever writes them, or what the verb
// named asks for, gets the rights of others or a way onto nodes.
var (
	runs      = []string{"pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs", "replicationcontrollers"}
	enters    = []string{"pods/exec", "pods/attach", "pods/ephemeralcontainers", "pods/portforward", "pods/proxy", "services/proxy"}
	binds     = []string{"rolebindings", "clusterrolebindings", "roles", "clusterroles"}
	admission = []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
		"mutatingadmissionpolicies", "mutatingadmissionpolicybindings"}
	nodes    = []string{"nodes/proxy", "nodes", "persistentvolumes", "certificatesigningrequests/approval", "certificatesigningrequests/status"}
	rulings  = []string{"escalate", "bind", "impersonate", "approve", "sign", "*"}
	readings = []string{"get", "list", "watch"}
)

// worth is what a grant gives an attacker.
func worth(p place, verbs []string) bailey.Severity {
	if len(verbs) == 1 && verbs[0] == roleVerb {
		switch p.target {
		case "ClusterRole cluster-admin":
			return bailey.SeverityCritical
		case "ClusterRole admin", "ClusterRole edit":
			return bailey.SeverityHigh
		}
		return bailey.SeverityMedium
	}
	target, _, _ := strings.Cut(p.target, " ")
	resource, _, _ := strings.Cut(target, ".")
	writes := slices.ContainsFunc(verbs, func(v string) bool { return !slices.Contains(readings, v) })
	gain := bailey.SeverityLow
	switch {
	case strings.HasPrefix(p.target, "/"):
		return bailey.SeverityLow
	case slices.ContainsFunc(verbs, func(v string) bool { return slices.Contains(rulings, v) }) && (resource == "*" || slices.Contains(binds, resource) || !slices.Contains(verbs, "*")),
		resource == "nodes/proxy", resource == "serviceaccounts/token" && writes:
		return bailey.SeverityCritical
	case slices.Contains(enters, resource), writes && slices.Contains(binds, resource), writes && slices.Contains(admission, resource), writes && slices.Contains(nodes, resource),
		writes && slices.Contains(runs, resource), resource == "secrets", resource == "*":
		gain = bailey.SeverityHigh
	case writes:
		gain = bailey.SeverityMedium
	}
	if p.namespace == "" && gain == bailey.SeverityHigh {
		gain = bailey.SeverityCritical
	}
	return gain
}
