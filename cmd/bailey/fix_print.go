package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// print says what was fixed, by file, object and rule, and what was left and why.
func (f *fixer) print(w io.Writer, now *bailey.Report, dryRun bool) {
	var b strings.Builder
	verb, files := "Fixed", "changed"
	if dryRun {
		verb, files = "Would fix", "to change"
	}
	findings := map[string]bool{}
	for _, n := range f.done {
		findings[n.finding.ID] = true
	}
	if len(findings) == 0 {
		b.WriteString("Nothing was fixed.\n")
		if dryRun {
			b.Reset()
			b.WriteString("Nothing would be fixed.\n")
		}
	} else {
		fmt.Fprintf(&b, "%s %s, files %s: %d\n", verb, counted(len(findings), "finding"), files, len(f.changed())+len(f.patchFiles()))
		writeNotes(&b, f.done)
		if slices.ContainsFunc(f.done, func(n fixNote) bool { return n.check != "" }) {
			b.WriteString("Lines that begin with ! may keep a workload from running: check them before you apply.\n")
		}
	}
	var left []fixNote
	for _, n := range f.left {
		left = append(left, n)
	}
	if len(left) > 0 {
		fmt.Fprintf(&b, "\nNot fixed: %s whose change could not be made\n", counted(len(left), "finding"))
		writeNotes(&b, left)
	}
	byHand, accepted := 0, 0
	for i := range now.Findings {
		finding := &now.Findings[i]
		_, tried := f.left[finding.ID]
		switch {
		case finding.Waiver != nil || finding.Baseline:
			accepted++
		case !tried && !findings[finding.ID]:
			byHand++
		}
	}
	if byHand > 0 {
		fmt.Fprintf(&b, "\nTo fix by hand: %s (bailey explain RULE says how)\n", counted(byHand, "finding"))
	}
	if accepted > 0 {
		fmt.Fprintf(&b, "\nLeft as they are, waived or in the baseline: %s\n", counted(accepted, "finding"))
	}
	b.WriteString("\n")
	io.WriteString(w, printable(b.String()))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// writeNotes writes notes by file and object; rules that asked for the same
// change share its line.
func writeNotes(b *strings.Builder, notes []fixNote) {
	notes = slices.Clone(notes)
	slices.SortStableFunc(notes, func(x, y fixNote) int {
		return cmp.Or(cmp.Compare(x.file, y.file), cmp.Compare(x.object.String(), y.object.String()), cmp.Compare(x.finding.Rule, y.finding.Rule))
	})
	file, object := "", ""
	for _, n := range notes {
		if n.file != file {
			fmt.Fprintf(b, "  %s\n", n.file)
			file, object = n.file, ""
		}
		if name := n.object.String(); name != object {
			fmt.Fprintf(b, "    %s\n", name)
			object = name
		}
		fmt.Fprintf(b, "      %s: %s\n", n.finding.Rule, n.change)
		if n.how != "" {
			fmt.Fprintf(b, "        in %s\n", n.how)
		}
		if n.why != "" {
			fmt.Fprintf(b, "        not made: %s\n", n.why)
		} else if n.check != "" {
			fmt.Fprintf(b, "      ! %s\n", n.check)
		}
	}
}
