package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/baileyhq/bailey"
)

// renderReviewMarkdown writes a comment for a pull request.
func renderReviewMarkdown(w io.Writer, r *bailey.ChangeReview, o Options) error {
	m := &markdown{r: r.New, o: o}
	if changesNothing(r) {
		m.line("✅ Bailey: %s", mdText(nothingChanged(r)))
		_, err := io.WriteString(w, m.b.String())
		return err
	}
	mark := "✅"
	switch {
	case o.FailOn != bailey.SeverityNone && ReviewFailing(r, o.FailOn) > 0:
		mark = "❌"
	case len(r.Added)+len(r.Worse)+len(r.Unseen)+len(r.Waivers)+len(r.Notes) > 0:
		mark = "⚠️"
	}
	m.line("### %s Bailey: %s\n", mark, mdText(reviewCounts(r)))
	m.line("Compared %s. %s %s\n", mdText(reviewed(r)), mdText(sentence(factsSeen(r.New.Coverage))), mdText(closingOf(r, o.FailOn)))
	weaker, stronger, images := reviewParts(r)
	m.findingTable(r)
	m.effectTable("Weaker: what the change gives an attacker", weaker)
	if len(r.Waivers) > 0 {
		m.line("#### Waivers\n")
		for i := range r.Waivers {
			m.line("- The change %s.", mdText(cut(waiverLine(&r.Waivers[i]), 400)))
		}
		m.line("")
	}
	m.notes(r)
	blocks := []string{m.effectFold(count(len(stronger), "thing")+" taken away from an attacker", stronger), m.effectFold(count(len(images), "other image"), images), m.rungFold(r), m.goneFold("fixed", r.Fixed), m.movedFold(r), m.goneFold("not seen again: neither fixed nor found", r.Unseen)}
	for _, block := range blocks {
		if m.b.Len()+len(block) <= markdownLimit {
			m.b.WriteString(block)
		} else {
			m.line("… and more that does not fit a comment: %s\n", mdCode(m.o.command()+" --all"))
		}
	}
	_, err := io.WriteString(w, m.b.String())
	return err
}

// reviewRows bounds the rows of a table in a comment.
const reviewRows = 25

func (m *markdown) findingTable(r *bailey.ChangeReview) {
	why := map[string]string{}
	for i := range r.Worse {
		why[r.Worse[i].Finding.ID] = r.Worse[i].Why
	}
	shown := &bailey.Report{Controls: r.New.Controls}
	for _, f := range newAndWorse(r) {
		shown.Findings = append(shown.Findings, *f)
	}
	groups := distinct(groupFindings(shown))
	if len(groups) == 0 {
		return
	}
	m.line("#### New and worse\n")
	m.line("| severity | what | where |\n| --- | --- | --- |")
	rows, left := 0, 0
	for _, g := range groups {
		for _, c := range g.causes {
			f := c.first()
			if rows++; rows > reviewRows {
				left++
				continue
			}
			where := mdCode(c.label()) + m.place(f)
			if n := len(c.findings) - 1; n > 0 {
				where += " and " + number(n) + " more there"
			}
			what := "**" + mdText(g.title) + "**: " + mdProse(cut(f.Message, 200))
			if w := why[f.ID]; w != "" {
				what += " (worse: " + mdText(w) + ")"
			}
			if note := accepted(f); note != "" {
				what += " " + mdText(cut(note, 200))
			}
			m.line("| %s | %s | %s |", f.Severity, cell(what), cell(where))
		}
	}
	m.line("")
	if left > 0 {
		m.line("… and %s more: %s\n", number(left), mdCode(m.o.command()+" --all"))
	}
}

func (m *markdown) effectTable(title string, all []*bailey.Effect) {
	if len(all) == 0 {
		return
	}
	m.line("#### %s\n", mdText(title))
	m.line("| gain | | what |\n| --- | --- | --- |")
	for _, e := range all[:min(len(all), reviewRows)] {
		m.line("%s", m.effectRow(e))
	}
	m.line("")
	if left := len(all) - reviewRows; left > 0 {
		m.line("… and %s more: %s\n", number(left), mdCode(m.o.command()+" --all"))
	}
}

func (m *markdown) effectRow(e *bailey.Effect) string {
	what, text := effectLine(e)
	at := ""
	if e.Source.File != "" && e.Added {
		at = m.place(&bailey.Finding{Source: e.Source})
	}
	return fmt.Sprintf("| %s | %s | %s |", e.Gain, e.Class, cell(mdCode(what)+": "+mdText(cut(text, 300))+at))
}

func (m *markdown) effectFold(title string, all []*bailey.Effect) string {
	if len(all) == 0 {
		return ""
	}
	lines := []string{"| worth | | what |", "| --- | --- | --- |"}
	for _, e := range all[:min(len(all), reviewRows)] {
		lines = append(lines, m.effectRow(e))
	}
	if left := len(all) - reviewRows; left > 0 {
		lines = append(lines, "", "… and "+number(left)+" more")
	}
	return fold(title, lines)
}

func (m *markdown) notes(r *bailey.ChangeReview) {
	if len(r.Notes) == 0 {
		return
	}
	m.line("#### Not looked at\n")
	for _, note := range r.Notes[:min(len(r.Notes), reviewRows)] {
		m.line("- %s", mdText(cut(note, 300)))
	}
	m.line("")
}

func (m *markdown) rungFold(r *bailey.ChangeReview) string {
	var lines []string
	for _, c := range r.Rungs[:min(len(r.Rungs), 2*reviewRows)] {
		lines = append(lines, "- "+mdCode(c.Control)+" for "+mdText(c.Scope.String())+": "+c.From.String()+" → "+c.To.String())
	}
	return fold(count(len(r.Rungs), "rung")+" changed", lines)
}

func (m *markdown) goneFold(what string, findings []bailey.Finding) string {
	var lines []string
	groups := groupFindings(&bailey.Report{Findings: findings, Controls: m.r.Controls})
	for _, g := range groups[:min(len(groups), reviewRows)] {
		line := "- " + mdText(g.title) + ": " + mdCode(g.causes[0].label())
		if n := len(g.causes) - 1; n > 0 {
			line += " and " + number(n) + " more"
		}
		lines = append(lines, line)
	}
	return fold(count(len(findings), "finding")+" "+what, lines)
}

func (m *markdown) movedFold(r *bailey.ChangeReview) string {
	var lines []string
	for _, f := range r.Moved[:min(len(r.Moved), reviewRows)] {
		lines = append(lines, "- "+mdCode(f.From.String())+" is now "+mdCode(f.Finding.Object.String())+": "+mdProse(cut(f.Finding.Message, 200)))
	}
	return fold(count(len(r.Moved), "finding")+" moved", lines)
}

// cell keeps a text within a cell of a table.
func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, `\|`, "|"), "|", `\|`) }
