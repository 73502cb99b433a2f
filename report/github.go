package report

import (
	"bufio"
	"io"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// annotationLimit is how many annotations of one level GitHub shows for a step.
const annotationLimit = 10

// renderGitHub writes workflow commands that annotate the files of a change,
// the worst findings first, and a notice that sums up.
func renderGitHub(w io.Writer, r *bailey.Report, o Options) error {
	b := bufio.NewWriterSize(w, 1<<16)
	type spot struct {
		rule, file string
		line       int
		cause      bailey.Ref
	}
	seen := map[spot]bool{}
	written := map[string]int{}
	left := 0
	// The sum at the end is a notice too.
	room := map[string]int{"error": annotationLimit, "warning": annotationLimit, "notice": annotationLimit - 1}
	titles := map[string]string{}
	for _, g := range groupFindings(r) {
		titles[g.id] = g.title
	}
	broken, _ := brokenLines(r, 0)
	for _, line := range broken {
		if written["error"] >= room["error"] && !o.Verbose {
			left++
			continue
		}
		written["error"]++
		b.WriteString("::error title=" + escapeProperty("broken: "+line.Control) + "::" + escapeData(line.Text) + "\n")
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if !isOpen(f) {
			continue
		}
		at := spot{f.Rule, f.Source.File, f.Source.Line, causeOf(f)}
		if seen[at] {
			continue
		}
		seen[at] = true
		level := annotationLevel(f.Severity)
		if written[level] >= room[level] && !o.Verbose {
			left++
			continue
		}
		written[level]++
		b.WriteString("::" + level + " ")
		if f.Source.File != "" {
			b.WriteString("file=" + escapeProperty(relativeTo(f.Source.File, o.Dir)) + ",")
			if f.Source.Line > 0 {
				b.WriteString("line=" + strconv.Itoa(f.Source.Line) + ",")
				if f.Source.Column > 0 {
					b.WriteString("col=" + strconv.Itoa(f.Source.Column) + ",")
				}
			}
		}
		b.WriteString("title=" + escapeProperty(f.Severity.String()+": "+titles[f.Rule]))
		b.WriteString("::" + escapeData(f.Object.String()+": "+f.Message) + "%0A")
		if fix := describeFix(r.FixOf(f), f.Object); fix != "" {
			b.WriteString("fix: " + escapeData(fix) + "%0A")
		}
		b.WriteString(escapeData(f.Rule) + "\n")
	}
	sum := tallyOf(r, o.FailOn).String() + "; " + factsSeen(r.Coverage)
	if left > 0 {
		sum += "; " + count(left, "more annotation") + " left out: GitHub shows " + strconv.Itoa(annotationLimit) + " of a level"
	}
	if d := r.Diff; d != nil {
		sum += "; " + diffCounts(d)
	}
	level := "notice"
	if r.Facts == 0 {
		level, sum = "warning", "nothing was scanned; "+sum
	}
	b.WriteString("::" + level + " title=Bailey::" + escapeData(sum) + "\n")
	return b.Flush()
}

func annotationLevel(s bailey.Severity) string {
	switch {
	case s >= bailey.SeverityHigh:
		return "error"
	case s == bailey.SeverityMedium:
		return "warning"
	}
	return "notice"
}

// escapeData escapes the message of a workflow command. Line breaks and other
// controls are gone already: a stranger's text must not begin a command.
func escapeData(s string) string { return strings.ReplaceAll(clean(s), "%", "%25") }

var propertyEscapes = strings.NewReplacer("%", "%25", ":", "%3A", ",", "%2C")

// escapeProperty escapes the value of a property of a workflow command.
func escapeProperty(s string) string { return propertyEscapes.Replace(clean(s)) }
