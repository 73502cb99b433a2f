package report

import (
	"fmt"
	"io"

	"github.com/baileyhq/bailey"
)

// Bounds of a review's text that is not verbose.
const (
	reviewEffects = 15
	reviewOthers  = 8
)

// renderReviewText writes a review for a terminal.
func renderReviewText(w io.Writer, r *bailey.ChangeReview, o Options) error {
	if changesNothing(r) {
		_, err := fmt.Fprintln(w, nothingChanged(r))
		return err
	}
	t := &text{lines: newLines(w, o), r: r.New, o: o}
	t.hang(nil, run{text: "Compared " + reviewed(r) + ":"}, run{text: reviewCounts(r) + "."})
	t.newAndWorse(r)
	weaker, stronger, images := reviewParts(r)
	t.effects("WEAKER", "what the change gives an attacker, worst first", weaker)
	t.effects("STRONGER", "what it takes away", stronger)
	t.effects("IMAGES", "what runs", images)
	t.rungs(r)
	t.waiverChanges(r)
	t.gone("FIXED", "no longer found", r.Fixed)
	if len(r.Moved) > 0 {
		t.heading("MOVED", "found before, under another name")
		for _, m := range r.Moved[:t.bound(len(r.Moved))] {
			t.hang([]run{{text: "  "}}, run{text: clean(m.From.String()) + " is now " + clean(m.Finding.Object.String()) + ":"}, run{text: clean(m.Finding.Message)})
		}
		t.left(len(r.Moved))
	}
	t.gone("NOT SEEN AGAIN", "neither fixed nor found: the objects were not seen", r.Unseen)
	if len(r.Notes) > 0 {
		t.heading("NOT LOOKED AT", "")
		for _, note := range r.Notes[:t.bound(len(r.Notes))] {
			t.hang([]run{{text: "  "}}, run{text: clean(note), style: yellow})
		}
		t.left(len(r.Notes))
	}
	t.blank()
	t.hang(nil, run{text: sentence(factsSeen(r.New.Coverage))}, run{text: closingOf(r, o.FailOn), style: bold})
	return t.w.Flush()
}

func (t *text) bound(n int) int {
	if t.o.Verbose {
		return n
	}
	return min(n, reviewOthers)
}

func (t *text) left(n int) {
	if rest := n - t.bound(n); rest > 0 {
		t.more("  ", number(rest)+" more")
	}
}

func (t *text) newAndWorse(r *bailey.ChangeReview) {
	shown := &bailey.Report{Controls: r.New.Controls, Remedy: r.New.Remedy}
	why := map[string]string{}
	for _, f := range newAndWorse(r) {
		shown.Findings = append(shown.Findings, *f)
	}
	for i := range r.Worse {
		why[r.Worse[i].Finding.ID] = r.Worse[i].Why
	}
	if len(shown.Findings) == 0 {
		return
	}
	t.heading("NEW AND WORSE", "findings that count")
	groups := groupFindings(shown)
	if !t.o.Verbose {
		groups = distinct(groups)
	}
	limit := len(groups)
	if !t.o.Verbose {
		limit = min(limit, textGroups)
	}
	for i, g := range groups[:limit] {
		if i > 0 {
			t.blank()
		}
		t.group(g)
		for _, c := range g.causes {
			for _, f := range c.findings {
				if why[f.ID] != "" {
					t.hang([]run{{text: "    "}}, run{text: "worse: " + clean(why[f.ID]), style: yellow})
				}
			}
		}
	}
	if rest := len(groups) - limit; rest > 0 {
		t.more("  ", count(rest, "more rule"))
	}
}

func (t *text) effects(title, remark string, all []*bailey.Effect) {
	if len(all) == 0 {
		return
	}
	t.heading(title, remark)
	limit := len(all)
	if !t.o.Verbose {
		limit = min(limit, reviewEffects)
	}
	for i, e := range all[:limit] {
		what, text := effectLine(e)
		severity := severityRun(e.Gain, "")
		runs := []run{{text: text}}
		if e.Source.File != "" && e.Added {
			runs = append(runs, run{text: "at", style: faint}, run{text: place(e.Source), style: faint, whole: true})
		}
		if i == 0 || all[i-1].Object != e.Object || all[i-1].Class != e.Class {
			t.hang([]run{{text: "  "}}, run{text: string(e.Class), style: faint}, run{text: what, style: bold})
		}
		severity.text = pad(severity.text, 8)
		t.hang([]run{{text: "    "}, severity, {text: "  "}}, runs...)
	}
	if rest := len(all) - limit; rest > 0 {
		t.more("  ", number(rest)+" more")
	}
}

func (t *text) rungs(r *bailey.ChangeReview) {
	if len(r.Rungs) == 0 {
		return
	}
	t.heading("RUNGS", "where controls stand otherwise than before")
	for _, c := range r.Rungs[:t.bound(len(r.Rungs))] {
		style := green
		if c.To < c.From {
			style = red
		}
		t.hang([]run{{text: "  "}}, run{text: clean(c.Control), style: bold}, run{text: "for " + clean(c.Scope.String()) + ":"}, run{text: c.From.String() + " → " + c.To.String(), style: style, whole: true})
	}
	t.left(len(r.Rungs))
}

func (t *text) waiverChanges(r *bailey.ChangeReview) {
	if len(r.Waivers) == 0 {
		return
	}
	t.heading("WAIVERS", "those of the base count, whatever the change says")
	for i := range r.Waivers {
		t.hang([]run{{text: "  "}}, run{text: "The change " + waiverLine(&r.Waivers[i]) + ".", style: yellow})
	}
}

func (t *text) gone(title, remark string, findings []bailey.Finding) {
	if len(findings) == 0 {
		return
	}
	t.heading(title, remark)
	groups := groupFindings(&bailey.Report{Findings: findings, Controls: t.r.Controls})
	for _, g := range groups[:t.bound(len(groups))] {
		names := g.causes[0].label()
		if n := len(g.causes) - 1; n > 0 {
			names += " and " + number(n) + " more"
		}
		t.hang([]run{{text: "  "}}, run{text: g.title + ":"}, run{text: names, style: faint})
	}
	t.left(len(groups))
}

// sentence ends a text with a full stop, and begins it with a capital letter.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	return s + "."
}
