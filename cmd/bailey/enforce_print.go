package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
)

// writeObjects prints what server-side apply is given, a document for each object.
func writeObjects(w io.Writer, plan *enforce.Plan) error {
	for i := range plan.Changes {
		c := &plan.Changes[i]
		text, err := yaml.Marshal(c.Apply)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s%s", c.Remarks(), text); err != nil {
			return err
		}
	}
	return nil
}

// plannedChange is a change as -o json shows it.
type plannedChange struct {
	Object  bailey.Ref     `json:"object"`
	Creates bool           `json:"creates"`
	Managed string         `json:"managed,omitempty"`
	Notes   []string       `json:"notes,omitempty"`
	Guards  []plannedGuard `json:"guards"`
	Apply   map[string]any `json:"apply"`
	// Effect is what a policy would refuse, or change, of what is there; absent where that was not
	// evaluated.
	Effect *enforce.Effect `json:"effect,omitempty"`
}

type plannedGuard struct {
	Control string       `json:"control"`
	Guard   string       `json:"guard"`
	Scopes  []bailey.Ref `json:"scopes,omitempty"`
}

type plannedSetting struct {
	bailey.Setting
	Control string `json:"control"`
	Guard   string `json:"guard"`
}

func (e *enforcement) writeJSON() error {
	s, plan := e.snapshot, e.plan
	out := struct {
		SchemaVersion string           `json:"schemaVersion"`
		Cluster       string           `json:"cluster,omitempty"`
		InPlace       int              `json:"inPlace"`
		Changes       []plannedChange  `json:"changes"`
		Settings      []plannedSetting `json:"settings"`
		Unknown       []bailey.Missing `json:"unknown"`
		// Replayed is what the policies would have refused of the audit log's requests.
		Replayed *enforce.Replayed `json:"replayed,omitempty"`
	}{"bailey.plan/v1", s.Meta.ClusterUID, plan.InPlace, []plannedChange{}, []plannedSetting{}, append([]bailey.Missing{}, plan.Unknown...), e.replayed}
	for _, c := range plan.Changes {
		p := plannedChange{Object: c.Object, Creates: c.Creates, Managed: c.Managed, Notes: c.Notes, Apply: c.Apply, Effect: e.effect(&c)}
		for _, g := range c.For {
			scopes := g.Scopes
			if g.Guard.Scope == bailey.ScopeCluster {
				scopes = nil
			}
			p.Guards = append(p.Guards, plannedGuard{g.Control.ID, g.Guard.Name, scopes})
		}
		out.Changes = append(out.Changes, p)
	}
	for _, s := range plan.Settings {
		out.Settings = append(out.Settings, plannedSetting{s.Setting, s.Control.ID, s.Guard.Name})
	}
	encoder := json.NewEncoder(e.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

// refusedShown is how many refused objects are named for each policy.
const refusedShown = 5

// policyOf gives for a kind of binding that of the policies that it binds.
var policyOf = map[bailey.Kind]bailey.Kind{
	bailey.KindValidatingAdmissionPolicyBinding: bailey.KindValidatingAdmissionPolicy,
	bailey.KindMutatingAdmissionPolicyBinding:   bailey.KindMutatingAdmissionPolicy,
}

// printPlan prints the plan for people: a block for each object, a policy together
// with its binding.
func (e *enforcement) print() error {
	s, plan := e.snapshot, e.plan
	w := &wrapper{out: e.stdout, width: e.columns(e.stdout)}
	creates := 0
	for _, c := range plan.Changes {
		if c.Creates {
			creates++
		}
	}
	where := "these files"
	if s.Meta.Medium == "cluster" {
		where = "the cluster"
		if s.Meta.Context != "" {
			where += " of context " + s.Meta.Context
		}
	}
	if len(plan.Changes) == 0 {
		what := "Nothing"
		if len(plan.Settings) > 0 {
			what = "No object"
		}
		w.text("", fmt.Sprintf("%s to put in place for %s: %s in place already.", what, where, plural(plan.InPlace, "guard")))
	} else {
		w.text("", fmt.Sprintf("Plan for %s: %s to create, %d to change. %s in place already. Nothing was changed.",
			where, plural(creates, "object"), len(plan.Changes)-creates, plural(plan.InPlace, "guard")))
	}
	groups := map[string][]*enforce.Change{}
	var order []string
	for i := range plan.Changes {
		key := alike(&plan.Changes[i])
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], &plan.Changes[i])
	}
	for _, key := range order {
		c := groups[key][0]
		if policy, binds := policyOf[c.Object.Kind]; binds && slices.ContainsFunc(plan.Changes, func(o enforce.Change) bool {
			return o.Object.Kind == policy && o.Object.Name == c.Object.Name
		}) {
			continue
		}
		e.printChange(w, c, groups[key])
	}
	e.printSettings(w)
	if e.replayed != nil {
		w.line("")
		w.text("", fmt.Sprintf("Of the audit log %s evaluated.", plural(e.replayed.Evaluated, "request")))
		for _, why := range slices.Sorted(maps.Keys(e.replayed.NotEvaluated)) {
			w.text("    ", fmt.Sprintf("  %s not: %s", plural(e.replayed.NotEvaluated[why], "request"), why))
		}
	}
	if len(plan.Unknown) > 0 {
		w.line("")
		for _, m := range plan.Unknown {
			w.text("  ", "not seen: "+strings.TrimSpace(string(m.Kind)+" "+m.Namespace+" "+m.Name)+" "+m.Detail+": what it would take is not planned")
		}
	}
	if len(plan.Changes) > 0 {
		w.line("")
		w.text("", "The objects: bailey enforce -o yaml, for kubectl apply --server-side -f -")
	}
	return w.err
}

