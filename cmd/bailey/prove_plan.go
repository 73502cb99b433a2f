package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
)

// listed is an experiment as `bailey prove --list -o json` shows it.
type listed struct {
	Name       string        `json:"name"`
	Control    string        `json:"control"`
	Technique  string        `json:"technique"`
	Danger     bailey.Danger `json:"danger"`
	Hypothesis string        `json:"hypothesis"`
	Scope      string        `json:"scope"`
}

type unprovable struct {
	Control string `json:"control"`
	Why     string `json:"why"`
}

// listExperiments lists what there is to try, and what no experiment can prove.
func (a *app) listExperiments(chosen []*bailey.Control, format string) error {
	experiments, not := []listed{}, []unprovable{}
	for _, c := range chosen {
		for _, x := range c.Experiments {
			experiments = append(experiments, listed{x.Name, c.ID, x.Technique, x.Danger, x.Hypothesis, string(x.Scope)})
		}
		if c.Unprovable != "" {
			not = append(not, unprovable{c.ID, c.Unprovable})
		}
	}
	if format == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"schemaVersion": "bailey.prove/v1", "experiments": experiments, "unprovable": not})
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, x := range experiments {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Control, x.Name, x.Danger, x.Technique)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(experiments) == 0 {
		fmt.Fprintln(a.stdout, "No chosen control has an experiment.")
	}
	for _, u := range not {
		fmt.Fprintf(a.stdout, "\n%s: no experiment. %s\n", u.Control, u.Why)
	}
	return nil
}

// explainPlan prints what a run would do, and the rights that such runs need.
func (a *app) explainPlan(s *bailey.Snapshot, planned prove.Planned, grants []prove.Grant, f *proveFlags) error {
	if f.format == "json" {
		type unit struct {
			Control    string         `json:"control"`
			Experiment string         `json:"experiment"`
			Scope      string         `json:"scope"`
			Danger     bailey.Danger  `json:"danger"`
			Skipped    string         `json:"skipped,omitempty"`
			Probes     []bailey.Probe `json:"probes"`
		}
		units := make([]unit, 0, len(planned.Units))
		for _, u := range planned.Units {
			units = append(units, unit{u.Control.ID, u.Experiment.Name, u.Scope.String(), u.Experiment.Danger, u.Skipped, append([]bailey.Probe{}, u.Probes...)})
		}
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"schemaVersion": "bailey.prove/v1", "cluster": prove.Cluster{UID: s.Meta.ClusterUID, Version: s.Meta.Version.String()}, "units": units, "grants": grants})
	}
	last := ""
	for _, u := range planned.Units {
		if name := u.Control.ID + " " + u.Experiment.Name; name != last {
			last = name
			fmt.Fprintf(a.stdout, "%s (%s)\n  %s\n", name, u.Experiment.Danger, printable(u.Experiment.Hypothesis))
		}
		if u.Skipped != "" {
			fmt.Fprintf(a.stdout, "  not run: %s\n", printable(u.Skipped))
			continue
		}
		n := f.repeat
		if n == 0 {
			n = u.Experiment.Danger.Tries()
		}
		fmt.Fprintf(a.stdout, "  %s: %s, %d times each\n", printable(u.Scope.String()), plural(len(u.Probes), "probe"), n)
		for i, p := range u.Probes {
			if i == namedLimit {
				fmt.Fprintf(a.stdout, "    and %d more; -o json shows them all\n", len(u.Probes)-i)
				break
			}
			fmt.Fprintf(a.stdout, "    %s by %s\n", printable(p.Name), printable(p.Path))
		}
	}
	manifest, err := rbacManifest(grants, f.worst() != bailey.DangerDryRun)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nThe prober needs these rights, and no more:\n\n%s", manifest)
	return nil
}

// proberAccount is the name of the identity that experiments run as.
const proberAccount = "bailey-prober"

// rbacManifest is proberObjects as YAML to apply.
func rbacManifest(grants []prove.Grant, acts bool) (string, error) {
	var b strings.Builder
	for _, object := range proberObjects(grants, releaseName, acts) {
		data, err := yaml.Marshal(object)
		if err != nil {
			return "", err
		}
		b.WriteString("---\n" + string(data))
	}
	return b.String(), nil
}

// proberObjects are the ServiceAccount of the prober in its namespace with its Roles, and the
// policy that holds it to dry-runs outside its own namespaces, which RBAC cannot.
func proberObjects(grants []prove.Grant, home string, acts bool) []map[string]any {
	rules := map[string][]any{}
	var namespaces []string
	for _, g := range grants {
		if _, known := rules[g.Namespace]; !known {
			namespaces = append(namespaces, g.Namespace)
		}
		rule := map[string]any{"verbs": g.Verbs}
		if g.Path != "" {
			rule["nonResourceURLs"] = []string{g.Path}
		} else {
			rule["apiGroups"], rule["resources"] = []string{g.Group}, []string{g.Resource}
			if len(g.Names) > 0 {
				rule["resourceNames"] = g.Names
			}
		}
		rules[g.Namespace] = append(rules[g.Namespace], rule)
	}
	subjects := []any{map[string]any{"kind": "ServiceAccount", "name": proberAccount, "namespace": home}}
	// What holds it comes before what it may do, and goes after it.
	objects := append(proberPolicy("system:serviceaccount:"+home+":"+proberAccount, acts),
		map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": proberAccount, "namespace": home}})
	for _, ns := range namespaces {
		kind, metadata := "ClusterRole", map[string]any{"name": proberAccount}
		if ns != "" {
			kind, metadata = "Role", map[string]any{"name": proberAccount, "namespace": ns}
		}
		objects = append(objects,
			map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules[ns]},
			map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind + "Binding", "metadata": metadata, "subjects": subjects,
				"roleRef": map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": proberAccount}})
	}
	return objects
}

// proberPolicy refuses the prober every write that is no dry-run, which RBAC cannot; where it acts, those outside of its own
// namespaces and, of what lies in no namespace, upon other objects than its own.
func proberPolicy(user string, acts bool) []map[string]any {
	const name = "bailey-prober-dry-run-only"
	validation := map[string]any{"expression": "false", "message": "the prober may only make dry-runs"}
	if acts {
		validation = map[string]any{
			"expression": fmt.Sprintf("(has(request.namespace) && request.namespace != '' ? request.namespace : request.name).startsWith(%q)", bailey.ProbePrefix),
			"message":    "outside of its own namespaces the prober may only make dry-runs",
		}
	}
	return []map[string]any{
		{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": map[string]any{"name": name},
			"spec": map[string]any{
				"failurePolicy": "Fail",
				"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{
					"apiGroups": []string{"*"}, "apiVersions": []string{"*"}, "resources": []string{"*/*"}, "operations": []string{"*"}}}},
				"matchConditions": []any{
					map[string]any{"name": "the-prober", "expression": fmt.Sprintf("request.userInfo.username == %q", user)},
					map[string]any{"name": "for-real", "expression": "!(has(request.dryRun) && request.dryRun)"},
					map[string]any{"name": "not-a-question", "expression": "!(request.resource.group in ['authorization.k8s.io', 'authentication.k8s.io'])"},
				},
				"validations": []any{validation},
			}},
		{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"policyName": name, "validationActions": []string{"Deny"}}},
	}
}
