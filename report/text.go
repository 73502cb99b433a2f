package report

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// Bounds of the text that is not verbose.
const (
	textGroups  = 10 // rules
	textCauses  = 5  // objects under a rule
	textUnseen  = 8  // reasons for what was not seen
	textSkipped = 5  // parts of targets that were not read
	textDetails = 2  // texts of the medium under a reason
)

// text writes one report for a terminal.
type text struct {
	*lines
	r      *bailey.Report
	o      Options
	groups []*group
	tally  tally
}

func renderText(w io.Writer, r *bailey.Report, o Options) error {
	t := &text{lines: newLines(w, o), r: r, o: o, groups: groupFindings(r), tally: tallyOf(r, o.FailOn)}
	t.opening()
	t.broken()
	t.fixFirst()
	t.findings()
	t.changes()
	t.ladder()
	t.coverage()
	t.closing()
	return t.w.Flush()
}

func (t *text) opening() {
	t.hang([]run{{text: "Scanned"}, {text: " "}}, run{text: scanned(t.r)})
	if d := t.r.Diff; d != nil {
		t.hang(nil, run{text: "Compared with " + moment(d.Old.At) + ":", style: plain},
			run{text: diffCounts(d) + "."})
		if note := otherTarget(t.r); note != "" {
			t.hang(nil, run{text: note, style: yellow})
		}
	}
}

// broken comes first: an experiment that was broken outweighs every rule.
func (t *text) broken() {
	limit := brokenLimit
	if t.o.Verbose {
		limit = 0
	}
	shown, left := brokenLines(t.r, limit)
	if len(shown) == 0 {
		return
	}
	t.heading("BROKEN", brokenTitle)
	for _, b := range shown {
		t.hang([]run{{text: "  "}, {text: sign(bailey.RungGap), style: red}, {text: " "}}, run{text: b.Control, style: bold}, run{text: b.Text})
	}
	if left > 0 {
		t.more("  ", count(left, "more path"))
	}
}

func (t *text) fixFirst() {
	top := fixFirst(t.groups, t.o.top())
	if len(top) == 0 {
		return
	}
	t.heading("FIX FIRST", "")
	for i, g := range top {
		if i > 0 {
			t.blank()
		}
		lead, fix := g.lead(t.r)
		f := lead.first()
		number := strconv.Itoa(i+1) + ". "
		label := func(s string) []run {
			return []run{{text: strings.Repeat(" ", len(number))}, {text: pad(s, 7), style: faint}}
		}
		t.hang([]run{{text: number}, severityRun(g.severity, ""), {text: "  "}}, run{text: g.title, style: bold})
		where := append([]run{{text: lead.label()}}, t.at(f)...)
		t.hang(label("where"), append(where, run{text: g.others()})...)
		why := clean(f.Message)
		for _, other := range lead.asBad() {
			why += "; " + clean(other.Message)
			fix = append(slices.Clip(fix), t.r.FixOf(other)...)
		}
		t.hang(label("why"), run{text: why})
		if weight := t.o.weight(f); weight != "" {
			t.hang(label("weight"), run{text: weight})
		}
		if len(fix) > 0 {
			t.hang(label("fix"), run{text: describeFix(fix, lead.ref), style: green})
			if t.o.Verbose {
				for _, command := range fixCommands(t.r, t.o, f, fix) {
					t.hang(label(""), run{text: command, whole: true})
				}
			}
		} else {
			t.hang(label("fix"), run{text: "by hand:"}, run{text: "bailey explain " + clean(g.id), style: cyan, whole: true})
		}
	}
}

// at is "at file:line:column" for findings that come from a file.
func (t *text) at(f *bailey.Finding) []run {
	if f.Source.File == "" {
		return nil
	}
	return []run{{text: "at", style: faint}, {text: place(f.Source), style: faint, whole: true}}
}

// place is "deploy/shop.yaml:12:9", as editors open it.
func place(s bailey.Source) string {
	text := clean(s.File)
	if s.Line > 0 {
		text += ":" + strconv.Itoa(s.Line)
		if s.Column > 0 {
			text += ":" + strconv.Itoa(s.Column)
		}
	}
	return text
}

