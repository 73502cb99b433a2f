package settings

import (
	"strconv"

	"github.com/baileyhq/bailey"
)

// Fault is what is wrong with a component's settings.
type Fault struct {
	// Setting is the flag ("--profiling") or the field ("readOnlyPort") that is wrong or lacking.
	Setting  string
	Message  string
	Severity bailey.Severity // zero: the rule's own
}

// Rule completes a rule on the settings of components of one kind, each by itself. The
// flags and configurations by which it is bad are YAML in flow style ("flags: {a: b}").
func Rule(kind bailey.Kind, r bailey.Rule, check func(c *bailey.Component) []Fault, bad ...string) *bailey.Rule {
	return RuleOn([]bailey.Kind{kind}, r, check, bad...)
}

// RuleOn is Rule for components of several kinds. The bad ones are of the first.
func RuleOn(kinds []bailey.Kind, r bailey.Rule, check func(c *bailey.Component) []Fault, bad ...string) *bailey.Rule {
	return RuleSeeing(kinds, r, func(_ *bailey.View, c *bailey.Component) []Fault { return check(c) }, bad...)
}

// RuleSeeing is RuleOn for a rule that reads more than the component, which it declares.
func RuleSeeing(kinds []bailey.Kind, r bailey.Rule, check func(v *bailey.View, c *bailey.Component) []Fault, bad ...string) *bailey.Rule {
	r.On = kinds
	r.Check = func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		c, ok := bailey.As[*bailey.Component](f)
		if !ok {
			return nil
		}
		var all []bailey.Finding
		for _, fault := range check(v, c) {
			all = append(all, bailey.Finding{Field: fault.Setting, Message: f.Kind.Program() + fault.Message, Severity: fault.Severity})
		}
		return all
	}
	for _, text := range bad {
		r.Bad = append(r.Bad, "apiVersion: bailey.dev/v1\nkind: "+kinds[0].Short()+"\nmetadata: {name: node-1}\nnode: node-1\n"+text+"\n")
	}
	return &r
}

// One is a single fault.
func One(setting, message string) []Fault { return []Fault{{Setting: setting, Message: message}} }

// Effective gives what a component has in the place of a field of its configuration: the
// flag that overrides it, the field, else the value that holds where neither is set.
func Effective(c *bailey.Component, flag, field, unset string) string {
	if value, set := c.Flags[flag]; set && flag != "" {
		return value
	}
	if value := Field(c.Config, field); value != nil {
		return Text(value)
	}
	return unset
}

// Number is a value as a whole number; ok is false where it is none.
func Number(value string) (n int64, ok bool) {
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil
}

// Reading makes a rule one that reads the document which a flag names. Where that was not
// read, the verdict is unknown: it is on the machine, and bailey scan host, which reads
// it, says where it could not. That is asked of the list, since the file itself may have
// been seen. The document of --config is the component's configuration.
func Reading(flag string, r *bailey.Rule) *bailey.Rule {
	r.Needs = append(r.Needs, bailey.KindHostFile)
	check := r.Check
	r.Check = func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		c, ok := bailey.As[*bailey.Component](f)
		if ok && c.Flags[flag] != "" && c.Files[flag] == nil && (flag != "config" || c.Config == nil) {
			v.List(bailey.KindHostFile, "")
			return nil
		}
		return check(v, f)
	}
	return r
}
