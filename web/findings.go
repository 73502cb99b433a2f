package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type findingsBody struct {
	server.FindingPage
	Filter   server.FindingFilter
	Least    string
	Since    string
	Controls []*bailey.Control
	Chips    []chip
	Pager    pager
	States   []string
}

// chip is a part of a filter that can be taken away.
type chip struct{ Name, Value, Without string }

// findingRows is how many findings one page lists.
const findingRows = 50

func (s *site) findings(v *visit) error {
	q := v.r.URL.Query()
	f := server.FindingFilter{Control: q.Get("control"), Rule: q.Get("rule"), Kind: bailey.Kind(q.Get("kind")), Namespace: q.Get("namespace"),
		Name: q.Get("name"), Text: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Order: q.Get("order"), Cursor: v.cursor(), Limit: findingRows}
	b := findingsBody{Filter: f, Least: q.Get("severity"), Since: q.Get("since"), Controls: s.Controls, States: []string{"open", "waived", "gone", "all"}}
	var err error
	if b.Least != "" {
		if f.Least, err = bailey.ParseSeverity(b.Least); err != nil {
			return fmt.Errorf("%w: severity: %w", server.ErrBadInput, err)
		}
	}
	if b.Since != "" {
		if f.Since, err = day("since", b.Since); err != nil {
			return err
		}
	}
	if f.State != "" {
		if err := oneOf("state", f.State, b.States...); err != nil {
			return err
		}
	}
	if f.Order != "" {
		if err := oneOf("order", f.Order, "severity", "newest", "object"); err != nil {
			return err
		}
	}
	if v.wantsCSV() {
		return s.exportFindings(v, f)
	}
	if b.FindingPage, err = s.Desk.Findings(v.r.Context(), v.ask, f); err != nil {
		return err
	}
	for _, name := range []string{"q", "severity", "control", "rule", "kind", "namespace", "name", "state", "since"} {
		if value := q.Get(name); value != "" {
			shown := name
			if name == "q" {
				shown = "text"
			}
			b.Chips = append(b.Chips, chip{shown, value, v.page.With(name, "")})
		}
	}
	b.Pager = v.paged(len(b.Findings), b.Next, b.Total.Total())
	b.Pager.More = b.More
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
	f.Limit = 1000
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

func (s *site) finding(v *visit) error {
	f, err := s.Desk.Finding(v.r.Context(), v.ask, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.show("finding", "findings", f.Title, f)
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
