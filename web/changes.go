package web

import "github.com/baileyhq/bailey/server"

type changesBody struct {
	Changes []server.RungChange
	Filters *filters
	Pager   pager
}

func (s *site) changes(v *visit) error {
	form := v.filters()
	f := server.ChangeFilter{
		Text:      form.text("Text", "q"),
		Control:   form.control(),
		Namespace: form.name("Namespace", "namespace", 63),
		Since:     form.day("Since", "since"),
		Order:     form.timeOrder(),
		Cursor:    v.cursor(),
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		f.Limit = exportPage
		return v.export("changes", []string{"at", "control", "scope", "from", "to", "why"}, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				list, next, err := s.Desk.Changes(v.r.Context(), v.ask, f)
				for _, c := range list {
					if !row(c.At, c.Control, c.Scope, c.From, c.To, c.Why) {
						return "", err
					}
				}
				return next, err
			})
		})
	}
	list, next, err := s.Desk.Changes(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	return v.show("changes", "overview", "What changed", changesBody{list, form, v.paged(len(list), next, 0)})
}
