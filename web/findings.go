package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type findingsBody struct {
	server.FindingPage
	Filters *filters
	Pager   pager
}

// findingRows is how many findings one page lists.
const findingRows = 50

func (s *site) findings(v *visit) error {
	form := v.filters()
	f := server.FindingFilter{
		Text:      form.text("Text", "q"),
		Least:     form.severity(),
		Control:   form.control(),
		Namespace: form.name("Namespace", "namespace", 63),
		Kind:      bailey.Kind(form.name("Kind", "kind", 256)),
		State:     form.choice("State", "state", option{"open", "open"}, option{"waived", "accepted"}, option{"gone", "gone"}, option{"all", "all"}),
		Order:     form.order(option{"severity", "worst first"}, option{"newest", "newest first"}, option{"object", "by object"}),
		Rule:      form.hidden("rule"), Name: form.hidden("name"),
		Cursor: v.cursor(), Limit: findingRows,
	}
	if since := form.hidden("since"); since != "" {
		var err error
		f.Since, err = day("since", since)
		form.fail(err)
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		return s.exportFindings(v, f)
	}
	page, err := s.Desk.Findings(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := findingsBody{page, form, v.paged(len(page.Findings), page.Next, page.Total.Total())}
	b.Pager.More = page.More
	v.page.Stream = "report"
	return v.show("findings", "findings", "Findings", b)
}

// findingHead and findingRow are a finding in a file.
var findingHead = []string{"id", "severity", "control", "rule", "kind", "namespace", "name", "field", "message", "opened", "last", "gone", "waived until", "waiver owner", "baseline"}

func findingRow(row func(...any) bool, x *server.Finding) bool {
	var until time.Time
	owner := ""
	if x.Waiver != nil {
		until, owner = x.Waiver.Expires, x.Waiver.Owner
	}
	return row(x.ID, x.Severity, x.Control, x.Rule, x.Object.Kind, x.Object.Namespace, x.Object.Name, x.Field, x.Message, x.Opened, x.Last, x.Gone, until, owner, x.Baseline)
}

func (s *site) exportFindings(v *visit, f server.FindingFilter) error {
	f.Limit = exportPage
	return v.export("findings", findingHead, func(row func(...any) bool) error {
		return eachPage(func(cursor string) (string, error) {
			f.Cursor = cursor
			list, err := s.Desk.Findings(v.r.Context(), v.ask, f)
			for i := range list.Findings {
				if !findingRow(row, &list.Findings[i]) {
					return "", err
				}
			}
			return list.Next, err
		})
	})
}

// findingBody is a finding with the first of its related objects, and how many more there are.
type findingBody struct {
	server.Finding
	Cut int
}

// relatedShown is how many related objects the page of a finding names: a DaemonSet has a pod on every node.
const relatedShown = 50

func (s *site) finding(v *visit) error {
	f, err := s.Desk.Finding(v.r.Context(), v.ask, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	b := findingBody{Finding: f, Cut: max(0, len(f.Related)-relatedShown)}
	b.Related = f.Related[:len(f.Related)-b.Cut]
	named := b.Related
	if f.Cause != nil {
		named = append(slices.Clone(named), *f.Cause)
	}
	if err := v.lookUp(named...); err != nil {
		return err
	}
	return v.show("finding", "findings", f.Title, b)
}

// day takes a date, or a whole moment.
func day(name, text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %s=%q is no date; write it like 2026-11-26", server.ErrBadInput, name, text)
}

func oneOf(name, value string, known ...string) error {
	for _, k := range known {
		if value == k {
			return nil
		}
	}
	return fmt.Errorf("%w: %s=%q is not known; use one of %s", server.ErrBadInput, name, value, strings.Join(known, ", "))
}