func severityRun(s bailey.Severity, suffix string) run {
	style := plain
	switch s {
	case bailey.SeverityCritical:
		style = boldRed
	case bailey.SeverityHigh:
		style = red
	case bailey.SeverityMedium:
		style = yellow
	case bailey.SeverityLow:
		style = cyan
	}
	return run{text: s.String() + suffix, style: style}
}

func (t *text) findings() {
	t.heading("FINDINGS", count(t.tally.open, t.tally.noun)+"; "+factsSeen(t.r.Coverage))
	if t.r.Facts == 0 {
		t.hang([]run{{text: "  "}}, run{text: "Nothing was scanned. This is not a clean result.", style: yellow})
		return
	}
	shown := t.groups // all, repeats included
	if !t.o.Verbose {
		shown = t.openGroups()
		shown = shown[:min(textGroups, len(shown))]
	}
	for i, g := range shown {
		if i > 0 {
			t.blank()
		}
		t.group(g)
	}
	if rest := t.openGroups(); len(rest) > len(shown) {
		n := 0
		for _, g := range rest[len(shown):] {
			n += g.open
		}
		t.blank()
		t.more("  ", count(len(rest)-len(shown), "more rule")+" with "+count(n, "finding"))
	}
}

// openGroups are the groups that have something to put right which no other
// has; a verbose report shows the others too.
func (t *text) openGroups() []*group {
	groups := t.groups
	if !t.o.Verbose {
		groups = distinct(groups)
	}
	for i, g := range groups {
		if g.open == 0 {
			return groups[:i]
		}
	}
	return groups
}

// more is the line that says what is left out, and how to see it.
func (t *text) more(indent, what string) {
	t.hang([]run{{text: indent}}, run{text: "… and " + what, style: faint},
		run{text: "(" + clean(t.o.command()) + " --all)", style: faint, whole: true})
}

func (t *text) group(g *group) {
	remark := count(g.open, "finding")
	if g.open == 0 {
		remark = "accepted"
	}
	if g.objects > g.open {
		remark += " on " + count(g.objects, "object")
	}
	if mixed := g.severities(); mixed != "" {
		remark += ": " + mixed
	}
	remark += tally{waived: g.waived, baseline: g.baseline}.accepted()
	t.hang([]run{severityRun(g.severity, ""), {text: "  "}}, run{text: g.title, style: bold}, run{text: "· " + remark, style: faint})
	t.hang([]run{{text: "  "}}, run{text: g.ids(), style: faint})

	causes := g.causes
	if !t.o.Verbose {
		causes = g.openCauses()
		if message, alike := sameMessage(causes, t.o); alike {
			t.alike(message, causes)
			return
		}
		causes = causes[:min(textCauses, len(causes))]
	}
	column := 0
	for _, c := range causes {
		column = max(column, columns(c.label()))
	}
	column = min(column, t.width*2/5)
	for _, c := range causes {
		t.cause(g, c, column)
	}
	if rest := g.openCauses(); len(rest) > len(causes) {
		t.rest(rest[len(causes):])
	}
}

func (t *text) rest(causes []*cause) {
	what := number(len(causes)) + " more"
	if n := namespaces(causes); n > 1 {
		what += " in " + count(n, "namespace")
	}
	t.more("    ", what)
}

// sameMessage gives the message that all open findings of several objects
// share, when they say nothing else: no positions in files.
func sameMessage(causes []*cause, o Options) (message string, alike bool) {
	for _, c := range causes {
		for _, f := range c.findings[:c.open] {
			if o.Explain || f.Source.File != "" || f.Message != causes[0].first().Message || f.Severity != causes[0].first().Severity {
				return "", false
			}
		}
	}
	return causes[0].first().Message, len(causes) > 1
}

// alike says once what is wrong, and lists the objects behind one another.
func (t *text) alike(message string, causes []*cause) {
	t.hang([]run{{text: "    "}}, run{text: clean(message)})
	shown := causes[:min(2*textCauses, len(causes))]
	var names []string
	for _, c := range shown {
		names = append(names, c.label())
	}
	t.hang([]run{{text: "    "}, {text: "on  ", style: faint}}, run{text: strings.Join(names, ", ")})
	if len(shown) < len(causes) {
		t.rest(causes[len(shown):])
	}
}

