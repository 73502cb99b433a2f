package deploy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// reportingConstraints gives the constraints of a Gatekeeper template that
// refuse nothing. That there is none only the whole list tells.
func reportingConstraints(v *bailey.View, template map[string]any) []bailey.Finding {
	name, _ := under(under(under(template, "crd"), "spec"), "names")["kind"].(string)
	k := bailey.Kind(name + ".constraints.gatekeeper.sh")
	if !slices.Contains(constraintKinds, k) {
		return nil
	}
	var findings []bailey.Finding
	for _, c := range v.Known(k, "") {
		object, _ := c.Object.(map[string]any)
		spec := under(object, "spec")
		action, _ := spec["enforcementAction"].(string)
		if action == "dryrun" || action == "warn" || action == "scoped" && !deniesAtAdmission(spec) {
			findings = append(findings, bailey.Finding{Related: []bailey.Ref{c.Ref},
				Message: "what constraint " + c.Name + " finds is reported and admitted (" + action + ")"})
		}
	}
	if findings == nil {
		v.List(k, "")
	}
	return findings
}

// admissionPoints are Gatekeeper's enforcement points that answer the API server.
var admissionPoints = []any{"*", "validation.gatekeeper.sh", "vap.k8s.io"}

// deniesAtAdmission reports whether one of a constraint's scoped actions refuses requests.
func deniesAtAdmission(spec map[string]any) bool {
	actions, _ := spec["scopedEnforcementActions"].([]any)
	return slices.ContainsFunc(actions, func(entry any) bool {
		scoped, _ := entry.(map[string]any)
		points, _ := scoped["enforcementPoints"].([]any)
		return scoped["action"] == "deny" && slices.ContainsFunc(points, func(point any) bool {
			p, _ := point.(map[string]any)
			return slices.Contains(admissionPoints, p["name"])
		})
	})
}

// action is what Kyverno does with what a rule finds, and where.
type action struct {
	enforces bool
	// where names the namespaces; empty for all of them.
	where        string
	field, named string
}

// auditingRules gives the validate rules of a Kyverno policy that do not refuse, or not
// everywhere.
func auditingRules(spec map[string]any) []bailey.Finding {
	rules, _ := spec["rules"].([]any)
	var findings []bailey.Finding
	for i, entry := range rules {
		rule, _ := entry.(map[string]any)
		if under(rule, "validate") == nil {
			continue
		}
		if spec["admission"] == false {
			return []bailey.Finding{{Field: "spec.admission", Message: "it is not evaluated at admission: it refuses nothing"}}
		}
		for _, x := range judgeActions(actionsOf(spec, rule, i), rule) {
			// A policy's override is one fault, however many rules it is for.
			if !slices.ContainsFunc(findings, func(y bailey.Finding) bool { return x.Field == y.Field }) {
				findings = append(findings, x)
			}
		}
	}
	return findings
}

// judgeActions judges a rule's actions, of which the last is for all namespaces.
func judgeActions(actions []action, rule map[string]any) []bailey.Finding {
	name, _ := rule["name"].(string)
	base, others := actions[len(actions)-1], actions[:len(actions)-1]
	what := func(a action) string {
		if strings.HasPrefix(a.field, "spec.rules") {
			return "what rule " + name + " finds is reported and admitted"
		}
		return "what rules without an action of their own find is reported and admitted"
	}
	var findings []bailey.Finding
	var enforced []string
	for _, a := range others {
		switch {
		case a.enforces:
			enforced = append(enforced, a.where)
		case base.enforces:
			findings = append(findings, bailey.Finding{Field: a.field, Named: a.named, Severity: bailey.SeverityInfo, Message: "in " + a.where + ", " + what(a)})
		}
	}
	if base.enforces {
		return findings
	}
	x := bailey.Finding{Field: base.field, Named: base.named, Message: what(base)}
	if enforced != nil {
		x.Message += ", but in " + strings.Join(enforced, " and in ")
		x.Severity = bailey.SeverityInfo
	}
	return []bailey.Finding{x}
}

// actionsOf gives what a policy does with what its rule i finds, in the order in which Kyverno
// asks: the rule's overrides, its action, the policy's overrides, the policy's action, which is
// Audit if not given. The first that fits holds; nothing follows one that is for all namespaces.
func actionsOf(spec, rule map[string]any, i int) []action {
	validate := under(rule, "validate")
	name, _ := rule["name"].(string)
	at := "spec.rules[" + strconv.Itoa(i) + "].validate."
	named := "spec.rules[" + name + "].validate."
	all := overrides(nil, validate, "failureActionOverrides", at, named)
	text, given := validate["failureAction"].(string)
	if !given {
		text, _ = spec["validationFailureAction"].(string)
		all = overrides(all, spec, "validationFailureActionOverrides", "spec.", "spec.")
	}
	all = append(all, action{enforces: strings.EqualFold(text, "enforce"), field: at + "failureAction", named: named + "failureAction"})
	last := slices.IndexFunc(all, func(a action) bool { return a.where == "" })
	return all[:last+1]
}

// overrides appends the actions for namespaces that a list of m gives.
func overrides(all []action, m map[string]any, key, at, named string) []action {
	entries, _ := m[key].([]any)
	for i, entry := range entries {
		o, _ := entry.(map[string]any)
		text, _ := o["action"].(string)
		if !strings.EqualFold(text, "enforce") && !strings.EqualFold(text, "audit") {
			continue // Kyverno skips it
		}
		where, some := overridden(o)
		if !some {
			continue
		}
		rest := key + "[" + strconv.Itoa(i) + "].action"
		all = append(all, action{strings.EqualFold(text, "enforce"), where, at + rest, named + rest})
	}
	return all
}

// overridden says which namespaces an override is for, in words: "" if all are. some is false
// where none can be.
func overridden(o map[string]any) (where string, some bool) {
	selector := under(o, "namespaceSelector")
	expressions, _ := selector["matchExpressions"].([]any)
	selects := len(under(selector, "matchLabels")) > 0 || len(expressions) > 0
	names, given := o["namespaces"].([]any)
	var texts []string
	for _, name := range names {
		if text, ok := name.(string); ok {
			texts = append(texts, text)
		}
	}
	switch {
	case given && len(texts) == 0:
		return "", false
	case given && !slices.Contains(texts, "*") && selects:
		return "those of the namespaces " + strings.Join(texts, ", ") + " that its selector takes", true
	case given && !slices.Contains(texts, "*"):
		return "the namespaces " + strings.Join(texts, ", "), true
	case selects:
		return "the namespaces that its selector takes", true
	}
	return "", true
}
