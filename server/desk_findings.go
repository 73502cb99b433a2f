package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/report"
	"github.com/baileyhq/bailey/store"
)

// Findings gives a page of findings.
func (d *Desk) Findings(ctx context.Context, a Ask, f FindingFilter) (FindingPage, error) {
	page := FindingPage{Findings: []Finding{}}
	uid, err := d.cluster(a)
	if err != nil {
		return page, err
	}
	q := store.FindingQuery{Cluster: uid, Access: access(a), Severity: f.Least, Name: f.Name, Since: f.Since, Text: f.Text, Limit: f.Limit, After: f.Cursor}
	switch f.State {
	case "", "open":
		waived := false
		q.Waived = &waived
	case "waived":
		waived := true
		q.Waived = &waived
	case "gone":
		q.State = store.Gone
	case "all":
		q.State = store.All
	default:
		return page, badInput(fmt.Errorf("there is no state %q: use open, gone, waived or all", f.State))
	}
	switch f.Order {
	case "", "severity":
	case "newest", "object":
		q.Sort = store.Sort(f.Order)
	default:
		return page, badInput(fmt.Errorf("there is no order %q: use severity, newest or object", f.Order))
	}
	for _, narrow := range []struct {
		by   string
		list *[]string
	}{{f.Control, &q.Controls}, {f.Rule, &q.Rules}, {f.Namespace, &q.Namespaces}} {
		if narrow.by != "" {
			*narrow.list = []string{narrow.by}
		}
	}
	if f.Kind != "" {
		q.Kinds = []bailey.Kind{f.Kind}
	}
	found, err := d.o.Store.Findings(ctx, q)
	if err != nil {
		return page, err
	}
	for i := range found.Items {
		page.Findings = append(page.Findings, d.finding(&found.Items[i]))
	}
	page.Next, page.More = found.Next, found.More
	for severity, n := range found.Severities {
		page.Total.Add(severity, n)
	}
	return page, nil
}

// Finding gives one finding.
func (d *Desk) Finding(ctx context.Context, a Ask, id string) (Finding, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return Finding{}, err
	}
	f, err := d.o.Store.Finding(ctx, access(a), uid, id)
	if err != nil {
		return Finding{}, err
	}
	return d.finding(&f), nil
}

// finding writes a finding that is kept as it is shown.
func (d *Desk) finding(f *store.Finding) Finding {
	shown := Finding{ID: f.ID, Control: f.Control, Rule: f.Rule, Title: d.title(f.Rule), Severity: f.Severity, Object: objectOf(f.Object, f.APIVersion),
		Field: f.Field, Message: f.Message, File: f.Source.File, Line: f.Source.Line, Waiver: f.Waiver, Baseline: f.Baseline,
		First: f.First, Opened: f.Opened, Last: f.Last, Times: f.Times}
	if f.Base != f.Severity {
		shown.Base = f.Base
	}
	for _, factor := range f.Factors {
		shown.Factors = append(shown.Factors, factor.Text)
	}
	if f.Cause != (bailey.Ref{}) && f.Cause != f.Object {
		cause := objectOf(f.Cause, "")
		shown.Cause = &cause
	}
	for _, ref := range f.Related {
		shown.Related = append(shown.Related, objectOf(ref, ""))
	}
	if !f.IsOpen() {
		shown.Gone = &f.Gone
	}
	shown.Fix, shown.Command, shown.Note = fixText(f.Fix, f.Object)
	return shown
}

// fixText writes a fix to read, the commands that make it, and what a person must decide.
func fixText(fix []bailey.Change, beside bailey.Ref) (text, command, note string) {
	var texts, commands, notes []string
	for _, c := range fix {
		if c.Note != "" {
			notes = append(notes, c.Note)
			c.Note = ""
		}
		if len(c.Patch) > 0 || c.Content != nil {
			texts = append(texts, report.DescribeChange(c, beside))
		}
		if cmd := report.KubectlCommand(c, "", ""); cmd != "" {
			commands = append(commands, cmd)
		}
	}
	return strings.Join(texts, "\n"), strings.Join(commands, "\n"), strings.Join(notes, "; ")
}

// title is the title of a rule; its ID where the catalogue does not hold it any more.
func (d *Desk) title(rule string) string {
	if r := d.rules[rule]; r != nil {
		return r.Title
	}
	return rule
}

func objectOf(ref bailey.Ref, apiVersion string) Object {
	return Object{APIVersion: apiVersion, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}

// rankedFindings is how many of the worst findings are ranked by what to fix first.
const rankedFindings = 500

// first gives what to fix first.
func (d *Desk) first(ctx context.Context, a Ask, uid string) ([]FixFirst, error) {
	waived := false
	page, err := d.o.Store.Findings(ctx, store.FindingQuery{Cluster: uid, Access: access(a), Waived: &waived, Limit: rankedFindings})
	if err != nil {
		return nil, err
	}
	r := &bailey.Report{Controls: d.o.Controls}
	for i := range page.Items {
		r.Findings = append(r.Findings, page.Items[i].Finding)
	}
	var first []FixFirst
	for _, f := range report.FixFirst(r, overviewFirst) {
		fix, _, note := fixText(f.Finding.Fix, f.Finding.Object)
		if fix == "" {
			fix = note
		}
		first = append(first, FixFirst{Rule: f.Rule, Title: f.Title, Severity: f.Severity, Object: objectOf(f.Cause, ""), Findings: f.Findings,
			Message: f.Finding.Message, Fix: fix, Finding: f.Finding.ID})
	}
	return first, nil
}