func (t *text) cause(g *group, c *cause, column int) {
	shown := c.findings
	if !t.o.Verbose {
		shown = shown[:1]
	}
	for i, f := range shown {
		name := run{text: c.label()}
		if i > 0 {
			name.text = ""
		}
		runs := []run{{text: clean(f.Message)}}
		if f.Severity != g.severity {
			r := severityRun(f.Severity, ")")
			r.text = "(" + r.text
			runs = append(runs, r)
		}
		if rest := c.open - len(shown); rest > 0 {
			runs = append(runs, run{text: "(and " + number(rest) + " more there)", style: faint})
		}
		if note := accepted(f); note != "" {
			runs = append(runs, run{text: note, style: faint})
		}
		t.row(4, column, name, append(runs, t.at(f)...)...)
		if weight := t.o.weight(f); weight != "" {
			t.hang([]run{{text: "      "}, {text: "weight ", style: faint}}, run{text: weight})
		}
		if !t.o.Verbose {
			continue
		}
		fix := t.r.FixOf(f)
		if len(fix) == 0 {
			continue
		}
		t.hang([]run{{text: "      "}, {text: "fix ", style: faint}}, run{text: describeFix(fix, c.ref), style: green})
		for _, command := range fixCommands(t.r, t.o, f, fix) {
			t.hang([]run{{text: "          "}}, run{text: command, whole: true})
		}
	}
}

// accepted says who accepted a finding, and until when; nothing if nobody did.
func accepted(f *bailey.Finding) string {
	switch {
	case f.Waiver != nil:
		return "[waived until " + day(f.Waiver.Expires) + " by " + clean(f.Waiver.Owner) + ": " + clean(f.Waiver.Reason) + "]"
	case f.Baseline:
		return "[in the baseline]"
	}
	return ""
}

// changes lists, in a comparison, what is gone and what nobody can tell.
func (t *text) changes() {
	d := t.r.Diff
	if d == nil {
		return
	}
	for _, part := range []struct {
		title, remark string
		findings      []bailey.Finding
	}{
		{"FIXED", "no longer found", d.Fixed},
		{"NOT SEEN AGAIN", "neither fixed nor found: the objects were not seen", d.Unseen},
	} {
		if len(part.findings) == 0 {
			continue
		}
		t.heading(part.title, part.remark)
		groups := groupFindings(&bailey.Report{Findings: part.findings, Controls: t.r.Controls})
		limit := len(groups)
		if !t.o.Verbose {
			limit = min(textGroups, limit)
		}
		for _, g := range groups[:limit] {
			names := g.causes[0].label()
			if n := len(g.causes) - 1; n > 0 {
				names += " and " + number(n) + " more"
			}
			t.hang([]run{{text: "  "}, severityRun(g.severity, ""), {text: "  "}}, run{text: g.title + ":"}, run{text: names})
		}
		if limit < len(groups) {
			t.more("  ", count(len(groups)-limit, "more rule"))
		}
	}
}

func (t *text) ladder() {
	standings, unchecked := ladder(t.r)
	if len(standings)+len(unchecked) == 0 {
		return
	}
	t.heading("LADDER", "")
	id, spread := 0, 0
	for _, s := range standings {
		id = max(id, columns(clean(s.control.ID)))
		spread = max(spread, columns(s.where()))
	}
	for _, s := range standings {
		style := map[bailey.Rung]string{bailey.RungGap: red, bailey.RungUnknown: yellow}[s.rung]
		if s.rung >= bailey.RungSound {
			style = green
		}
		facts := run{text: number(s.coverage.Seen) + "/" + number(s.coverage.Needed) + " facts", style: faint, whole: true}
		head := []run{{text: "  "}, {text: sign(s.rung) + " " + pad(s.rung.String(), 9), style: style}, {text: pad(clean(s.control.ID), id) + "  "}}
		if 2+11+id+2+spread+2+columns(facts.text) <= t.width {
			t.hang(append(head, run{text: pad(s.where(), spread) + "  "}), facts)
		} else {
			t.hang(head)
			t.hang([]run{{text: strings.Repeat(" ", 13)}}, run{text: s.where() + ","}, facts)
		}
		if proof := proofText(s.proof, t.r.Meta.At); proof != "" {
			t.hang([]run{{text: "              "}}, run{text: proof, style: faint})
		}
		if t.o.Verbose && s.next != "" {
			t.hang([]run{{text: "              "}}, run{text: clean(s.next), style: faint})
		}
	}
	if n := len(unchecked); n > 0 {
		verb := "are"
		if n == 1 {
			verb = "is"
		}
		t.hang([]run{{text: "  "}, {text: "? ", style: yellow}}, run{text: count(n, "control") + " " + verb + " unknown: this version does not check"},
			run{text: map[bool]string{true: "it", false: "them"}[n == 1]}, run{text: "(bailey controls)", style: faint, whole: true})
	}
}

