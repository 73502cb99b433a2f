package web

import (
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type namespacesBody struct {
	Columns []string // controls, in the order of the catalogue
	Rows    []namespaceRow
	Filters *filters
	Pager   pager
}

type namespaceRow struct {
	server.NamespaceRow
	Cells []string // a rung for each column; empty where the control has nothing there
}

// namespaceRows is how many namespaces one page lists.
const namespaceRows = 40

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
	all, err := s.Desk.NamespaceRows(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	b := namespacesBody{Filters: form}
	for _, c := range s.Controls {
		if slices.ContainsFunc(all, func(n server.NamespaceRow) bool { _, found := n.Controls[c.ID]; return found }) {
			b.Columns = append(b.Columns, c.ID)
		}
	}
	if v.wantsCSV() {
		return v.export("namespaces", append([]string{"namespace", "findings"}, b.Columns...), func(row func(...any) bool) error {
			for _, n := range all {
				cells := []any{n.Name, n.Findings.Total()}
				for _, c := range cellsOf(n.Controls, b.Columns) {
					cells = append(cells, c)
				}
				if !row(cells...) {
					break
				}
			}
			return nil
		})
	}
	shown, pager, err := cut(v, all, namespaceRows)
	if err != nil {
		return err
	}
	b.Pager = pager
	for _, n := range shown {
		b.Rows = append(b.Rows, namespaceRow{n, cellsOf(n.Controls, b.Columns)})
	}
	v.page.Stream = "report"
	return v.show("namespaces", "namespaces", "Namespaces", b)
}

func cellsOf(rungs map[string]bailey.Rung, columns []string) []string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		if r, found := rungs[c]; found {
			cells[i] = r.String()
		}
	}
	return cells
}
