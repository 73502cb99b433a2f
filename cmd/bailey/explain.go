package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "explain CONTROL|RULE",
		Short:   "Say what a control or a rule is about, why, and how to fix it",
		Example: "  bailey explain compute/pod-security\n  bailey explain compute/pod-security/privileged",
		Args:    exactArgs(1, "a control or a rule, like compute/pod-security"),
		RunE: func(c *cobra.Command, args []string) error {
			name := strings.Trim(args[0], "/")
			w := &wrapper{out: a.stdout, width: min(a.columns(a.stdout), 100)}
			if control, rule := bailey.FindRule(controls.All(), name); rule != nil {
				explainRule(w, control, rule)
				return w.err
			}
			for _, control := range controls.All() {
				if control.ID == name {
					explainControl(w, control)
					return w.err
				}
			}
			return usageError("there is no control or rule %q%s", name, nearest(name))
		},
	}
}

// nearest suggests what the name may have meant.
func nearest(name string) string {
	var near []string
	for _, c := range controls.All() {
		if strings.Contains(c.ID, name) || name != "" && strings.Contains(name, c.ID) {
			near = append(near, c.ID)
		}
		for _, r := range c.Rules {
			if r.Name == name || strings.HasSuffix(name, "/"+r.Name) {
				near = append(near, c.RuleID(r))
			}
		}
	}
	slices.Sort(near)
	near = slices.Compact(near)
	if len(near) == 0 {
		return "\nhint: `bailey controls` lists them"
	}
	return "\nhint: did you mean " + strings.Join(near[:min(len(near), 4)], ", ") + "?"
}

func explainControl(w *wrapper, c *bailey.Control) {
	w.line(c.ID)
	w.line("")
	w.text("", "Asks: "+c.Asks+".")
	w.line("")
	w.markdown(c.Doc)
	if len(c.Rules) == 0 {
		w.line("")
		if len(c.Experiments) == 0 {
			w.line("Rules: none. This version does not check it, so it stands at unknown.")
		} else {
			w.text("", "Rules: none. A broken experiment makes a gap; while its experiments hold it stays unknown.")
		}
	} else {
		w.line("")
		w.line("Rules")
		for _, r := range c.Rules {
			w.text("    ", fmt.Sprintf("  %-8s  %s: %s", r.Severity, c.RuleID(r), r.Title))
		}
	}
	if len(c.Guards) > 0 {
		w.line("")
		w.line("Guards")
		for _, g := range c.Guards {
			w.text("    ", "  "+g.Name+": "+g.Title)
		}
	}
	if len(c.Experiments) > 0 {
		w.line("")
		w.line("Experiments")
		for _, x := range c.Experiments {
			w.text("    ", fmt.Sprintf("  %s (%s): %s", x.Name, traits(x), x.Hypothesis))
		}
	}
	if c.Unprovable != "" {
		w.line("")
		w.text("", "No experiment: "+c.Unprovable)
	}
	explainRefs(w, c.Refs)
}

// traits are an experiment's class and technique, and what it needs to run.
func traits(x *bailey.Experiment) string {
	text := string(x.Danger)
	if x.Technique != "" {
		text += ", " + x.Technique
	}
	for _, p := range x.Places {
		text += ", needs " + string(p)
	}
	return text
}

func explainRule(w *wrapper, c *bailey.Control, r *bailey.Rule) {
	w.line(c.RuleID(r) + "  (" + r.Severity.String() + ")")
	w.line("")
	w.text("", r.Title+".")
	w.line("")
	w.markdown(r.Doc)
	w.line("")
	var on []string
	for _, k := range r.On {
		on = append(on, k.Short())
	}
	w.text("  ", "Judges: "+strings.Join(on, ", "))
	if needs := needsOf(r); len(needs) > 0 {
		var names []string
		for _, k := range needs {
			if !slices.Contains(names, k.Short()) { // several groups may have a kind of one name
				names = append(names, k.Short())
			}
		}
		w.text("  ", "Reads:  "+strings.Join(names, ", "))
	}
	fix := "none that is mechanical; the description says what to do"
	if r.Fix != nil {
		fix = "given with each finding (bailey scan --all, -o json)"
	}
	w.text("  ", "Fix:    "+fix)
	for i, bad := range r.Bad {
		w.line("")
		w.line([]string{"Violates it:", "Violates it too:"}[min(i, 1)])
		for line := range strings.Lines(strings.Trim(bad, "\n")) {
			w.line("    " + strings.TrimRight(line, "\n"))
		}
	}
	explainRefs(w, append(slices.Clone(r.Refs), c.Refs...))
}

func explainRefs(w *wrapper, refs []bailey.Reference) {
	if len(refs) == 0 {
		return
	}
	w.line("")
	w.line("References")
	seen := map[bailey.Reference]bool{}
	for _, ref := range refs {
		if seen[ref] {
			continue
		}
		seen[ref] = true
		text := "  " + ref.Source
		if ref.ID != "" {
			text += " " + ref.ID
		}
		if ref.Title != "" {
			text += ": " + ref.Title
		}
		if ref.URL != "" {
			text += " " + ref.URL
		}
		w.text("    ", text)
	}
}

// wrapper writes text that does not exceed a width, and keeps its first error.
type wrapper struct {
	out   io.Writer
	width int
	err   error
}

func (w *wrapper) line(text string) {
	if w.err == nil {
		_, w.err = fmt.Fprintln(w.out, text)
	}
}

// text wraps one paragraph; lines after the first begin with indent.
func (w *wrapper) text(indent, text string) {
	lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
	line := lead
	for i, word := range strings.Fields(text) {
		if i > 0 && len([]rune(line))+1+len([]rune(word)) > w.width {
			w.line(line)
			line = indent + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	w.line(line)
}

// markdown prints paragraphs and lists wrapped; code blocks as they are.
func (w *wrapper) markdown(text string) {
	var paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			indent := ""
			if strings.HasPrefix(paragraph[0], "- ") {
				indent = "  "
			}
			w.text(indent, strings.Join(paragraph, " "))
			paragraph = nil
		}
	}
	code := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			flush()
			code = !code
		case code:
			w.line("    " + line)
		case trimmed == "":
			flush()
			w.line("")
		case strings.HasPrefix(trimmed, "- "):
			flush()
			paragraph = append(paragraph, trimmed)
		default:
			paragraph = append(paragraph, trimmed)
		}
	}
	flush()
}
