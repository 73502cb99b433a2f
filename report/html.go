package report

import (
	"bufio"
	_ "embed"
	"html"
	"html/template"
	"io"
	"net/url"
	"strings"

	"github.com/baileyhq/bailey"
)

// htmlCauses bounds the objects under one rule in a page that is not verbose.
const htmlCauses = 50

//go:embed page/page.tmpl
var pageTemplate string

//go:embed page/page.css
var pageCSS string

// page is parsed once. Its functions take a stranger's text and give it back
// safe to show; the template escapes it for the place where it stands.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"clean":  clean,
	"number": number,
	"count":  count,
	"code":   codeSpans,
	"css":    func() template.CSS { return template.CSS(pageCSS) },
}).Parse(pageTemplate))

// codeSpans turns `...` into code elements and escapes everything else.
func codeSpans(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(clean(s), "`") {
		switch {
		case i%2 == 0:
			b.WriteString(html.EscapeString(part))
		default:
			b.WriteString("<code>" + html.EscapeString(part) + "</code>")
		}
	}
	return template.HTML(b.String())
}

// The data of the page, in the order in which it shows them.
type (
	pageData struct {
		Title, Headline, Facts, Scanned, At, Version, Command string
		Nothing, Whole                                        bool
		Seen, Needed                                          int
		Severities                                            []pageCount
		Accepted, Fails                                       string
		Broken                                                []brokenLine
		BrokenTitle                                           string
		BrokenLeft                                            int
		Diff                                                  *pageDiff
		Fixes                                                 []pageFix
		Rungs                                                 []pageCount
		Ladder                                                []pageStanding
		Unchecked                                             []pageControl
		Groups                                                []pageGroup
		Unseen                                                []pageUnseen
		Skipped, Ignored                                      []bailey.Skip
		IgnoredCount                                          int
		Targets                                               []bailey.Target
	}
	pageCount struct {
		Name, Sign string
		N          int
	}
	pageDiff struct {
		Old, Counts, Warning string
		Parts                []pagePart
	}
	pagePart struct {
		Title string
		Lines []pageChange
	}
	pageChange  struct{ Severity, Title, Where string }
	pageControl struct{ ID, Asks string }
	pageFix     struct {
		Severity, Title, Rule, Where, Others, Place, Why, Fix string
		Commands                                              []string
	}
	pageStanding struct {
		Rung, Sign, Word, ID, Asks, Spread, Proof, Next string
		Seen, Needed                                    int
	}
	pageGroup struct {
		Severity, Title, Rule, Remark, Doc string
		Open                               bool
		Refs                               []pageRef
		Causes                             []pageCause
		Left                               int
	}
	pageRef   struct{ Text, URL string }
	pageCause struct {
		Label    string
		Findings []pageFinding
		Left     int
	}
	pageFinding struct {
		Severity, Message, Place, Weight, Accepted, Fix string
		Commands                                        []string
	}
	pageUnseen struct {
		Label, What, Hint string
		Details           []string
	}
)

func renderHTML(w io.Writer, r *bailey.Report, o Options) error {
	b := bufio.NewWriterSize(w, 1<<16)
	if err := page.Execute(b, newPage(r, o)); err != nil {
		return err
	}
	return b.Flush()
}

func newPage(r *bailey.Report, o Options) *pageData {
	groups := groupFindings(r)
	t := tallyOf(r, o.FailOn)
	d := &pageData{
		Title: "Bailey: " + scanned(r), Headline: count(t.open, t.noun), Facts: factsSeen(r.Coverage),
		Scanned: scanned(r), Version: clean(o.Version), Command: clean(o.command()),
		Nothing: r.Facts == 0, Whole: isWhole(r), Seen: r.Coverage.Seen, Needed: r.Coverage.Needed,
		Accepted: strings.Trim(t.accepted(), " ()"), Targets: r.Meta.Targets,
	}
	if !r.Meta.At.IsZero() {
		d.At = moment(r.Meta.At)
	}
	if o.FailOn != bailey.SeverityNone && t.fail > 0 {
		d.Fails = count(t.fail, "finding") + " at or over " + o.FailOn.String()
	}
	if t.broken > 0 {
		d.Headline = count(t.broken, "broken experiment") + ", " + d.Headline
		if o.FailOn != bailey.SeverityNone && t.fail == 0 {
			d.Fails = count(t.broken, "broken experiment")
		}
		limit := 10 * brokenLimit
		if o.Verbose {
			limit = 0
		}
		d.BrokenTitle = brokenTitle
		d.Broken, d.BrokenLeft = brokenLines(r, limit)
	}
	for s := bailey.SeverityCritical; s > bailey.SeverityNone; s-- {
		d.Severities = append(d.Severities, pageCount{Name: s.String(), N: t.severity[s]})
	}
	d.Diff = newPageDiff(r)
	for _, g := range fixFirst(groups, o.top()) {
		lead, fix := g.lead(r)
		f := lead.first()
		p := pageFix{Severity: g.severity.String(), Title: g.title, Rule: clean(g.id), Where: lead.label(), Others: g.others(), Why: f.Message,
			Fix: describeFix(fix, lead.ref), Commands: fixCommands(r, o, f, fix)}
		if f.Source.File != "" {
			p.Place = place(f.Source)
		}
		d.Fixes = append(d.Fixes, p)
	}
	d.standings(r)
	for _, g := range groups {
		d.Groups = append(d.Groups, newPageGroup(r, o, g))
	}
	for _, u := range notSeen(r) {
		d.Unseen = append(d.Unseen, pageUnseen{Label: u.label(), What: list(u.what, 50, o.Verbose), Hint: u.hint, Details: u.details[:min(10, len(u.details))]})
	}
	d.Skipped, d.IgnoredCount = skipped(r)
	for _, t := range r.Meta.Targets {
		d.Ignored = append(d.Ignored, t.Ignored...)
	}
	if !o.Verbose {
		d.Skipped, d.Ignored = d.Skipped[:min(200, len(d.Skipped))], d.Ignored[:min(200, len(d.Ignored))]
	}
	return d
}

