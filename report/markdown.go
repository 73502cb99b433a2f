package report

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/baileyhq/bailey"
)

// markdownLimit is how many characters a comment on GitHub may have, less
// what the notes about left-out parts take. Bytes are counted: they are never fewer.
const markdownLimit = 65536 - 1024

// renderMarkdown writes a comment for a pull request: what matters in a few
// lines, and the rest folded away.
func renderMarkdown(w io.Writer, r *bailey.Report, o Options) error {
	m := &markdown{r: r, o: o, groups: groupFindings(r), tally: tallyOf(r, o.FailOn)}
	m.head()
	m.broken()
	m.fixFirst()
	m.details()
	_, err := io.WriteString(w, m.b.String())
	return err
}

type markdown struct {
	b      strings.Builder
	r      *bailey.Report
	o      Options
	groups []*group
	tally  tally
}

func (m *markdown) line(format string, args ...any) {
	fmt.Fprintf(&m.b, format+"\n", args...)
}

func (m *markdown) head() {
	sum := m.tally.String() + "; " + factsSeen(m.r.Coverage)
	mark := "✅"
	switch {
	case m.r.Facts == 0:
		mark, sum = "⚠️", "nothing was scanned; "+sum
	case m.tally.fail > 0, m.tally.broken > 0, m.tally.open > 0 && m.o.FailOn == bailey.SeverityNone:
		mark = "❌"
	case m.tally.open > 0 || m.r.Coverage.Seen < m.r.Coverage.Needed:
		mark = "⚠️"
	}
	m.line("### %s Bailey: %s\n", mark, sum)
	m.line("Scanned %s.\n", mdText(scanned(m.r)))
	if d := m.r.Diff; d != nil {
		m.line("Compared with %s: **%s**.\n", moment(d.Old.At), diffCounts(d))
		if note := otherTarget(m.r); note != "" {
			m.line("%s\n", note)
		}
	}
	if m.tally.open == 0 {
		return
	}
	var names, rule, counts []string
	for s := bailey.SeverityCritical; s >= bailey.SeverityNone; s-- {
		if s == bailey.SeverityNone && m.tally.severity[s] == 0 {
			continue
		}
		names = append(names, s.String())
		rule = append(rule, "--:")
		counts = append(counts, number(m.tally.severity[s]))
	}
	m.line("| %s | facts seen |\n| %s | --: |\n| %s | %s of %s |\n", strings.Join(names, " | "), strings.Join(rule, " | "),
		strings.Join(counts, " | "), number(m.r.Coverage.Seen), number(m.r.Coverage.Needed))
}

func (m *markdown) broken() {
	shown, left := brokenLines(m.r, brokenLimit)
	if len(shown) == 0 {
		return
	}
	m.line("#### Broken: %s\n", brokenTitle)
	for _, b := range shown {
		m.line("- %s: %s", mdCode(b.Control), mdText(cut(b.Text, 300)))
	}
	if left > 0 {
		m.line("- … and %s: %s", count(left, "more path"), mdCode(m.o.command()+" --all"))
	}
	m.b.WriteByte('\n')
}

func (m *markdown) fixFirst() {
	top := fixFirst(m.groups, m.o.top())
	if len(top) == 0 {
		return
	}
	m.line("#### Fix first\n")
	for i, g := range top {
		lead, fix := g.lead(m.r)
		f := lead.first()
		m.line("%d. **%s**: %s  ", i+1, g.severity, mdText(g.title))
		where := mdCode(lead.label()) + m.place(f)
		if others := g.others(); others != "" {
			where += " " + others
		}
		m.line("   %s: %s  ", where, mdProse(cut(f.Message, 300)))
		if raised := raisedText(f); raised != "" {
			m.line("   %s  ", mdProse(cut(raised, 300)))
		}
		if len(fix) > 0 {
			m.line("   Fix: %s", mdCode(describeFix(fix, lead.ref)))
		} else {
			m.line("   Fix by hand: %s", mdCode("bailey explain "+g.id))
		}
	}
	m.b.WriteByte('\n')
}

func (m *markdown) place(f *bailey.Finding) string {
	if f.Source.File == "" {
		return ""
	}
	src := f.Source
	src.File = relativeTo(src.File, m.o.Dir)
	return " in " + mdCode(place(src))
}

// details writes the folded parts, each as a whole or not at all.
func (m *markdown) details() {
	left := 0
	open := 0
	for _, g := range distinct(m.groups) {
		if g.open == 0 {
			continue
		}
		open++
		// The ladder and the coverage must have room after the findings.
		if block := m.group(g); m.b.Len()+len(block) <= markdownLimit*3/4 {
			m.b.WriteString(block)
		} else {
			left++
		}
	}
	if left > 0 {
		m.line("… and %s with findings: %s\n", count(left, "more rule"), mdCode(m.o.command()+" --all"))
	}
	for _, block := range []string{m.accepted(), m.changes(), m.ladder(), m.coverage()} {
		if m.b.Len()+len(block) <= markdownLimit {
			m.b.WriteString(block)
		} else {
			m.line("… and more that does not fit a comment: %s\n", mdCode(m.o.command()+" --all"))
		}
	}
}

// fold is a collapsible part. The summary is HTML, the lines are Markdown.
func fold(summary string, lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "<details><summary>" + summary + "</summary>\n\n" + strings.Join(lines, "\n") + "\n\n</details>\n\n"
}