func (t *text) coverage() {
	t.heading("COVERAGE", factsSeen(t.r.Coverage))
	missing := notSeen(t.r)
	parts, ignored := skipped(t.r)
	if isWhole(t.r) {
		t.hang([]run{{text: "  "}}, run{text: "Every fact that the rules of this version need was seen."})
	}
	limit := len(missing)
	if !t.o.Verbose {
		limit = min(textUnseen, limit)
	}
	const column = 15 // "undeclared read"
	for _, u := range missing[:limit] {
		t.row(2, column, run{text: u.label(), style: yellow}, run{text: list(u.what, 12, t.o.Verbose)})
		t.remarks(column+4, u.details, u.hint)
	}
	if limit < len(missing) {
		t.more("  ", count(len(missing)-limit, "more reason"))
	}
	limit = len(parts)
	if !t.o.Verbose {
		limit = min(textSkipped, limit)
	}
	for _, s := range parts[:limit] {
		t.row(2, column, run{text: "not read", style: yellow}, run{text: clean(s.What) + ":"}, run{text: clean(s.Why)})
		t.remarks(column+4, nil, clean(s.Hint))
	}
	if limit < len(parts) {
		t.more("  ", count(len(parts)-limit, "more part")+" not read")
	}
	if ignored > 0 {
		t.row(2, column, run{text: "ignored", style: faint}, run{text: count(ignored, "part") + " with nothing to judge", style: faint})
	}
}

func (t *text) remarks(indent int, details []string, hint string) {
	space := []run{{text: strings.Repeat(" ", indent)}}
	limit := len(details)
	if !t.o.Verbose {
		limit = min(textDetails, limit)
	}
	for _, d := range details[:limit] {
		t.hang(space, run{text: d, style: faint})
	}
	if limit < len(details) {
		t.hang(space, run{text: "… and " + number(len(details)-limit) + " more like it", style: faint})
	}
	if hint != "" {
		t.hang(append(space, run{text: "hint: ", style: cyan}), run{text: hint})
	}
}

// list joins names, at most n unless all are wanted.
func list(names []string, n int, all bool) string {
	if all || len(names) <= n {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:n], ", ") + " and " + number(len(names)-n) + " more"
}

func (t *text) closing() {
	t.blank()
	style := green
	if t.tally.open > 0 || t.tally.broken > 0 || t.r.Facts == 0 {
		style = bold
	}
	t.hang(nil, run{text: t.tally.String() + ";", style: style}, run{text: factsSeen(t.r.Coverage) + ".", style: style})
	if t.o.FailOn != bailey.SeverityNone {
		switch n := t.tally.fail; {
		case n > 0:
			t.hang(nil, run{text: "Fails: " + count(n, t.tally.noun) + " at or over " + t.o.FailOn.String() + "."})
		case t.tally.broken > 0:
			t.hang(nil, run{text: "Fails: " + count(t.tally.broken, "broken experiment") + "."})
		case t.tally.open > 0:
			t.hang(nil, run{text: "Nothing at or over " + t.o.FailOn.String() + "."})
		}
	}
	if t.o.Hint != "" {
		t.hang(nil, run{text: clean(t.o.Hint)})
	}
}
