package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// print says what was fixed, by file, rule and change, and what was left and why.
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
		fmt.Fprintf(&b, "%s %s, files %s: %d\n", verb, plural(len(findings), "finding"), files, len(f.changed()))
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
		fmt.Fprintf(&b, "\nNot fixed: %s whose change could not be made\n", plural(len(left), "finding"))
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
		fmt.Fprintf(&b, "\nTo fix by hand: %s (bailey explain RULE says how)\n", plural(byHand, "finding"))
	}
	if accepted > 0 {
		fmt.Fprintf(&b, "\nLeft as they are, waived or in the baseline: %s\n", plural(accepted, "finding"))
	}
	b.WriteString("\n")
	io.WriteString(w, printable(b.String()))
}

// objectsShown bounds how many objects of one change are named.
const objectsShown = 8

// writeNotes writes notes by file and change: what is asked of many objects for one reason
// is said once.
func writeNotes(b *strings.Builder, notes []fixNote) {
	type change struct{ file, rule, text, how, why, check string }
	objects := map[change][]string{}
	findings := map[change]int{}
	for _, n := range notes {
		c := change{n.file, n.finding.Rule, n.change, n.how, n.why, n.check}
		findings[c]++
		if name := n.object.String(); !slices.Contains(objects[c], name) {
			objects[c] = append(objects[c], name)
		}
	}
	file := ""
	for _, c := range slices.SortedFunc(maps.Keys(objects), func(x, y change) int {
		return cmp.Or(cmp.Compare(x.file, y.file), cmp.Compare(x.rule, y.rule), cmp.Compare(x.text, y.text), cmp.Compare(x.how, y.how), cmp.Compare(x.why, y.why))
	}) {
		if c.file != file {
			fmt.Fprintf(b, "  %s\n", c.file)
			file = c.file
		}
		fmt.Fprintf(b, "    %s: %s\n", c.rule, c.text)
		names := objects[c]
		slices.Sort(names)
		more := ""
		if len(names) > objectsShown {
			names, more = names[:objectsShown], fmt.Sprintf(" and %d more", len(names)-objectsShown)
		}
		switch n := findings[c]; {
		case len(names) == 1 && strings.HasSuffix(c.text, names[0]): // what is created
			fmt.Fprintf(b, "      for %s", plural(n, "finding"))
		case n > len(objects[c]):
			fmt.Fprintf(b, "      on %s%s (%s)", strings.Join(names, ", "), more, plural(n, "finding"))
		default:
			fmt.Fprintf(b, "      on %s%s", strings.Join(names, ", "), more)
		}
		b.WriteByte('\n')
		if c.how != "" {
			fmt.Fprintf(b, "      in %s\n", c.how)
		}
		if c.why != "" {
			fmt.Fprintf(b, "      not made: %s\n", c.why)
		} else if c.check != "" {
			fmt.Fprintf(b, "      ! %s\n", c.check)
		}
	}
}