func (m *markdown) group(g *group) string {
	const limit = 20
	var lines []string
	causes := g.openCauses()
	for _, c := range causes[:min(limit, len(causes))] {
		f := c.first()
		line := "- " + mdCode(c.label()) + m.place(f) + ": " + mdProse(cut(f.Message, 300))
		if c.open > 1 {
			line += " (and " + number(c.open-1) + " more there)"
		}
		lines = append(lines, line)
	}
	if n := len(causes) - limit; n > 0 {
		lines = append(lines, "- … and "+number(n)+" more: "+mdCode(m.o.command()+" --all"))
	}
	lines = append(lines, "", mdCode(g.ids()))
	return fold("<b>"+g.severity.String()+"</b>: "+mdHTML(g.title)+" ("+count(g.open, "finding")+")", lines)
}

// accepted lists what waivers and the baseline hold back.
func (m *markdown) accepted() string {
	const limit = 20
	var lines []string
	n := 0
	for _, g := range m.groups {
		for _, c := range g.causes {
			for _, f := range c.findings {
				if f.Waiver == nil {
					continue
				}
				if n++; n <= limit {
					lines = append(lines, "- "+mdText(g.title)+": "+mdCode(c.label())+", until "+day(f.Waiver.Expires)+", "+mdText(cut(f.Waiver.Owner, 60))+": "+mdText(cut(f.Waiver.Reason, 200)))
				}
			}
		}
	}
	if n > limit {
		lines = append(lines, "- … and "+number(n-limit)+" more")
	}
	return fold(count(n, "waived finding"), lines)
}

func (m *markdown) changes() string {
	d := m.r.Diff
	if d == nil {
		return ""
	}
	const limit = 20
	blocks := ""
	for _, part := range []struct {
		summary  string
		findings []bailey.Finding
	}{{"fixed", d.Fixed}, {"not seen again: neither fixed nor found", d.Unseen}} {
		groups := groupFindings(&bailey.Report{Findings: part.findings, Controls: m.r.Controls})
		var lines []string
		for _, g := range groups[:min(limit, len(groups))] {
			line := "- " + mdText(g.title) + ": " + mdCode(g.causes[0].label())
			if n := len(g.causes) - 1; n > 0 {
				line += " and " + number(n) + " more"
			}
			lines = append(lines, line)
		}
		if n := len(groups) - limit; n > 0 {
			lines = append(lines, "- … and "+count(n, "more rule"))
		}
		blocks += fold(count(len(part.findings), "finding")+" "+part.summary, lines)
	}
	return blocks
}

func (m *markdown) ladder() string {
	standings, unchecked := ladder(m.r)
	var lines []string
	if len(standings) > 0 {
		lines = append(lines, "| rung | control | where | facts seen |", "| --- | --- | --- | --: |")
	}
	for _, s := range standings {
		where := mdText(s.spread())
		if proof := proofText(s.proof, m.r.Meta.At); proof != "" {
			where += ": " + mdText(cut(proof, 300))
		}
		lines = append(lines, fmt.Sprintf("| %s %s | %s | %s | %s/%s |", sign(s.rung), s.word(), strings.ReplaceAll(mdCode(s.control.ID), "|", `\|`), where, number(s.coverage.Seen), number(s.coverage.Needed)))
	}
	if len(unchecked) > 0 {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, count(len(unchecked), "control")+" unknown: this version does not check them.")
	}
	return fold("Ladder", lines)
}

func (m *markdown) coverage() string {
	var lines []string
	for _, u := range notSeen(m.r) {
		line := "- **" + mdText(u.label()) + "**: " + mdText(list(u.what, 20, false))
		if len(u.details) > 0 {
			line += ". " + mdText(cut(u.details[0], 200))
		}
		if u.hint != "" {
			line += ". Hint: " + mdProse(cut(u.hint, 300))
		}
		lines = append(lines, line)
	}
	parts, _ := skipped(m.r)
	for _, p := range parts[:min(20, len(parts))] {
		lines = append(lines, "- **not read**: "+mdText(cut(p.What, 200))+": "+mdText(cut(p.Why, 200)))
	}
	if n := len(parts) - 20; n > 0 {
		lines = append(lines, "- … and "+count(n, "more part")+" not read")
	}
	return fold("Coverage: "+factsSeen(m.r.Coverage), lines)
}

const markdownPunctuation = "\\`*_{}[]<>()|~$!&"

// mdText escapes a stranger's text for Markdown: nothing in it is markup, a
// link, a mention or a reference to an issue.
func mdText(s string) string {
	s = clean(s)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case strings.IndexByte(markdownPunctuation, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '@', c == '#':
			// The empty comment keeps the name from becoming a mention.
			b.WriteByte(c)
			b.WriteString("<!-- -->")
		case c == ':' && strings.HasPrefix(s[i:], "://"):
			b.WriteString("&#58;")
		case c == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www"):
			b.WriteString("&#46;")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// mdProse is mdText with `...` as code.
func mdProse(s string) string {
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 { // an odd backtick quotes nothing
		return mdText(s)
	}
	for i, part := range parts {
		if i%2 == 0 {
			parts[i] = mdText(part)
		} else {
			parts[i] = mdCode(part)
		}
	}
	return strings.Join(parts, "")
}

// mdHTML escapes text for HTML inside Markdown.
func mdHTML(s string) string {
	s = html.EscapeString(clean(s))
	return strings.NewReplacer("@", "@<!-- -->", "://", "&#58;//", "`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "$", "&#36;", "|", "&#124;").Replace(s)
}

// mdCode writes a code span, in which GitHub sees neither mentions nor markup.
// The fence is longer than any run of backticks in the text.
func mdCode(s string) string {
	s = strings.TrimSpace(clean(s))
	if s == "" {
		return ""
	}
	longest, run := 0, 0
	for i := 0; i < len(s); i++ {
		if s[i] == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	if s[0] == '`' || s[len(s)-1] == '`' {
		s = " " + s + " "
	}
	return fence + s + fence
}
