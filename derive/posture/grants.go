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
	on        target
}

// target is what a grant is on: a URL, a role that the files do not have, or
// resources. Its parts stay apart, since "*" is one of each, and names hold dots.
type target struct {
	url, role                          string
	group, resource, subresource, name string // name "" for all
}

// String is "pods/exec", "deployments.apps web", "/metrics" or "ClusterRole view".
func (t target) String() string {
	if t.url != "" || t.role != "" {
		return t.url + t.role
	}
	text := t.path()
	if t.group != "" {
		text += "." + t.group
	}
	if t.name != "" {
		text += " " + t.name
	}
	return text
}

// path is the resource with its subresource, as rules write them.
func (t target) path() string {
	if t.subresource == "" {
		return t.resource
	}
	return t.resource + "/" + t.subresource
}

// within gives the targets of which each would cover this one.
func (t target) within() []target {
	all := []target{t}
	switch {
	case t.role != "":
	case t.url != "":
		for i := range len(t.url) {
			all = append(all, target{url: t.url[:i] + "*"})
		}
	default:
		all = all[:0]
		for _, group := range []string{t.group, "*"} {
			for _, name := range []string{t.name, ""} {
				all = append(all, target{group: group, resource: t.resource, subresource: t.subresource, name: name}, target{group: group, resource: "*", name: name})
				if t.subresource != "" {
					all = append(all, target{group: group, resource: "*", subresource: t.subresource, name: name})
				}
			}
		}
	}
	return all
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
				all.add(place{subject, f.Namespace, target{role: role.Kind.Short() + " " + role.Name}}, roleVerb, source)
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
				on := target{group: group}
				on.resource, on.subresource, _ = strings.Cut(resource, "/")
				names := r.ResourceNames
				if len(names) == 0 {
					names = []string{""}
				}
				for _, on.name = range names {
					g.add(place{subject, namespace, on}, verb, source)
				}
			}
		}
		if namespace == "" {
			for _, url := range r.NonResourceURLs {
				g.add(place{subject, "", target{url: url}}, verb, source)
			}
		}
	}
}

// has reports whether the grants give the verb there, as such or by a wildcard.
func (g grants) has(p place, verb string) bool {
	targets := p.on.within()
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
		return fmt.Sprintf("holds %s %s", p.on, where)
	}
	if p.on.url != "" {
		return fmt.Sprintf("may %s the URL %s", strings.Join(verbs, ", "), p.on)
	}
	return fmt.Sprintf("may %s %s %s", strings.Join(verbs, ", "), p.on, where)
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
	// ruled are the resources, with their groups, for which every verb includes one of
	// the rulings that is not on roles: impersonate, approve, sign.
	ruled = map[string]string{"users": "", "groups": "", "serviceaccounts": "", "uids": "authentication.k8s.io", "userextras": "authentication.k8s.io",
		"signers": "certificates.k8s.io"}
)

// worth is what a grant gives an attacker.
func worth(p place, verbs []string) bailey.Severity {
	if len(verbs) == 1 && verbs[0] == roleVerb {
		switch p.on.role {
		case "ClusterRole cluster-admin":
			return bailey.SeverityCritical
		case "ClusterRole admin", "ClusterRole edit":
			return bailey.SeverityHigh
		}
		return bailey.SeverityMedium
	}
	resource := p.on.path()
	writes := slices.ContainsFunc(verbs, func(v string) bool { return !slices.Contains(readings, v) })
	gain := bailey.SeverityLow
	switch {
	case p.on.url != "":
		return bailey.SeverityLow
	case slices.ContainsFunc(verbs, func(v string) bool { return slices.Contains(rulings, v) }) && (resource == "*" || slices.Contains(binds, resource) || isRuled(p.on) || !slices.Contains(verbs, "*")),
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

func isRuled(t target) bool {
	group, known := ruled[t.resource]
	return known && (t.group == group || t.group == "*")
}
