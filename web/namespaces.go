package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type namespacesBody struct {
	Columns []string // controls that have something in one of the rows, in the order of the catalogue
	Rows    []namespaceRow
	Filters *filters
	Pager   pager
}

type namespaceRow struct {
	server.NamespaceRow
	Cells []template.HTML // one for each column
}

// namespaceRows is how many namespaces one page lists: of more it would be large, with a cell for each control.
const namespaceRows = 30

func (s *site) namespaces(v *visit) error {
	form := v.filters()
	f := server.NamespaceFilter{Text: form.text("Name", "q"), Control: form.control()}
	if name := form.choice("Rung", "rung", plainly("any", rungNames...)...); name != "" {
		f.Rung = new(bailey.Rung)
		form.fail(f.Rung.UnmarshalText([]byte(name)))
	}
	f.Order = form.order(option{"worst", "most gaps first"}, option{"findings", "worst findings first"}, option{"name", "by name"})
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		all, _, err := s.Desk.NamespaceRows(v.r.Context(), v.ask, f)
		if err != nil {
			return err
		}
		columns := s.columns(all)
		return v.export("namespaces", append([]string{"namespace", "findings"}, columns...), func(row func(...any) bool) error {
			for _, n := range all {
				cells := []any{n.Name, n.Findings.Total()}
				for _, c := range columns {
					cells = append(cells, rungIn(n.Controls, c))
				}
				if !row(cells...) {
					break
				}
			}
			return nil
		})
	}
	var err error
	if f.From, err = v.from(); err != nil {
		return err
	}
	f.Limit = namespaceRows
	shown, total, err := s.Desk.NamespaceRows(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := namespacesBody{Filters: form, Columns: s.columns(shown), Pager: v.counted(f.From, len(shown), total)}
	written := map[square]template.HTML{}
	for _, n := range shown {
		row := namespaceRow{NamespaceRow: n}
		for _, c := range b.Columns {
			at := square{c, rungIn(n.Controls, c)}
			if written[at] == "" {
				if written[at], err = s.square(at); err != nil {
					return err
				}
			}
			row.Cells = append(row.Cells, written[at])
		}
		b.Rows = append(b.Rows, row)
	}
	v.page.Stream = "report"
	return v.show("namespaces", "namespaces", "Namespaces", b)
}

// columns are the controls that have something in one of the namespaces, in the order of the catalogue.
func (s *site) columns(rows []server.NamespaceRow) []string {
	var columns []string
	for _, c := range s.Controls {
		if slices.ContainsFunc(rows, func(n server.NamespaceRow) bool { _, found := n.Controls[c.ID]; return found }) {
			columns = append(columns, c.ID)
		}
	}
	return columns
}

// square is a control with the rung on which it stands; none where it has nothing there. There are far fewer than
// the table shows, so that each is written once.
type square struct{ Control, Rung string }

func (s *site) square(c square) (template.HTML, error) {
	var out strings.Builder
	if err := s.pages["namespaces"].ExecuteTemplate(&out, "square", c); err != nil {
		return "", fmt.Errorf("page namespaces: %w", err)
	}
	return template.HTML(out.String()), nil // a template escaped it
}

// rungIn names the rung of a control; empty where it has nothing there.
func rungIn(rungs map[string]bailey.Rung, control string) string {
	if r, found := rungs[control]; found {
		return r.String()
	}
	return ""
}