// printChange prints a change, which stands for all that are alike.
func (e *enforcement) printChange(w *wrapper, c *enforce.Change, all []*enforce.Change) {
	w.line("")
	verb := "change"
	if c.Creates {
		verb = "create"
	}
	name := c.Object.String()
	if c.Object.Kind == bailey.KindValidatingAdmissionPolicy || c.Object.Kind == bailey.KindMutatingAdmissionPolicy {
		name += " and its binding"
	}
	if len(all) > 1 {
		name = c.Object.Kind.Short()
		if c.Object.Namespace != "" {
			name += " " + c.Object.Name + " in"
		}
		for i, o := range all {
			name += map[bool]string{true: " ", false: ", "}[i == 0] + cmp.Or(o.Object.Namespace, o.Object.Name)
		}
	}
	w.text("        ", verb+"  "+name)
	for _, g := range c.For {
		text := g.Control.ID + " " + g.Guard.Name + ": " + g.Guard.Title
		if len(g.Scopes) > 1 {
			text += ", in " + plural(len(g.Scopes), "namespace")
		}
		w.text("          ", "        "+text)
	}
	for _, f := range c.Differs {
		w.text("          ", "        set "+strings.Join(f.Path, ".")+": "+brief(f.Value))
	}
	if c.Managed != "" {
		w.text("          ", "        owned by "+c.Managed+": change it at its source, which would undo a change here")
	}
	for _, note := range c.Notes {
		w.text("          ", "        first: "+note)
	}
	switch c.Object.Kind {
	case bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding:
	case bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding:
		e.printAltered(w, c)
		return
	default:
		return
	}
	e.printReplayed(w, c.Object.Name)
	effect := e.effect(c)
	if effect == nil {
		w.text("          ", "        not evaluated: what it would refuse of what is there, which takes the cluster or a path")
		return
	}
	if unknown := effect.Unknown(); unknown != "" {
		w.text("          ", "        not known whole: "+unknown)
	}
	refused := effect.Refused
	switch {
	case effect.Judged == 0:
		w.text("          ", "        nothing that it looks at was seen")
		return
	case len(refused) == 0:
		w.text("          ", fmt.Sprintf("        refuses none of %s that it looks at", plural(effect.Judged, "object")))
		return
	}
	w.text("          ", fmt.Sprintf("        refuses %d of %s that it looks at, if created or changed again:", len(refused), plural(effect.Judged, "object")))
	for i, r := range refused {
		if i == refusedShown && len(refused) > refusedShown+1 && !e.flags.all {
			w.text("            ", fmt.Sprintf("          and %d more (--all names them)", len(refused)-i))
			break
		}
		w.text("            ", "          "+r.Object.String()+": "+r.Message)
	}
}

