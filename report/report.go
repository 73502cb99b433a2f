// Package report writes one report for many readers: a person at a terminal,
// a program, a code host, a test dashboard, a browser. Every format shows how
// much was seen beside what was found, and treats names, messages and paths as
// a stranger's text.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/baileyhq/bailey"
)

// Options say how a report is to be shown. The zero Options are right for a pipe.
type Options struct {
	// Width is the number of columns of text; 0 means 80.
	Width int
	// Color allows ANSI colours in text. They are never the only sign.
	Color bool
	// Verbose shows everything: no bound on groups and objects, and commands
	// beside the fixes.
	Verbose bool
	// Explain says of each finding where its severity comes from.
	Explain bool
	// Top is how many fixes come first; 0 means 5.
	Top int
	// FailOn is the severity at and over which findings make the run fail;
	// SeverityNone says nothing about failing.
	FailOn bailey.Severity
	// Command is the command line that made the report ("bailey scan ./deploy"),
	// on which hints build; empty means "bailey scan".
	Command string
	// Kubeconfig is the file by which the cluster was reached, where the user
	// named one; commands that change the cluster name it too.
	Kubeconfig string
	// Version is the version of Bailey; empty where it is not known.
	Version string
	// Dir is the working directory. Where it is set, absolute paths below it
	// are made relative in the formats that code hosts read.
	Dir string
	// Hint is a closing line for a person, such as the command to go on with.
	Hint string
	// EvidenceFile gives the address of the signed statement of an evidence,
	// as OSCAL is to name it; empty where there is none. It may be nil.
	EvidenceFile func(e *bailey.Evidence) string
}

func (o Options) width() int {
	if o.Width <= 0 {
		return 80
	}
	return max(o.Width, 40)
}

func (o Options) top() int {
	if o.Top <= 0 {
		return 5
	}
	return o.Top
}

func (o Options) command() string {
	if o.Command == "" {
		return "bailey scan"
	}
	return o.Command
}

// Format is one way to write a report.
type Format struct {
	// Name is what -o takes, and Ext the usual file extension with its dot.
	Name, Ext string
	// Title says in a few words what the format is for.
	Title string
	// Render writes the report. It changes nothing in it, and its only errors
	// are those of w.
	Render func(w io.Writer, r *bailey.Report, o Options) error
	// Documents gives the report as several files that name one another; nil for
	// a format that is always one.
	Documents func(r *bailey.Report, o Options) []Document
}

// Document is one file of several.
type Document struct {
	Name   string
	Render func(w io.Writer) error
}

// Formats lists all formats, the default one first.
func Formats() []Format {
	return []Format{
		{"text", ".txt", "for a person at a terminal", renderText, nil},
		{"json", ".json", "for programs; a versioned contract", renderJSON, nil},
		{"sarif", ".sarif", "SARIF 2.1.0, for code scanning", renderSARIF, nil},
		{"junit", ".xml", "JUnit XML, for test dashboards", renderJUnit, nil},
		{"markdown", ".md", "for a pull-request comment", renderMarkdown, nil},
		{"github", ".txt", "GitHub workflow annotations", renderGitHub, nil},
		{"html", ".html", "one page for a browser, without scripts", renderHTML, nil},
		{"oscal", ".json", "OSCAL 1.1.3 assessment results, for auditors", renderOSCAL, documentsOSCAL},
	}
}

// Lookup gives the format of a name; the error lists the names there are.
func Lookup(name string) (Format, error) {
	var names []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("no output format %q: use one of %s", name, strings.Join(names, ", "))
}

// Failing counts the findings at or over the severity that neither a waiver
// nor a baseline accepts. SeverityNone gives 0.
func Failing(r *bailey.Report, at bailey.Severity) int {
	if at == bailey.SeverityNone {
		return 0
	}
	n := 0
	for i := range r.Findings {
		if f := &r.Findings[i]; isOpen(f) && f.Severity >= at {
			n++
		}
	}
	return n
}

// isOpen reports whether nobody has accepted the finding.
func isOpen(f *bailey.Finding) bool { return f.Waiver == nil && !f.Baseline }
