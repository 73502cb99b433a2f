package prove

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// Grant is a right that the prober needs: verbs on a resource of an API group, or
// on a path. Namespace is empty for every namespace and for what lies outside.
type Grant struct {
	Group     string   `json:"group"`
	Resource  string   `json:"resource,omitempty"` // with its subresource: "pods/ephemeralcontainers"
	Path      string   `json:"path,omitempty"`
	Names     []string `json:"names,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Verbs     []string `json:"verbs"`
}

// Grants gives the rights that the prober needs for the units, and no more: what
// it asks as itself. What a minted identity asks needs none.
func Grants(units []Unit) []Grant {
	g := grants{}
	g.add(Grant{Path: "/readyz"}, "get")
	g.add(Grant{Path: "/version"}, "get")
	for i := range units {
		u := &units[i]
		if u.Skipped != "" {
			continue
		}
		for k := range u.Probes {
			for step := range stepsOf(&u.Probes[k]) {
				g.step(step, acts(u.Experiment.Danger))
			}
		}
	}
	return g.sorted()
}

// stepsOf goes over the steps of a probe.
func stepsOf(p *bailey.Probe) iter.Seq[*bailey.Step] {
	return func(yield func(*bailey.Step) bool) {
		steps := append(append(slices.Clone(p.Setup), p.Twin, p.Try), p.Undo...)
		for _, given := range []*bailey.Step{p.Given, p.GivenTwin} {
			if given != nil {
				steps = append(steps, *given)
			}
		}
		for i := range steps {
			if !yield(&steps[i]) {
				return
			}
		}
	}
}

type grants map[string]*Grant

func (g grants) add(to Grant, verbs ...string) {
	key := strings.Join([]string{to.Group, to.Resource, to.Path, to.Namespace, strings.Join(to.Names, ",")}, "|")
	at := g[key]
	if at == nil {
		at = &to
		g[key] = at
	}
	for _, verb := range verbs {
		if !slices.Contains(at.Verbs, verb) {
			at.Verbs = append(at.Verbs, verb)
		}
	}
}

func (g grants) step(s *bailey.Step, isolated bool) {
	switch {
	case s.Review != nil:
		g.add(Grant{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}, "create")
	case s.Await != nil:
		g.add(Grant{Group: groupOf(s.Await.APIVersion), Resource: s.Await.Resource, Namespace: place(s.Await.Namespace)}, "get")
	case s.Origin != nil:
		g.add(Grant{Resource: "configmaps", Namespace: place(s.Origin.Namespace)}, "create", "get", "delete")
	case s.Task != nil && s.Task.In != nil:
		g.add(Grant{Resource: "pods"}, "create", "get", "delete")
	case s.Request != nil:
		r := s.Request
		switch {
		case r.As.Anonymous, r.As.Token != "", r.As.Certificate != "", r.As.Proxied:
			// Somebody else's request, whomever it names; but what it makes, where it
			// should have been refused, the prober removes.
			if r.Real && r.Verb == "create" && r.Subresource == "" && !isQuestion(r) {
				g.add(Grant{Group: groupOf(r.APIVersion), Resource: r.Resource, Namespace: place(r.Namespace)}, "get", "delete")
			}
			return
		case r.As.User != "":
			g.impersonate(r.As)
		}
		if r.Path != "" {
			path, _, _ := strings.Cut(r.Path, "?")
			g.add(Grant{Path: path}, "get")
			return
		}
		resource := r.Resource
		if r.Subresource != "" {
			resource += "/" + r.Subresource
		}
		if r.As.User == "" {
			g.add(Grant{Group: groupOf(r.APIVersion), Resource: resource, Namespace: place(r.Namespace)}, r.Verb)
		}
		if resource == "certificatesigningrequests" && r.Verb == "create" {
			g.signer(r.Object)
		}
		if r.Real && r.Verb == "create" && isolated && r.Subresource == "" { // it must be removed again
			g.add(Grant{Group: groupOf(r.APIVersion), Resource: resource, Namespace: place(r.Namespace)}, "get", "delete")
			if r.Resource == "namespaces" {
				g.add(Grant{Resource: "serviceaccounts"}, "get")
			}
			g.given(r.Object)
		}
	}
}

// signer adds what a policy about certificate requests may ask for, of whom a request is
// made: the verb request on its signer. Without such a policy it gives nothing.
func (g grants) signer(request map[string]any) {
	spec, _ := request["spec"].(map[string]any)
	if name, _ := spec["signerName"].(string); name != "" {
		g.add(Grant{Group: "certificates.k8s.io", Resource: "signers", Names: []string{name}}, "request")
	}
}

// isQuestion reports whether what is created is only answered, and not stored.
func isQuestion(r *bailey.Request) bool {
	group := groupOf(r.APIVersion)
	return group == "authorization.k8s.io" || group == "authentication.k8s.io"
}

// given adds what a role gives that the prober makes: nobody may give what he does
// not hold.
func (g grants) given(role map[string]any) {
	rules, _ := role["rules"].([]any)
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		for _, group := range texts(rule["apiGroups"]) {
			for _, resource := range texts(rule["resources"]) {
				g.add(Grant{Group: group, Resource: resource, Names: texts(rule["resourceNames"])}, texts(rule["verbs"])...)
			}
		}
	}
}

func texts(list any) []string {
	var all []string
	values, _ := list.([]any)
	for _, value := range values {
		if text, ok := value.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

func (g grants) impersonate(who bailey.Identity) {
	if parts := strings.Split(who.User, ":"); len(parts) == 4 && parts[0] == "system" && parts[1] == "serviceaccount" {
		g.add(Grant{Resource: "serviceaccounts", Namespace: parts[2], Names: []string{parts[3]}}, "impersonate")
	} else {
		g.add(Grant{Resource: "users", Names: []string{who.User}}, "impersonate")
	}
	for _, group := range who.Groups {
		g.add(Grant{Resource: "groups", Names: []string{group}}, "impersonate")
	}
}

// place is where a grant is needed: everywhere for a namespace of the run's own,
// whose name nobody knows beforehand.
func place(namespace string) string {
	if strings.Contains(namespace, "${") || strings.HasPrefix(namespace, bailey.ProbePrefix) {
		return ""
	}
	return namespace
}

func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

func (g grants) sorted() []Grant {
	all := make([]Grant, 0, len(g))
	for _, grant := range g {
		slices.Sort(grant.Verbs)
		all = append(all, *grant)
	}
	slices.SortFunc(all, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource),
			cmp.Compare(a.Path, b.Path), cmp.Compare(strings.Join(a.Names, ","), strings.Join(b.Names, ",")))
	})
	return all
}