// printAltered says what a mutating policy would make of what is there.
func (e *enforcement) printAltered(w *wrapper, c *enforce.Change) {
	effect := e.effect(c)
	if effect == nil {
		w.text("          ", "        not evaluated: what it would change in what is there, which takes the cluster or a path")
		return
	}
	if unknown := effect.Unknown(); unknown != "" {
		w.text("          ", "        not known whole: "+unknown)
	}
	if len(effect.Altered) == 0 {
		w.text("          ", fmt.Sprintf("        changes none of %s that it looks at, as their namespaces are labelled", plural(effect.Judged, "object")))
		return
	}
	w.text("          ", fmt.Sprintf("        changes %d of %s that it looks at, if created or changed again:", len(effect.Altered), plural(effect.Judged, "object")))
	for i, a := range effect.Altered {
		if i == refusedShown && len(effect.Altered) > refusedShown+1 && !e.flags.all {
			w.text("            ", fmt.Sprintf("          and %d more (--all names them)", len(effect.Altered)-i))
			break
		}
		var fields []string
		for _, f := range a.Fields {
			text := f.Field + ": " + brief(f.Is)
			if f.Was != nil {
				text += " (was " + brief(f.Was) + ")"
			}
			fields = append(fields, text)
		}
		w.text("            ", "          "+a.Object.String()+": "+strings.Join(fields, ", "))
	}
}

// alike is equal for changes that are told together: the same one in several namespaces.
func alike(c *enforce.Change) string {
	parts := []string{string(c.Object.Kind), fmt.Sprint(c.Creates), c.Managed, fmt.Sprint(c.Differs), strings.Join(c.Notes, "\n")}
	if c.Object.Kind != bailey.KindNamespace {
		parts = append(parts, c.Object.Name)
	}
	for _, g := range c.For {
		parts = append(parts, g.Control.ID, g.Guard.Name)
	}
	return strings.Join(parts, "\x00")
}

// effect is what the policy of a change would refuse of what is there; nil for a change
// that is no policy's, or where it was not evaluated.
func (e *enforcement) effect(c *enforce.Change) *enforce.Effect {
	switch c.Object.Kind {
	case bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding, bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding:
		return e.impact[c.Object.Name]
	}
	return nil
}

// printReplayed names the requests of the audit log that a policy would have refused.
func (e *enforcement) printReplayed(w *wrapper, policy string) {
	if e.replayed == nil {
		return
	}
	refused := e.replayed.Refused[policy]
	if len(refused) == 0 {
		w.text("          ", "        would have refused no request of the audit log that was evaluated")
		return
	}
	w.text("          ", "        would have refused, of the audit log:")
	for i, q := range refused {
		if i == refusedShown && len(refused) > refusedShown+1 && !e.flags.all {
			w.text("            ", fmt.Sprintf("          and %d other kinds of request (--all names them)", len(refused)-i))
			break
		}
		w.text("            ", "          "+q.String()+": "+q.Message)
	}
}

// brief is a value as JSON, cut.
func brief(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "..."
	}
	const most = 100
	if text := []rune(strings.TrimSpace(b.String())); len(text) > most {
		return string(text[:most]) + "..."
	}
	return strings.TrimSpace(b.String())
}
