package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/controls"
)

// catalogue is the form of `bailey controls -o json`.
type catalogue struct {
	SchemaVersion string             `json:"schemaVersion"`
	Controls      []catalogueControl `json:"controls"`
}

type catalogueControl struct {
	ID          string                `json:"id"`
	Asks        string                `json:"asks"`
	Scope       bailey.ScopeKind      `json:"scope"`
	Rules       []catalogueRule       `json:"rules"`
	Guards      []catalogueGuard      `json:"guards"`
	Experiments []catalogueExperiment `json:"experiments"`
	Refs        []bailey.Reference    `json:"refs"`
	Unprovable  string                `json:"unprovable,omitempty"`
	Rung        *bailey.Rung          `json:"rung,omitempty"`
}

type catalogueRule struct {
	ID       string             `json:"id"`
	Title    string             `json:"title"`
	Severity bailey.Severity    `json:"severity"`
	On       []bailey.Kind      `json:"on"`
	Needs    []bailey.Kind      `json:"needs"`
	Fix      bool               `json:"fix"`
	Refs     []bailey.Reference `json:"refs"`
}

type catalogueGuard struct {
	Name   string           `json:"name"`
	Title  string           `json:"title"`
	Scope  bailey.ScopeKind `json:"scope"`
	Covers []string         `json:"covers"`
}

type catalogueExperiment struct {
	Name       string        `json:"name"`
	Title      string        `json:"title"`
	Hypothesis string        `json:"hypothesis"`
	Danger     bailey.Danger `json:"danger"`
	Technique  string        `json:"technique"`
}

func (a *app) controlsCommand() *cobra.Command {
	var t targetFlags
	var format string
	var from remoteFlags
	c := &cobra.Command{
		Use:   "controls [TARGET...]",
		Short: "List the catalogue, and where each control stands on a target",
		Long:  "Controls lists what the Kubernetes page \"Cloud Native Security\" asks for. With a\nTARGET, --context or --server, it also says on which rung each control stands there.",
		RunE: func(c *cobra.Command, targets []string) error {
			if format != "text" && format != "json" {
				return usageError("controls has no output format %q: use text or json", format)
			}
			rungs := map[string]bailey.Rung{}
			remote, err := from.on(t.named(targets))
			if err != nil {
				return err
			}
			if remote {
				r, err := from.report(c.Context())
				if err != nil {
					return err
				}
				rungs = r.Rungs()
			} else if len(targets) > 0 || t.context != "" {
				s, err := a.snapshot(c.Context(), &t, targets)
				if err != nil {
					return err
				}
				r, err := check.Judge(c.Context(), s, controls.All(), check.Options{})
				if err != nil {
					return err
				}
				rungs = r.Rungs()
			}
			if format == "json" {
				e := json.NewEncoder(a.stdout)
				e.SetIndent("", "  ")
				return e.Encode(newCatalogue(controls.All(), rungs))
			}
			return a.printControls(controls.All(), rungs)
		},
	}
	t.register(c)
	from.register(c)
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func newCatalogue(all []*bailey.Control, rungs map[string]bailey.Rung) catalogue {
	out := catalogue{SchemaVersion: "bailey.controls/v1"}
	for _, c := range all {
		cc := catalogueControl{ID: c.ID, Asks: c.Asks, Scope: c.Scope, Unprovable: c.Unprovable, Refs: c.Refs,
			Rules: []catalogueRule{}, Guards: []catalogueGuard{}, Experiments: []catalogueExperiment{}}
		for _, r := range c.Rules {
			cc.Rules = append(cc.Rules, catalogueRule{c.RuleID(r), r.Title, r.Severity, r.On, needsOf(r), r.Fix != nil, orEmpty(r.Refs)})
		}
		for _, g := range c.Guards {
			covers := []string{}
			for _, r := range g.Covers {
				covers = append(covers, c.RuleID(r))
			}
			cc.Guards = append(cc.Guards, catalogueGuard{g.Name, g.Title, g.Scope, covers})
		}
		for _, x := range c.Experiments {
			cc.Experiments = append(cc.Experiments, catalogueExperiment{x.Name, x.Title, x.Hypothesis, x.Danger, x.Technique})
		}
		if rung, known := rungs[c.ID]; known {
			cc.Rung = &rung
		}
		out.Controls = append(out.Controls, cc)
	}
	return out
}

// needsOf gives every kind that a rule reads beside its object.
func needsOf(r *bailey.Rule) []bailey.Kind {
	needs := append([]bailey.Kind{}, r.Needs...)
	for _, d := range r.Derives {
		needs = append(needs, d.Needs...)
	}
	return needs
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (a *app) printControls(all []*bailey.Control, rungs map[string]bailey.Rung) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	area, checked := "", 0
	for _, c := range all {
		if c.Area() != area {
			if area != "" {
				fmt.Fprintln(w)
			}
			area = c.Area()
		}
		state := "unknown: this version does not check it"
		if len(c.Experiments) > 0 {
			state = "unknown: no rules in this version, " + plural(len(c.Experiments), "experiment")
		}
		if len(c.Rules) > 0 {
			checked++
			state = plural(len(c.Rules), "rule")
			if len(c.Guards) > 0 {
				state += ", " + plural(len(c.Guards), "guard")
			}
			if len(c.Experiments) > 0 {
				state += ", " + plural(len(c.Experiments), "experiment")
			}
			if rung, known := rungs[c.ID]; known {
				state = rung.String() + "  (" + state + ")"
			}
		}
		fmt.Fprintf(w, "%s\t%s\n", c.ID, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "\n%d controls, %d of them checked by this version. bailey explain CONTROL says more.\n", len(all), checked)
	return err
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// printChanges shows the difference of two snapshots.
func (a *app) printChanges(c saved.Changes) error {
	for _, part := range []struct {
		sign string
		refs []bailey.Ref
	}{{"+", c.Added}, {"-", c.Removed}} {
		for _, ref := range part.refs {
			fmt.Fprintf(a.stdout, "%s %s\n", part.sign, printable(ref.String()))
		}
	}
	for _, changed := range c.Changed {
		fmt.Fprintf(a.stdout, "~ %s", printable(changed.Ref.String()))
		for i, field := range changed.Fields {
			sep := ", "
			if i == 0 {
				sep = ": "
			}
			fmt.Fprint(a.stdout, sep+printable(field))
		}
		fmt.Fprintln(a.stdout)
	}
	for _, part := range []struct {
		refs []bailey.Ref
		why  string
	}{{c.Appeared, "was not looked for in the old snapshot"}, {c.Unseen, "was not looked for in the new snapshot"}} {
		for _, ref := range part.refs {
			fmt.Fprintf(a.stdout, "? %s %s\n", printable(ref.String()), part.why)
		}
	}
	_, err := fmt.Fprintf(a.stdout, "%d added, %d removed, %d changed, %d unchanged, %d not comparable\n",
		len(c.Added), len(c.Removed), len(c.Changed), c.Unchanged, len(c.Appeared)+len(c.Unseen))
	return err
}
