package web

import (
	"cmp"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type namespacesBody struct {
	Columns []string // controls, in the order of the catalogue
	Rows    []namespaceRow
	Text    string
	Order   string
	Pager   pager
}

type namespaceRow struct {
	server.NamespaceRow
	Cells []string // a rung for each column; empty where the control has nothing there
}

// namespaceRows is how many namespaces one page lists.
const namespaceRows = 40

func (s *site) namespaces(v *visit) error {
	all, err := s.Desk.NamespaceRows(v.r.Context(), v.ask)
	if err != nil {
		return err
	}
	q := v.r.URL.Query()
	b := namespacesBody{Text: strings.TrimSpace(q.Get("q")), Order: q.Get("order")}
	if b.Order != "" {
		if err := oneOf("order", b.Order, "worst", "name"); err != nil {
			return err
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(n server.NamespaceRow) bool { return !strings.Contains(n.Name, b.Text) })
	slices.SortFunc(all, func(a, b server.NamespaceRow) int { return strings.Compare(a.Name, b.Name) })
	if b.Order != "name" {
		slices.SortStableFunc(all, func(x, y server.NamespaceRow) int {
			return cmp.Or(cmp.Compare(y.Rungs.Gap, x.Rungs.Gap), cmp.Compare(y.Findings.Critical, x.Findings.Critical),
				cmp.Compare(y.Findings.High, x.Findings.High), cmp.Compare(y.Findings.Total(), x.Findings.Total()))
		})
	}
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