func (d *pageData) standings(r *bailey.Report) {
	standings, unchecked := ladder(r)
	var at [bailey.RungProven + 1]int
	for _, s := range standings {
		at[s.rung]++
		d.Ladder = append(d.Ladder, pageStanding{Rung: s.rung.String(), Sign: sign(s.rung), Word: s.word(), ID: clean(s.control.ID),
			Asks: clean(s.control.Asks), Spread: s.spread(), Proof: proofText(s.proof, r.Meta.At), Next: s.next, Seen: s.coverage.Seen, Needed: s.coverage.Needed})
	}
	at[bailey.RungUnknown] += len(unchecked)
	for rung := bailey.RungGap; rung <= bailey.RungProven; rung++ {
		d.Rungs = append(d.Rungs, pageCount{Name: rung.String(), Sign: sign(rung), N: at[rung]})
	}
	for _, c := range unchecked {
		d.Unchecked = append(d.Unchecked, pageControl{clean(c.ID), clean(c.Asks)})
	}
}

func newPageDiff(r *bailey.Report) *pageDiff {
	if r.Diff == nil {
		return nil
	}
	d := &pageDiff{Old: moment(r.Diff.Old.At), Counts: diffCounts(r.Diff), Warning: otherTarget(r)}
	for _, part := range []struct {
		title    string
		findings []bailey.Finding
	}{{"Fixed", r.Diff.Fixed}, {"Not seen again: neither fixed nor found", r.Diff.Unseen}} {
		p := pagePart{Title: part.title}
		for _, g := range groupFindings(&bailey.Report{Findings: part.findings, Controls: r.Controls}) {
			where := g.causes[0].label()
			if n := len(g.causes) - 1; n > 0 {
				where += " and " + number(n) + " more"
			}
			p.Lines = append(p.Lines, pageChange{g.severity.String(), g.title, where})
		}
		if len(p.Lines) > 0 {
			d.Parts = append(d.Parts, p)
		}
	}
	return d
}

func newPageGroup(r *bailey.Report, o Options, g *group) pageGroup {
	p := pageGroup{Severity: g.severity.String(), Title: g.title, Rule: clean(g.id), Open: g.open > 0}
	p.Remark = count(g.open, "finding") + tally{waived: g.waived, baseline: g.baseline}.accepted()
	if control, rule := bailey.FindRule(r.Controls, g.id); rule != nil {
		p.Doc = firstParagraph(rule.Doc)
		for _, refs := range [][]bailey.Reference{rule.Refs, control.Refs} {
			for _, ref := range refs {
				if u, err := url.Parse(ref.URL); ref.URL != "" && (err != nil || u.Scheme != "https") {
					continue
				}
				p.Refs = append(p.Refs, pageRef{clean(strings.TrimSpace(ref.Source + " " + ref.ID)), ref.URL})
			}
		}
	}
	limit := len(g.causes)
	if !o.Verbose {
		limit = min(htmlCauses, limit)
	}
	p.Left = len(g.causes) - limit
	for _, c := range g.causes[:limit] {
		shown := c.findings
		if !o.Verbose {
			shown = shown[:min(3, len(shown))]
		}
		pc := pageCause{Label: c.label(), Left: len(c.findings) - len(shown)}
		for _, f := range shown {
			pf := pageFinding{Message: f.Message, Accepted: strings.Trim(accepted(f), "[]")}
			if f.Severity != g.severity {
				pf.Severity = f.Severity.String()
			}
			if f.Source.File != "" {
				pf.Place = place(f.Source)
			}
			if fix := r.FixOf(f); len(fix) > 0 {
				pf.Fix, pf.Commands = describeFix(fix, c.ref), fixCommands(r, o, f, fix)
			}
			pf.Weight = raisedText(f)
			pc.Findings = append(pc.Findings, pf)
		}
		p.Causes = append(p.Causes, pc)
	}
	return p
}
